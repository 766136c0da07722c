// SPDX-License-Identifier: BSD-3-Clause
// include/flowmeter/parse.h: the fields of a packet beyond its lengths: key, flags, fragment,
// shims.
#include <gtest/gtest.h>

#include <arpa/inet.h>

#include "core/parsed.h"

namespace flowmeter::testing {
namespace {

// ---- keys ----

TEST(ParseFields, TcpFields) {
  const Parsed p = parse(ipv4("10.9.8.7", "10.0.0.2").tcp(4242, 80, 0xc5, 513).payload(3));
  ASSERT_EQ(p.packet_class, FM_METERED);
  const unsigned sender = p.packet.direction;
  EXPECT_EQ(p.packet.key.port[sender], 4242);
  EXPECT_EQ(p.packet.key.port[!sender], 80);
  const fm_address source = fm_address_ipv4(::inet_addr("10.9.8.7"));
  EXPECT_TRUE(fm_address_equal(&p.packet.key.address[sender], &source));
  EXPECT_EQ(p.packet.key.protocol, 6);
  EXPECT_EQ(p.packet.key.ip_version, 4);
  EXPECT_EQ(p.packet.key.kind, FM_KEY_PORTS);
  EXPECT_EQ(p.packet.flags, 0xc5);
  EXPECT_EQ(p.packet.window, 513);
  EXPECT_TRUE(fm_packet_has_tcp_header(&p.packet));
}

TEST(ParseFields, NoFlagsAndWindowWithoutTcp) {
  const std::pair<Packet, uint16_t> packets_and_windows[] = {
      {udp4(), 0},
      {udp6(), 0},
      {ipv4(kA, kB).icmp(8, 0, 0xffff), 8 << 8},
      {ipv4(kA, kB).icmp(3, 13), 3 << 8 | 13},
      {ipv6(kA6, kB6).icmp(255, 254), 255 << 8 | 254},
  };
  for (const auto& [packet, window] : packets_and_windows) {
    const Parsed p = parse(packet);
    EXPECT_EQ(p.packet.flags, 0);
    EXPECT_EQ(p.packet.window, window) << "type and code";
    EXPECT_FALSE(fm_packet_has_tcp_header(&p.packet));
  }
}

TEST(ParseFields, IcmpKeys) {
  struct Case {
    const char* claim;
    Packet packet;
    uint8_t kind;
    uint16_t discriminator;
  };
  const Case cases[] = {
      {"echo request", ipv4(kA, kB).icmp(8, 0, 0x1234), FM_KEY_ICMP_ECHO, 0x1234},
      {"echo reply", ipv4(kA, kB).icmp(0, 0, 0x1234), FM_KEY_ICMP_ECHO, 0x1234},
      {"unreachable", ipv4(kA, kB).icmp(3, 1, 0x1234), FM_KEY_ICMP_TYPE, 3},
      {"timestamp request, in spite of its identifier", ipv4(kA, kB).icmp(13, 0, 0x1234),
       FM_KEY_ICMP_TYPE, 13},
      {"ICMPv4 type 128 is no echo", ipv4(kA, kB).icmp(128, 0, 0x1234), FM_KEY_ICMP_TYPE, 128},
      {"ICMPv6 echo request", ipv6(kA6, kB6).icmp(128, 0, 9), FM_KEY_ICMP_ECHO, 9},
      {"ICMPv6 echo reply", ipv6(kA6, kB6).icmp(129, 0, 9), FM_KEY_ICMP_ECHO, 9},
      {"ICMPv6 type 8 is no echo", ipv6(kA6, kB6).icmp(8, 0, 9), FM_KEY_ICMP_TYPE, 8},
      {"neighbour solicitation", ipv6(kA6, kB6).icmp(135, 0, 9), FM_KEY_ICMP_TYPE, 135},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.claim);
    const Parsed p = parse(c.packet);
    ASSERT_EQ(p.packet_class, FM_METERED);
    EXPECT_EQ(p.packet.key.kind, c.kind);
    EXPECT_EQ(p.packet.key.port[0], c.discriminator);
    EXPECT_EQ(p.packet.key.port[1], 0);
  }
}

// All encapsulations of one packet give one key: tags, labels and sessions are not part of it.
TEST(ParseFields, LinkLayerIsNotInTheKey) {
  const Parsed plain = parse(udp4());
  for (const Packet& packet :
       {udp4().vlan(7), udp4().qinq(), udp4().mpls(3), udp4().pppoe(), udp4().link(113),
        udp4().link(276), udp4().link(101), udp4().link(228), udp4().link(0), udp4().link(9)}) {
    const Parsed other = parse(packet);
    EXPECT_TRUE(fm_key_equal(&other.packet.key, &plain.packet.key));
  }
}

TEST(ParseFields, FragmentKeys) {
  const auto key = [](const Packet& packet) { return parse(packet).fragment; };
  const auto equal = [](const fm_fragment_key& a, const fm_fragment_key& b) {
    return std::memcmp(&a, &b, sizeof(a)) == 0;
  };
  const Packet first4 = ipv4(kA, kB).udp(1, 2).payload(16).first_fragment(7);
  const auto later4 = [](uint32_t id) {
    return ipv4(kA, kB).protocol(17).payload(8).last_fragment(3, id);
  };
  EXPECT_TRUE(equal(key(first4), key(later4(7))));
  EXPECT_FALSE(equal(key(first4), key(later4(8)))) << "identification";
  EXPECT_FALSE(equal(key(first4), key(later4(7).protocol(6)))) << "IPv4: protocol";
  EXPECT_FALSE(equal(key(first4), key(later4(7).reversed()))) << "direction of travel";
  EXPECT_EQ(key(first4).protocol, 17);

  const Packet first6 = ipv6(kA6, kB6).udp(1, 2).payload(16).first_fragment(0x12345678);
  const auto later6 = [](uint32_t id, uint8_t next) {
    return ipv6(kA6, kB6).protocol(next).payload(8).last_fragment(3, id);
  };
  EXPECT_TRUE(equal(key(first6), key(later6(0x12345678, 17))));
  EXPECT_TRUE(equal(key(first6), key(later6(0x12345678, 60)))) << "IPv6: not the next header";
  EXPECT_FALSE(equal(key(first6), key(later6(0x02345678, 17)))) << "all 32 bits";
  EXPECT_EQ(key(first6).protocol, 0);
  EXPECT_EQ(key(first6).identification, 0x12345678u);
}

TEST(ParseFields, ShimsAreTold) {
  for (const Packet& packet : {udp4(), udp6(), udp4().link(113), udp4().link(101)})
    EXPECT_EQ(parse(packet).packet.has_shims, 0);
  for (const Packet& packet : {udp4().vlan(), udp6().qinq(), udp4().mpls(1), udp4().pppoe()})
    EXPECT_EQ(parse(packet).packet.has_shims, 1);
  EXPECT_EQ(parse(udp4(), 1).packet.has_shims, 1) << "a tag beside the frame";
}

TEST(ParseFields, TagsBesideTheFrameCount) {
  EXPECT_EQ(parse(tags(3), 1).packet_class, FM_METERED);
  EXPECT_EQ(parse(tags(4), 1).packet_class, FM_NOT_IP) << "5 in all";
  EXPECT_EQ(parse(tags(0), 1).packet_class, FM_METERED);
}

}  // namespace
}  // namespace flowmeter::testing
