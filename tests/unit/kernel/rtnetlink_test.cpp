// SPDX-License-Identifier: BSD-3-Clause
// The rtnetlink parser on datagrams that the kernel sends, and on some that it should never send.
#include "kernel/rtnetlink.h"

#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <random>

namespace flowmeter::testing {
namespace {

using Bytes = std::vector<uint8_t>;

template <typename T>
Bytes bytes_of(const T& value) {
  const auto* begin = reinterpret_cast<const uint8_t*>(&value);
  return Bytes(begin, begin + sizeof(T));
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes padded(Bytes bytes) {
  bytes.resize((bytes.size() + 3) / 4 * 4);
  return bytes;
}

Bytes string(const char* text) {
  return Bytes(text, text + std::strlen(text) + 1);
}

Bytes attribute(unsigned short type, const Bytes& value) {
  struct rtattr header {};
  header.rta_len = static_cast<unsigned short>(sizeof(header) + value.size());
  header.rta_type = type;
  return padded(bytes_of(header) + value);
}

Bytes message(unsigned short type, const Bytes& payload, unsigned short flags = 0) {
  struct nlmsghdr header {};
  header.nlmsg_len = static_cast<uint32_t>(sizeof(header) + payload.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  return padded(bytes_of(header) + payload);
}

Bytes link(int index, unsigned short type, const Bytes& attributes,
           unsigned char family = AF_UNSPEC, unsigned flags = IFF_UP) {
  struct ifinfomsg header {};
  header.ifi_family = family;
  header.ifi_type = type;
  header.ifi_index = index;
  header.ifi_flags = flags;
  return bytes_of(header) + attributes;
}

Bytes named(const char* name, uint32_t mtu = 1500) {
  return attribute(IFLA_IFNAME, string(name)) + attribute(IFLA_MTU, bytes_of(mtu));
}

// Parses from memory of exactly the datagram's size, so that AddressSanitizer detects a read beyond
// it.
bool parse(const Bytes& datagram, std::vector<LinkMessage>& messages) {
  const std::unique_ptr<char[]> exact(new char[datagram.size()]);
  std::copy(datagram.begin(), datagram.end(), exact.get());
  return parse_link_messages({exact.get(), datagram.size()}, messages);
}

std::vector<LinkMessage> parse_whole(const Bytes& datagram) {
  std::vector<LinkMessage> messages;
  EXPECT_TRUE(parse(datagram, messages));
  return messages;
}

TEST(Rtnetlink, LinkWithAllThatIsRead) {
  struct rtnl_link_stats64 stats {};
  stats.rx_packets = 1;
  stats.tx_packets = uint64_t{1} << 40;
  stats.rx_bytes = 3;
  stats.tx_bytes = 4;
  stats.rx_errors = 5;
  const auto messages = parse_whole(
      message(RTM_NEWLINK,
              link(7, ARPHRD_ETHER,
                   named("eth0", 9000) + attribute(IFLA_ADDRESS, {2, 0, 0, 0, 0, 1}) +
                       attribute(IFLA_PROP_LIST | NLA_F_NESTED,
                                 attribute(IFLA_ALT_IFNAME, string("enp0s3")) +
                                     attribute(IFLA_ALT_IFNAME, string("a-name-of-more-than-15"))) +
                       attribute(IFLA_STATS64, bytes_of(stats)) + attribute(60000, {1}))));
  ASSERT_EQ(messages.size(), 1u);
  const LinkMessage& m = messages[0];
  EXPECT_FALSE(m.is_deleted);
  const Interface expected{
      "eth0", 7, true, false, 9000, true, {"enp0s3", "a-name-of-more-than-15"}};
  EXPECT_EQ(m.interface, expected);
  EXPECT_EQ(m.link_type, ARPHRD_ETHER);
  EXPECT_TRUE(m.is_known_link_type);
  EXPECT_EQ(m.hardware_address, std::string("\2\0\0\0\0\1", 6));
  ASSERT_TRUE(m.counters);
  EXPECT_EQ(*m.counters, (LinkCounters{1, uint64_t{1} << 40, 3, 4}));
}

TEST(Rtnetlink, LinkTypes) {
  struct Row {
    unsigned short type;
    bool known, has_link_header, is_loopback;
  };
  for (const Row& row : {Row{ARPHRD_ETHER, true, true, false},
                         {ARPHRD_LOOPBACK, true, true, true},
                         {ARPHRD_NONE, true, false, false},
                         {ARPHRD_PPP, true, false, false},
                         {ARPHRD_RAWIP, true, false, false},
                         {ARPHRD_TUNNEL, true, false, false},
                         {ARPHRD_TUNNEL6, true, false, false},
                         {ARPHRD_SIT, true, false, false},
                         {ARPHRD_IPGRE, true, false, false},
                         {ARPHRD_INFINIBAND, false, true, false},
                         {ARPHRD_IEEE80211_RADIOTAP, false, true, false}}) {
    SCOPED_TRACE(row.type);
    const auto messages = parse_whole(message(RTM_NEWLINK, link(1, row.type, named("x"))));
    ASSERT_EQ(messages.size(), 1u);
    EXPECT_EQ(messages[0].is_known_link_type, row.known);
    EXPECT_EQ(messages[0].interface.is_loopback, row.is_loopback);
    if (row.known) {
      EXPECT_EQ(messages[0].interface.has_link_header, row.has_link_header);
    }
  }
}

TEST(Rtnetlink, WhatIsNotAboutALinkHereIsLeftOut) {
  struct Row {
    const char* claim;
    Bytes datagram;
  };
  const Row rows[] = {
      {"nothing", {}},
      {"another message type", message(RTM_NEWADDR, Bytes(8))},
      {"NLMSG_NOOP", message(NLMSG_NOOP, {})},
      {"a bridge port that is told of",
       message(RTM_NEWLINK, link(7, ARPHRD_ETHER, named("eth0"), AF_BRIDGE))},
      {"a port that leaves its bridge",
       message(RTM_DELLINK, link(7, ARPHRD_ETHER, named("eth0"), AF_BRIDGE))},
      {"an event of a wireless driver",
       message(RTM_NEWLINK, link(7, ARPHRD_ETHER,
                                 attribute(IFLA_IFNAME, string("wlan0")) +
                                     attribute(IFLA_WIRELESS, Bytes(16))))},
      {"no name",
       message(RTM_NEWLINK, link(7, ARPHRD_ETHER, attribute(IFLA_MTU, bytes_of(uint32_t{1500}))))},
      {"a short MTU", message(RTM_NEWLINK, link(7, ARPHRD_ETHER,
                                                attribute(IFLA_IFNAME, string("eth0")) +
                                                    attribute(IFLA_MTU, {1, 2})))},
      {"index 0", message(RTM_NEWLINK, link(0, ARPHRD_ETHER, named("eth0")))},
      {"a negative index", message(RTM_DELLINK, link(-7, ARPHRD_ETHER, named("eth0")))},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.claim);
    EXPECT_TRUE(parse_whole(row.datagram).empty());
  }
}

TEST(Rtnetlink, MessagesOfOneDatagram) {
  const auto messages = parse_whole(
      message(RTM_NEWLINK, link(1, ARPHRD_LOOPBACK, named("lo"), AF_UNSPEC, 0), NLM_F_MULTI) +
      message(RTM_NEWADDR, Bytes(8)) + message(RTM_DELLINK, link(2, ARPHRD_ETHER, named("b"))) +
      message(RTM_NEWLINK, link(3, ARPHRD_NONE, named("wg0")), NLM_F_MULTI) +
      message(NLMSG_DONE, bytes_of(int32_t{0}), NLM_F_MULTI));
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_FALSE(messages[0].is_deleted);
  EXPECT_TRUE(messages[0].interface.is_loopback);
  EXPECT_FALSE(messages[0].interface.is_up);
  EXPECT_TRUE(messages[1].is_deleted);
  EXPECT_EQ(messages[1].interface.index, 2u);
  EXPECT_EQ(messages[2].interface.name, "wg0");
}

TEST(Rtnetlink, DamageKeepsWhatStandsBefore) {
  const Bytes good = message(RTM_NEWLINK, link(1, ARPHRD_ETHER, named("first")));
  auto with_length = [](Bytes bytes, uint32_t length) {
    std::memcpy(bytes.data(), &length, sizeof(length));
    return bytes;
  };
  auto attribute_of_length = [](unsigned short length) {
    Bytes bytes = attribute(IFLA_IFNAME, string("x"));
    std::memcpy(bytes.data(), &length, sizeof(length));
    return bytes;
  };
  struct Row {
    const char* claim;
    Bytes damaged;
  };
  const Row rows[] = {
      {"a header cut off", Bytes(15)},
      {"length 0, which would never end", with_length(good, 0)},
      {"length below the header's", with_length(good, 15)},
      {"length beyond the datagram", with_length(good, 4096)},
      {"the greatest length", with_length(good, UINT32_MAX)},
      {"a link's header cut off", message(RTM_NEWLINK, Bytes(15))},
      {"a deleted link's header cut off", message(RTM_DELLINK, {})},
      {"an attribute of length 0",
       message(RTM_NEWLINK, link(2, ARPHRD_ETHER, named("x") + attribute_of_length(0)))},
      {"an attribute shorter than its header",
       message(RTM_NEWLINK, link(2, ARPHRD_ETHER, named("x") + attribute_of_length(3)))},
      {"an attribute beyond its message",
       message(RTM_NEWLINK, link(2, ARPHRD_ETHER, named("x") + attribute_of_length(9))) + good},
      {"an attribute of the greatest length",
       message(RTM_NEWLINK, link(2, ARPHRD_ETHER, named("x") + attribute_of_length(65535)))},
      {"an attribute's header cut off",
       message(RTM_NEWLINK, link(2, ARPHRD_ETHER, named("x") + Bytes(3)))},
      {"a list of names in which one goes beyond it",
       message(RTM_NEWLINK, link(2, ARPHRD_ETHER,
                                 named("x") + attribute(IFLA_PROP_LIST, attribute_of_length(9))))},
      {"lost messages", message(NLMSG_OVERRUN, {})},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.claim);
    std::vector<LinkMessage> messages;
    EXPECT_FALSE(parse(good + row.damaged, messages));
    ASSERT_EQ(messages.size(), 1u);
    EXPECT_EQ(messages[0].interface.name, "first");
  }
}

TEST(Rtnetlink, ShortAndUnterminatedValues) {
  const auto messages = parse_whole(
      message(RTM_NEWLINK, link(1, ARPHRD_ETHER,
                                attribute(IFLA_IFNAME, {'e', 't', 'h', '0'}) +  // no NUL
                                    attribute(IFLA_MTU, bytes_of(uint32_t{68})) +
                                    attribute(IFLA_STATS64, Bytes(31)) +  // four members are 32
                                    attribute(IFLA_ADDRESS, {}))));
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].interface.name, "eth0");
  EXPECT_FALSE(messages[0].counters);
  EXPECT_EQ(messages[0].hardware_address, "");
}

TEST(Rtnetlink, EveryCutAndRandomDamageIsSurvived) {
  const Bytes whole =
      message(RTM_NEWLINK,
              link(1, ARPHRD_ETHER,
                   named("eth0") + attribute(IFLA_STATS64, Bytes(200, 1)) +
                       attribute(IFLA_PROP_LIST, attribute(IFLA_ALT_IFNAME, string("uplink")))),
              NLM_F_MULTI) +
      message(RTM_DELLINK, link(2, ARPHRD_ETHER, named("eth1"))) +
      message(NLMSG_DONE, bytes_of(int32_t{0}), NLM_F_MULTI);
  size_t whole_cuts = 0;
  for (size_t size = 0; size < whole.size(); size++) {
    std::vector<LinkMessage> messages;
    whole_cuts += parse({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)}, messages);
    EXPECT_LT(messages.size(), 3u);
  }
  EXPECT_EQ(whole_cuts, 3u) << "nothing, and after each message but the last";

  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 20'000; i++) {
    Bytes bytes = whole;
    for (unsigned n = random() % 8; n <= 8; n++) {
      // Damages lengths and types most: small numbers are as likely as all others.
      const uint8_t value = static_cast<uint8_t>(random() % 2 ? random() : random() % 24);
      bytes[random() % bytes.size()] = value;
    }
    bytes.resize(random() % (bytes.size() + 1));
    std::vector<LinkMessage> messages;
    parse(bytes, messages);
    for (const LinkMessage& m : messages) ASSERT_TRUE(m.is_deleted || !m.interface.name.empty());
  }
}

}  // namespace
}  // namespace flowmeter::testing
