// SPDX-License-Identifier: BSD-3-Clause
// The parser of ctnetlink on messages as the kernel sends them, and on damaged ones.
#include "kernel/conntrack.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include <memory>
#include <string>
#include <vector>

#include "flowmeter/packet.h"
#include "kernel/netlink_request.h"

namespace flowmeter::testing {
namespace {

std::string address_bytes(const char* text) {
  const bool is_ipv6 = std::string_view(text).find(':') != std::string_view::npos;
  std::string bytes(is_ipv6 ? 16 : 4, '\0');
  ::inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text, bytes.data());
  return bytes;
}

std::string tuple(uint8_t protocol, const char* source, uint16_t source_port,
                  const char* destination, uint16_t destination_port) {
  const bool is_ipv6 = address_bytes(source).size() == 16;
  std::string addresses, transport, all;
  append_netlink_attribute(addresses, is_ipv6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC,
                           address_bytes(source));
  append_netlink_attribute(addresses, is_ipv6 ? CTA_IP_V6_DST : CTA_IP_V4_DST,
                           address_bytes(destination));
  append_netlink_attribute(transport, CTA_PROTO_NUM, netlink_bytes(protocol));
  const uint16_t from = htons(source_port), to = htons(destination_port);
  append_netlink_attribute(transport, CTA_PROTO_SRC_PORT, netlink_bytes(from));
  append_netlink_attribute(transport, CTA_PROTO_DST_PORT, netlink_bytes(to));
  append_netlink_attribute(all, CTA_TUPLE_IP | NLA_F_NESTED, addresses);
  append_netlink_attribute(all, CTA_TUPLE_PROTO | NLA_F_NESTED, transport);
  return all;
}

std::string message(uint16_t type, const std::string& original, const std::string& reply) {
  const nfgenmsg family{};
  std::string body(netlink_bytes(family));
  append_netlink_attribute(body, CTA_TUPLE_ORIG | NLA_F_NESTED, original);
  append_netlink_attribute(body, CTA_TUPLE_REPLY | NLA_F_NESTED, reply);
  nlmsghdr header{};
  header.nlmsg_type = static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
  header.nlmsg_len = static_cast<uint32_t>(sizeof(header) + body.size());
  return std::string(netlink_bytes(header)) + body;
}

// From memory of exactly the datagram's size, so that AddressSanitizer detects a read beyond it.
bool parse(const std::string& datagram, std::vector<ConntrackEntry>& entries) {
  const std::unique_ptr<char[]> exact(new char[datagram.size()]);
  std::copy(datagram.begin(), datagram.end(), exact.get());
  return parse_conntrack_messages({exact.get(), datagram.size()},
                                  [&](const ConntrackEntry& entry) { entries.push_back(entry); });
}

const std::string kService =
    message(IPCTNL_MSG_CT_NEW, tuple(FM_TCP, "10.0.0.7", 4000, "10.96.0.1", 443),
            tuple(FM_TCP, "10.0.0.2", 6443, "10.0.0.7", 4000));

TEST(Conntrack, BothTuples) {
  std::vector<ConntrackEntry> entries;
  EXPECT_TRUE(parse(kService, entries));
  ASSERT_EQ(entries.size(), 1u);
  const ConntrackEntry& entry = entries[0];
  EXPECT_EQ(entry.protocol, FM_TCP);
  EXPECT_EQ(entry.ip_version, 4);
  const auto is = [](const fm_address& address, const char* text) {
    const fm_address expected = fm_address_ipv4(::inet_addr(text));
    return fm_address_equal(&address, &expected) != 0;
  };
  EXPECT_TRUE(is(entry.original.source, "10.0.0.7"));
  EXPECT_TRUE(is(entry.original.destination, "10.96.0.1"));
  EXPECT_TRUE(is(entry.reply.source, "10.0.0.2"));
  EXPECT_TRUE(is(entry.reply.destination, "10.0.0.7"));
  EXPECT_EQ(entry.original.source_port, 4000);
  EXPECT_EQ(entry.original.destination_port, 443);
  EXPECT_EQ(entry.reply.source_port, 6443);
}

TEST(Conntrack, WhatIsLeftOut) {
  const std::string v4 = tuple(FM_UDP, "10.0.0.7", 4000, "10.96.0.10", 53);
  const std::string v6 = tuple(FM_UDP, "2001:db8::1", 4000, "2001:db8::2", 53);
  const std::string icmp = tuple(FM_ICMP, "10.0.0.7", 0, "10.0.0.2", 0);
  std::vector<ConntrackEntry> entries;
  EXPECT_TRUE(parse(message(IPCTNL_MSG_CT_DELETE, v4, v4), entries));
  EXPECT_TRUE(parse(message(IPCTNL_MSG_CT_NEW, icmp, icmp), entries));
  EXPECT_TRUE(parse(message(IPCTNL_MSG_CT_NEW, v4, ""), entries));
  EXPECT_TRUE(parse(message(IPCTNL_MSG_CT_NEW, "", ""), entries));
  EXPECT_EQ(entries.size(), 0u);
  EXPECT_TRUE(parse(message(IPCTNL_MSG_CT_NEW, v6, v6) + kService, entries));
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].ip_version, 6);
}

TEST(Conntrack, DamagedMessagesAreNoHarm) {
  std::vector<ConntrackEntry> entries;
  for (size_t size = 1; size < kService.size(); size++)
    EXPECT_FALSE(parse(kService.substr(0, size), entries)) << size;
  for (size_t at = sizeof(nlmsghdr); at < kService.size(); at++)
    for (const char byte : {'\0', '\1', '\xff'}) {
      std::string damaged = kService;
      damaged[at] = byte;
      parse(damaged, entries);
    }
}

}  // namespace
}  // namespace flowmeter::testing
