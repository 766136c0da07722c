// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "kernel/netlink_request.h"

namespace flowmeter {
namespace {

// Room for some ten thousand new connections.
constexpr int kNotificationBytes = 8 << 20;
constexpr uint32_t kGroupNew = 1u << (NFNLGRP_CONNTRACK_NEW - 1);

constexpr uint16_t message_type(uint16_t message) {
  return static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
}

uint16_t port_of(std::string_view value) {
  uint16_t port = 0;
  return read_netlink(value, port) ? ntohs(port) : uint16_t{0};
}

// Returns the IP version; 0 if it has no such address.
uint8_t set_address(fm_address& address, std::string_view addresses, int v4, int v6) {
  const std::string_view four = netlink_attribute(addresses, v4);
  const std::string_view six = netlink_attribute(addresses, v6);
  if (four.size() == sizeof(in_addr)) {
    address = fm_address_ipv4(netlink_number<uint32_t>(four));
    return 4;
  }
  return read_netlink(six, address) ? 6 : 0;
}

// False if it is not of TCP or UDP, or damaged.
bool parse_tuple(std::string_view attributes, ConntrackTuple& tuple, ConntrackEntry& entry) {
  const std::string_view addresses = netlink_attribute(attributes, CTA_TUPLE_IP);
  const std::string_view transport = netlink_attribute(attributes, CTA_TUPLE_PROTO);
  entry.protocol = netlink_number<uint8_t>(netlink_attribute(transport, CTA_PROTO_NUM));
  if (entry.protocol != IPPROTO_TCP && entry.protocol != IPPROTO_UDP) return false;
  tuple.source_port = port_of(netlink_attribute(transport, CTA_PROTO_SRC_PORT));
  tuple.destination_port = port_of(netlink_attribute(transport, CTA_PROTO_DST_PORT));
  entry.ip_version = set_address(tuple.source, addresses, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
  return entry.ip_version != 0 && set_address(tuple.destination, addresses, CTA_IP_V4_DST,
                                              CTA_IP_V6_DST) == entry.ip_version;
}

void take_entry(const nlmsghdr& header, std::string_view body, const Conntrack::Take& take) {
  if (header.nlmsg_type != message_type(IPCTNL_MSG_CT_NEW)) return;
  const std::string_view attributes = netlink_after(body, sizeof(nfgenmsg));
  ConntrackEntry entry;
  if (parse_tuple(netlink_attribute(attributes, CTA_TUPLE_ORIG), entry.original, entry) &&
      parse_tuple(netlink_attribute(attributes, CTA_TUPLE_REPLY), entry.reply, entry))
    take(entry);
}

Error conntrack_error(const char* doing, int os_error) {
  return Error{std::string("cannot ") + doing + " tracked connections (conntrack)", os_error};
}

}  // namespace

bool parse_conntrack_messages(std::string_view datagram, const Conntrack::Take& take) {
  while (!datagram.empty()) {
    nlmsghdr header{};
    std::string_view body;
    if (!take_netlink_message(datagram, header, body)) return false;
    take_entry(header, body, take);
  }
  return true;
}

Result<Conntrack> Conntrack::open() {
  auto notifications = NetlinkNotifications::open(NETLINK_NETFILTER, kGroupNew, kNotificationBytes);
  if (!notifications) return conntrack_error("watch", notifications.error().os_error);
  return Conntrack(std::move(*notifications));
}

Status Conntrack::list(const Take& take) {
  const nfgenmsg all{.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = 0};
  // What changes meanwhile is notified. An entry that is passed on twice is no harm.
  const Status listed = netlink_dump(
      NETLINK_NETFILTER, message_type(IPCTNL_MSG_CT_GET), netlink_bytes(all), [] {},
      [&](const nlmsghdr& header, std::string_view body) { take_entry(header, body, take); });
  if (!listed && listed.error().os_error != EINTR)
    return conntrack_error("list", listed.error().os_error);
  return Done{};
}

Result<bool> Conntrack::receive(const Take& take, size_t most) {
  using Receipt = NetlinkNotifications::Receipt;
  bool whole = true;
  for (size_t i = 0; i < most; i++) {
    std::string_view datagram;
    auto received = notifications_.receive(datagram);
    if (!received) return conntrack_error("read", received.error().os_error);
    if (*received == Receipt::kNothing) break;
    if (*received == Receipt::kLost || !parse_conntrack_messages(datagram, take)) whole = false;
  }
  return whole;
}

}  // namespace flowmeter
