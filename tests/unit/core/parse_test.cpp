// SPDX-License-Identifier: BSD-3-Clause
// include/flowmeter/parse.h: every link type, class and limit. Each row also runs at every captured
// length: a cut inside the headers gives a class other than metered, a later one changes nothing.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "core/parsed.h"

namespace flowmeter::testing {
namespace {

struct Expected {
  fm_packet_class packet_class = FM_METERED;
  int header = -1;
  int payload = -1;
  fm_fragment_role role = FM_NOT_FRAGMENT;
};

struct RowOfParse {
  const char* claim;
  Packet packet;
  Expected expected;
};

const std::vector<RowOfParse>& rows() {
  static const std::vector<RowOfParse> all = {
      // ---- transport ----
      {"a bare ACK has no payload", tcp4(), {FM_METERED, 40, 0}},
      {"TCP payload", tcp4().payload(64), {FM_METERED, 40, 64}},
      {"TCP options are header", tcp4().tcp_options(12).payload(5), {FM_METERED, 52, 5}},
      {"the longest TCP header", tcp4().tcp_options(40).payload(5), {FM_METERED, 80, 5}},
      {"TCP header length below 20", tcp4().payload(64).tcp_data_offset(4), {FM_MALFORMED}},
      {"TCP header length 0", tcp4().payload(64).tcp_data_offset(0), {FM_MALFORMED}},
      {"TCP header ends with the packet",
       tcp4().payload(40).tcp_data_offset(15),
       {FM_METERED, 80, 0}},
      {"TCP header longer than the packet", tcp4().payload(39).tcp_data_offset(15), {FM_MALFORMED}},
      {"frame padding is no room for a TCP header",
       tcp4().payload(8).tcp_data_offset(8).pad_to(80),
       {FM_MALFORMED}},
      {"TCP options need not be captured",
       tcp4().tcp_options(40).payload(100).cut_to(14 + 40),
       {FM_METERED, 80, 100}},
      {"UDP", udp4(), {FM_METERED, 28, 10}},
      {"UDP without payload", ipv4(kA, kB).udp(1, 2), {FM_METERED, 28, 0}},
      {"UDP header cut by the IP length", udp4().ip_length(27), {FM_MALFORMED}},
      {"TCP header cut by the IP length", tcp4().ip_length(39), {FM_MALFORMED}},
      {"ICMP", ipv4(kA, kB).icmp(8, 0, 7).payload(56), {FM_METERED, 28, 56}},
      {"ICMP header cut by the IP length", ipv4(kA, kB).icmp(8, 0).ip_length(27), {FM_MALFORMED}},
      {"ICMPv6", ipv6(kA6, kB6).icmp(128, 0, 7).payload(56), {FM_METERED, 48, 56}},
      {"ICMPv6 header cut by the IP length",
       ipv6(kA6, kB6).icmp(128, 0).ip_length(7),
       {FM_MALFORMED}},
      {"ICMPv6 over IPv4", ipv4(kA, kB).icmp(8, 0).protocol(58), {FM_OTHER_PROTOCOL}},
      {"ICMP over IPv6", ipv6(kA6, kB6).icmp(128, 0).protocol(1), {FM_OTHER_PROTOCOL}},
      {"GRE is not opened", ipv4(kA, kB).protocol(47).payload(60), {FM_OTHER_PROTOCOL}},
      {"IP in IP is not opened", ipv4(kA, kB).protocol(4).payload(60), {FM_OTHER_PROTOCOL}},
      {"6in4 is not opened", ipv4(kA, kB).protocol(41).payload(60), {FM_OTHER_PROTOCOL}},
      {"ESP", ipv4(kA, kB).protocol(50).payload(60), {FM_OTHER_PROTOCOL}},
      {"AH over IPv4", ipv4(kA, kB).protocol(51).payload(60), {FM_OTHER_PROTOCOL}},
      {"SCTP", ipv4(kA, kB).protocol(132).payload(60), {FM_OTHER_PROTOCOL}},
      {"another protocol needs no bytes after its IP header",
       ipv4(kA, kB).protocol(47),
       {FM_OTHER_PROTOCOL}},
      {"no next header over IPv6", ipv6(kA6, kB6), {FM_OTHER_PROTOCOL}},

      // ---- IPv4 ----
      {"frame padding is not payload", tcp4().pad_to(60), {FM_METERED, 40, 0}},
      {"frame padding beside payload", tcp4().payload(3).pad_to(60), {FM_METERED, 40, 3}},
      {"IPv4 options are header", udp4().ip_options(40), {FM_METERED, 68, 10}},
      {"IHL below 5", udp4().ihl(4), {FM_MALFORMED}},
      {"IHL 0", udp4().ihl(0), {FM_MALFORMED}},
      {"IHL beyond the total length", udp4().ihl(15), {FM_MALFORMED}},
      {"IHL up to the total length of another protocol",
       ipv4(kA, kB).protocol(47).payload(40).ihl(15),
       {FM_OTHER_PROTOCOL}},
      {"version 6 behind EtherType IPv4", udp4().ip_version(6), {FM_MALFORMED}},
      {"version 0 behind EtherType IPv4", udp4().ip_version(0), {FM_MALFORMED}},
      {"total length 0 means up to the frame end",
       ipv4(kA, kB).udp(1, 2).payload(22).ip_length(0).pad_to(72),
       {FM_METERED, 28, 30}},
      {"total length 0 of a frame beyond 64 KiB",
       tcp4().ip_length(0).wire_length(100000),
       {FM_METERED, 40, 100000 - 54}},
      {"total length up to the frame end", udp4().ip_length(38), {FM_METERED, 28, 10}},
      {"total length one byte beyond the frame", udp4().ip_length(39), {FM_MALFORMED}},
      {"total length 65535 of a short frame", udp4().ip_length(65535), {FM_MALFORMED}},
      {"total length below the header length", udp4().ip_length(19), {FM_MALFORMED}},
      {"total length 20 leaves no UDP header", udp4().ip_length(20), {FM_MALFORMED}},
      {"total length 20 is enough for another protocol",
       ipv4(kA, kB).protocol(47).payload(9).ip_length(20),
       {FM_OTHER_PROTOCOL}},
      {"lengths are checked before the protocol",
       ipv4(kA, kB).protocol(47).ip_length(21),
       {FM_MALFORMED}},
      {"a short total length shortens the payload", udp4().ip_length(30), {FM_METERED, 28, 2}},
      {"payload that was not captured counts",
       tcp4().payload(1400).cut_to(54),
       {FM_METERED, 40, 1400}},
      {"a total length beyond the captured part but in the frame",
       tcp4().ip_length(1500).wire_length(1514),
       {FM_METERED, 40, 1460}},

      // ---- fragments ----
      {"don't fragment and the evil bit make no fragment",
       udp4().atomic_fragment(),
       {FM_METERED, 28, 10}},
      {"a first fragment has a transport header",
       udp4().payload(16).first_fragment(),
       {FM_METERED, 28, 16, FM_FIRST_FRAGMENT}},
      {"a later fragment has none",
       ipv4(kA, kB).protocol(17).payload(7).last_fragment(3),
       {FM_METERED, 20, 7, FM_LATER_FRAGMENT}},
      {"a fragment in the middle",
       ipv4(kA, kB).protocol(6).payload(64).middle_fragment(8191),
       {FM_METERED, 20, 64, FM_LATER_FRAGMENT}},
      {"a later fragment may be empty",
       ipv4(kA, kB).protocol(6).last_fragment(1),
       {FM_METERED, 20, 0, FM_LATER_FRAGMENT}},
      {"a later fragment with IPv4 options",
       ipv4(kA, kB).protocol(6).ip_options(8).payload(8).last_fragment(1),
       {FM_METERED, 28, 8, FM_LATER_FRAGMENT}},
      {"a later fragment of another protocol",
       ipv4(kA, kB).protocol(132).payload(8).last_fragment(1),
       {FM_OTHER_PROTOCOL}},
      {"a first fragment with half a transport header",
       udp4().payload(8).ip_length(27).first_fragment(),
       {FM_MALFORMED}},

      // ---- IPv6 ----
      {"TCP over IPv6", ipv6(kA6, kB6).tcp(1, 2, FM_SYN).payload(9), {FM_METERED, 60, 9}},
      {"padding after IPv6", ipv6(kA6, kB6).udp(1, 2).pad_to(80), {FM_METERED, 48, 0}},
      {"version 4 behind EtherType IPv6", udp6().ip_version(4), {FM_MALFORMED}},
      {"payload length 0 means up to the frame end",
       udp6().ip_length(0).pad_to(90),
       {FM_METERED, 48, 90 - 14 - 48}},
      {"payload length one byte beyond the frame", udp6().ip_length(19), {FM_MALFORMED}},
      {"hop-by-hop options", udp6().extension(0), {FM_METERED, 56, 10}},
      {"routing", udp6().extension(43, 24), {FM_METERED, 72, 10}},
      {"destination options", udp6().extension(60, 16), {FM_METERED, 64, 10}},
      {"mobility", udp6().extension(135), {FM_METERED, 56, 10}},
      {"host identity", udp6().extension(139), {FM_METERED, 56, 10}},
      {"shim6", udp6().extension(140), {FM_METERED, 56, 10}},
      {"AH counts in units of 4", udp6().extension(51, 12), {FM_METERED, 60, 10}},
      {"AH of 24 bytes", udp6().extension(51, 24), {FM_METERED, 72, 10}},
      {"ESP over IPv6", ipv6(kA6, kB6).protocol(50).payload(8), {FM_OTHER_PROTOCOL}},
      {"experimental header 253 is not followed", udp6().extension(253), {FM_OTHER_PROTOCOL}},
      {"8 extension headers", extensions(8), {FM_METERED, 112, 10}},
      {"9 extension headers", extensions(9), {FM_OTHER_PROTOCOL}},
      {"the longest extension header", udp6().extension(60, 2048), {FM_METERED, 2096, 10}},
      {"8 of the longest extension headers",
       udp6()
           .extension(60, 2048)
           .extension(60, 2048)
           .extension(60, 2048)
           .extension(60, 2048)
           .extension(60, 2048)
           .extension(60, 2048)
           .extension(60, 2048)
           .extension(60, 2048),
       {FM_METERED, 48 + 8 * 2048, 10}},
      {"an extension header that reaches beyond the packet",
       udp6().extension(60, 24).ip_length(23),
       {FM_MALFORMED}},
      {"an extension header up to the packet's end leaves no UDP header",
       udp6().extension(60, 24).ip_length(24),
       {FM_MALFORMED}},
      {"an atomic fragment is an ordinary extension header",
       udp6().atomic_fragment(),
       {FM_METERED, 56, 10}},
      {"a first fragment over IPv6",
       udp6().first_fragment(),
       {FM_METERED, 56, 10, FM_FIRST_FRAGMENT}},
      {"a later fragment over IPv6: header up to the fragment header",
       ipv6(kA6, kB6).protocol(17).extension(0).middle_fragment(4).payload(32),
       {FM_METERED, 56, 32, FM_LATER_FRAGMENT}},
      {"a later fragment over IPv6 that names an extension header",
       ipv6(kA6, kB6).protocol(60).last_fragment(4).payload(32),
       {FM_METERED, 48, 32, FM_LATER_FRAGMENT}},
      {"a later fragment over IPv6 that names another protocol",
       ipv6(kA6, kB6).protocol(132).last_fragment(4).payload(32),
       {FM_OTHER_PROTOCOL}},
      {"AH after a fragment header of a first fragment",
       udp6().first_fragment().extension(51, 12),
       {FM_METERED, 68, 10, FM_FIRST_FRAGMENT}},

      // ---- link: Ethernet ----
      {"one VLAN tag", udp4().vlan(), {FM_METERED, 28, 10}},
      {"QinQ", udp4().qinq(), {FM_METERED, 28, 10}},
      {"the old QinQ type", udp4().tag(0x9100).vlan(), {FM_METERED, 28, 10}},
      {"4 tags", tags(4), {FM_METERED, 28, 10}},
      {"5 tags", tags(5), {FM_NOT_IP}},
      {"a tag in front of IPv6", udp6().vlan(), {FM_METERED, 48, 10}},
      {"one MPLS label", udp4().mpls(1), {FM_METERED, 28, 10}},
      {"8 MPLS labels", udp4().mpls(8), {FM_METERED, 28, 10}},
      {"9 MPLS labels", udp4().mpls(9), {FM_NOT_IP}},
      {"multicast MPLS", udp4().mpls(2, true), {FM_METERED, 28, 10}},
      {"MPLS with IPv6", udp6().mpls(3), {FM_METERED, 48, 10}},
      {"an Ethernet pseudo-wire", udp4().mpls(1).ip_version(0), {FM_NOT_IP}},
      {"tags in front of MPLS", udp4().qinq().mpls(2), {FM_METERED, 28, 10}},
      {"4 tags in front of 8 labels", tags(4).mpls(8), {FM_METERED, 28, 10}},
      {"PPPoE", udp4().pppoe(), {FM_METERED, 28, 10}},
      {"PPPoE with IPv6", udp6().pppoe(), {FM_METERED, 48, 10}},
      {"PPPoE after a tag", udp4().vlan().pppoe(), {FM_METERED, 28, 10}},
      {"LCP in PPPoE", udp4().pppoe().network_type(0xc021), {FM_NOT_IP}},
      {"PPPoE discovery", udp4().network_type(0x8863), {FM_NOT_IP}},
      {"ARP", udp4().network_type(0x0806), {FM_NOT_IP}},
      {"an 802.3 length, as of LLC", udp4().network_type(0x0026), {FM_NOT_IP}},
      {"MACsec", udp4().network_type(0x88e5), {FM_NOT_IP}},
      {"IPv4 behind EtherType IPv6", udp4().network_type(0x86dd), {FM_MALFORMED}},

      // ---- link: all others ----
      {"cooked v1", udp4().link(113), {FM_METERED, 28, 10}},
      {"cooked v1 with a tag", udp6().link(113).vlan(), {FM_METERED, 48, 10}},
      {"cooked v1 of ARP", udp4().link(113).network_type(0x0806), {FM_NOT_IP}},
      {"cooked v2", udp4().link(276), {FM_METERED, 28, 10}},
      {"cooked v2 with IPv6", udp6().link(276), {FM_METERED, 48, 10}},
      {"cooked v2 with MPLS", udp4().link(276).mpls(2), {FM_METERED, 28, 10}},
      {"cooked v2 with PPPoE", udp4().link(276).pppoe(), {FM_METERED, 28, 10}},
      {"raw 101, IPv4", udp4().link(101), {FM_METERED, 28, 10}},
      {"raw 101, IPv6", udp6().link(101), {FM_METERED, 48, 10}},
      {"raw 12", udp4().link(12), {FM_METERED, 28, 10}},
      {"raw 14", udp6().link(14), {FM_METERED, 48, 10}},
      {"raw with version nibble 5", udp4().link(101).ip_version(5), {FM_NOT_IP}},
      {"link type IPv4", udp4().link(228), {FM_METERED, 28, 10}},
      {"link type IPv6", udp6().link(229), {FM_METERED, 48, 10}},
      {"IPv6 on link type IPv4", udp6().link(228), {FM_MALFORMED}},
      {"IPv4 on link type IPv6", udp4().link(229), {FM_MALFORMED}},
      {"null link, little-endian family", udp4().link(0), {FM_METERED, 28, 10}},
      {"null link, big-endian family", udp4().link(0).big_endian_family(), {FM_METERED, 28, 10}},
      {"loop", udp4().link(108), {FM_METERED, 28, 10}},
      {"family 10 is IPv6 (Linux)", udp6().link(0).network_type(10), {FM_METERED, 48, 10}},
      {"family 24 is IPv6 (NetBSD, OpenBSD)",
       udp6().link(108).network_type(24),
       {FM_METERED, 48, 10}},
      {"family 28 is IPv6 (FreeBSD)", udp6().link(0).network_type(28), {FM_METERED, 48, 10}},
      {"family 30 is IPv6 (macOS)",
       udp6().link(0).network_type(30).big_endian_family(),
       {FM_METERED, 48, 10}},
      {"family 7 is not IP", udp4().link(0).network_type(7), {FM_NOT_IP}},
      {"family 2 in the middle bytes is not IP", udp4().link(0).network_type(0x200), {FM_NOT_IP}},
      {"PPP", udp4().link(9), {FM_METERED, 28, 10}},
      {"PPP in HDLC framing", udp4().link(9).hdlc(), {FM_METERED, 28, 10}},
      {"PPP with IPv6", udp6().link(9).hdlc(), {FM_METERED, 48, 10}},
      {"LCP", udp4().link(9).network_type(0xc021), {FM_NOT_IP}},
      {"an unknown link type (802.11)", udp4().link(105), {FM_NOT_IP}},
      {"a link type beyond 16 bits", udp4().link(0x10001), {FM_NOT_IP}},
  };
  return all;
}

TEST(Parse, Rows) {
  for (const RowOfParse& row : rows()) {
    SCOPED_TRACE(row.claim);
    const Frame frame = row.packet.frame();
    const Parsed p = parse(frame);
    EXPECT_EQ(p.packet_class, row.expected.packet_class);
    if (p.packet_class != FM_METERED) continue;
    EXPECT_EQ(p.role, row.expected.role);
    EXPECT_EQ(p.packet.wire_length, frame.wire_length);
    EXPECT_EQ(p.packet.header_bytes, row.expected.header);
    EXPECT_EQ(static_cast<int>(p.packet.payload_bytes), row.expected.payload);
  }
}

// The least captured length that gives the result of the whole frame. (ClassOfACut says what it
// must be.)
size_t bytes_needed(const Frame& frame, const Parsed& whole) {
  for (size_t cut = 0; cut < frame.bytes.size(); cut++) {
    Frame shorter = frame;
    shorter.bytes.resize(cut);
    if (same(parse(shorter), whole)) return cut;
  }
  return frame.bytes.size();
}

TEST(Parse, EveryCut) {
  for (const RowOfParse& row : rows()) {
    SCOPED_TRACE(row.claim);
    Frame frame = row.packet.frame();
    if (frame.bytes.size() > 4000)
      continue;  // the same headers as of shorter ones; would take seconds
    const Parsed whole = parse(frame);
    const size_t needed = bytes_needed(frame, whole);
    for (size_t cut = 0; cut < frame.bytes.size(); cut++) {
      Frame shorter = frame;
      shorter.bytes.resize(cut);
      const Parsed p = parse(shorter);
      if (cut >= needed) {
        EXPECT_TRUE(same(p, whole)) << "cut after the headers, at " << cut;
      } else if (whole.packet_class == FM_METERED) {
        EXPECT_NE(p.packet_class, FM_METERED) << "cut inside the headers, at " << cut;
        EXPECT_NE(p.packet_class, FM_OTHER_PROTOCOL) << "cut inside the headers, at " << cut;
      }
    }
  }
}

struct CutRow {
  const char* claim;
  Packet packet;
  size_t link_bytes;    // a cut before this: not_ip
  size_t header_bytes;  // a cut before this: malformed
};

TEST(Parse, ClassOfACut) {
  const CutRow cases[] = {
      {"Ethernet", udp4(), 14, 14 + 28},
      {"TCP: the 20 bytes without options", tcp4().tcp_options(12), 14, 14 + 40},
      {"IPv4 options", udp4().ip_options(12), 14, 14 + 40},
      {"tags", udp4().qinq(), 22, 22 + 28},
      {"PPPoE", udp4().pppoe(), 22, 22 + 28},
      // The nibble after the labels belongs to the search for IP.
      {"MPLS", udp4().mpls(2), 23, 22 + 28},
      {"raw", udp4().link(101), 1, 28},
      {"link type IPv4", udp4().link(228), 0, 28},
      {"null", udp6().link(0), 4, 4 + 48},
      {"PPP", udp4().link(9), 2, 2 + 28},
      {"HDLC", udp4().link(9).hdlc(), 4, 4 + 28},
      {"cooked v1", udp4().link(113), 16, 16 + 28},
      // "cooked v2", whose protocol stands in front of the rest of its header, is in CookedV2Cut.
      {"IPv6", udp6(), 14, 14 + 48},
      {"IPv6 extension headers: 8 bytes of each", ipv6(kA6, kB6).udp(1, 2).extension(60, 16), 14,
       14 + 40 + 16 + 8},
      {"later fragment", ipv4(kA, kB).protocol(17).payload(9).last_fragment(1), 14, 14 + 20},
      {"later fragment over IPv6", ipv6(kA6, kB6).protocol(17).payload(9).last_fragment(1), 14,
       14 + 48},
  };
  for (const CutRow& row : cases) {
    SCOPED_TRACE(row.claim);
    const Frame frame = row.packet.frame();
    for (size_t cut = 0; cut < frame.bytes.size(); cut++) {
      Frame shorter = frame;
      shorter.bytes.resize(cut);
      const fm_packet_class expected = cut < row.link_bytes     ? FM_NOT_IP
                                       : cut < row.header_bytes ? FM_MALFORMED
                                                                : FM_METERED;
      EXPECT_EQ(parse(shorter).packet_class, expected) << "cut at " << cut;
    }
  }
}

// The protocol is at the start of this header, so a frame that is cut after the protocol is still
// cut in its link header.
TEST(Parse, CookedV2Cut) {
  for (size_t cut = 0; cut < 20; cut++)
    EXPECT_EQ(parse(udp4().link(276).cut_to(cut)).packet_class, FM_NOT_IP) << "cut at " << cut;
  EXPECT_EQ(parse(udp4().link(276).cut_to(20)).packet_class, FM_MALFORMED);
}

TEST(Parse, BothDirectionsHaveOneKey) {
  for (const RowOfParse& row : rows()) {
    SCOPED_TRACE(row.claim);
    const Parsed there = parse(row.packet), back = parse(row.packet.reversed());
    EXPECT_EQ(there.packet_class, back.packet_class);
    if (there.packet_class != FM_METERED || there.role == FM_LATER_FRAGMENT) continue;
    EXPECT_TRUE(fm_key_equal(&there.packet.key, &back.packet.key));
    EXPECT_NE(there.packet.direction, back.packet.direction);
  }
}

// Arbitrary bytes after each link type: every outcome keeps the lengths consistent. (parse_fuzz
// goes further.)
TEST(Parse, RandomBytes) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto& all = rows();
  for (int i = 0; i < 20000; i++) {
    Frame frame = all[random() % all.size()].packet.frame();
    if (frame.bytes.size() > 4000) continue;
    for (unsigned n = random() % 4; n > 0 && !frame.bytes.empty(); n--)
      frame.bytes[random() % std::min<size_t>(frame.bytes.size(), 80)] =
          static_cast<uint8_t>(random());
    frame.bytes.resize(random() % (frame.bytes.size() + 1));
    const Parsed p = parse(frame);
    if (p.packet_class != FM_METERED) continue;
    ASSERT_LE(uint64_t{p.packet.header_bytes} + p.packet.payload_bytes, frame.wire_length);
  }
}

}  // namespace
}  // namespace flowmeter::testing
