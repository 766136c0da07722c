// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rtnetlink.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cerrno>

#include "kernel/netlink_request.h"

namespace flowmeter {
namespace {

// Room for some hundred notifications. If some are lost, the links are listed again.
constexpr int kNotificationBytes = 1 << 20;

void read_counters(std::string_view statistics, LinkMessage& message) {
  // The kernel appends members from time to time; these have always been the first.
  struct {
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
  } first;
  if (read_netlink(statistics, first))
    message.counters = {first.rx_packets, first.tx_packets, first.rx_bytes, first.tx_bytes};
}

void set_peer(Interface& interface, unsigned link, bool elsewhere) {
  using Peer = Interface::Peer;
  interface.peer = elsewhere ? Peer::kElsewhere : link == 0 ? Peer::kNotYet : Peer::kHere;
  if (interface.peer == Peer::kHere) interface.peer_index = link;
}

// Reads a message that describes a link (RTM_NEWLINK) or reports that it is gone (RTM_DELLINK).
// False if it is damaged.
bool parse_link(uint16_t message_type, std::string_view payload,
                std::vector<LinkMessage>& messages) {
  struct ifinfomsg header;
  if (!read_netlink(payload, header)) return false;
  // Messages of other families have other meanings: for a bridge port, RTM_DELLINK only means that
  // it left its bridge.
  if (header.ifi_family != AF_UNSPEC || header.ifi_index <= 0) return true;

  LinkMessage message;
  message.interface.index = static_cast<unsigned>(header.ifi_index);
  if (message_type == RTM_DELLINK) {
    message.is_deleted = true;
    read_counters(netlink_attribute(netlink_after(payload, sizeof(header)), IFLA_STATS64), message);
    messages.push_back(std::move(message));
    return true;
  }
  message.interface.is_up = (header.ifi_flags & IFF_UP) != 0;
  message.link_type = header.ifi_type;
  message.is_known_link_type = set_link_type(message.interface, header.ifi_type);

  bool has_mtu = false, whole = true, peer_is_elsewhere = false;
  std::string kind;
  unsigned link = 0;
  const auto take = [&](int type, std::string_view value) {
    switch (type) {
      case IFLA_IFNAME:
        message.interface.name = netlink_text(value);
        break;
      case IFLA_MTU:
        has_mtu = read_netlink(value, message.interface.mtu);
        break;
      case IFLA_ADDRESS:
        message.hardware_address.assign(value.begin(), value.end());
        break;
      case IFLA_LINKINFO:
        whole = for_each_netlink_attribute(value, [&](int info, std::string_view text) {
          if (info == IFLA_INFO_KIND) kind = netlink_text(text);
        });
        break;
      case IFLA_LINK_NETNSID:
        peer_is_elsewhere = true;
        break;
      case IFLA_PROP_LIST:
        whole = for_each_netlink_attribute(value, [&](int property, std::string_view name) {
          if (property == IFLA_ALT_IFNAME)
            message.interface.alternative_names.push_back(netlink_text(name));
        });
        break;
      case IFLA_LINK:
        link = netlink_number<unsigned>(value);
        break;
      case IFLA_STATS64:
        read_counters(value, message);
        break;
      default:
        break;
    }
  };
  whole = for_each_netlink_attribute(netlink_after(payload, sizeof(header)), take) && whole;
  if (!whole) return false;
  message.interface.rank = rank_of_kind(kind);
  message.interface.senders_are_local = senders_are_local(kind);
  if (is_pair_kind(kind)) set_peer(message.interface, link, peer_is_elsewhere);
  // Wireless drivers send their events as RTM_NEWLINK, too, and those describe no link.
  if (has_mtu && !message.interface.name.empty()) messages.push_back(std::move(message));
  return true;
}

Error rtnetlink_error(const char* doing, int os_error) {
  return Error{std::string("cannot ") + doing + " network interfaces by rtnetlink", os_error};
}

}  // namespace

bool parse_link_messages(std::string_view datagram, std::vector<LinkMessage>& messages) {
  while (!datagram.empty()) {
    struct nlmsghdr header {};
    std::string_view payload;
    if (!take_netlink_message(datagram, header, payload)) return false;

    if (header.nlmsg_type == NLMSG_OVERRUN) return false;
    const uint16_t type = header.nlmsg_type;
    if ((type == RTM_NEWLINK || type == RTM_DELLINK) && !parse_link(type, payload, messages))
      return false;
  }
  return true;
}

Result<RtnetlinkSocket> RtnetlinkSocket::open() {
  auto notifications = NetlinkNotifications::open(NETLINK_ROUTE, RTMGRP_LINK, kNotificationBytes);
  if (!notifications) return rtnetlink_error("watch", notifications.error().os_error);
  return RtnetlinkSocket(std::move(*notifications));
}

Result<RtnetlinkSocket::Receipt> RtnetlinkSocket::receive(std::vector<LinkMessage>& messages) {
  std::string_view datagram;
  auto received = notifications_.receive(datagram);
  if (!received) return rtnetlink_error("read", received.error().os_error);
  if (*received == NetlinkNotifications::Receipt::kNothing) return Receipt::kNothing;
  if (*received == NetlinkNotifications::Receipt::kLost) return Receipt::kLost;
  return parse_link_messages(datagram, messages) ? Receipt::kMessages : Receipt::kLost;
}

namespace {

// Requests one link, or all of them (index 0). filter: what to leave out (RTEXT_FILTER_…).
std::string link_request(unsigned index, uint32_t filter) {
  struct ifinfomsg link {};
  link.ifi_family = AF_UNSPEC;
  link.ifi_index = static_cast<int>(index);
  std::string request(netlink_bytes(link));
  append_netlink_attribute(request, IFLA_EXT_MASK, netlink_bytes(filter));
  return request;
}

}  // namespace

Result<LinkList> list_links() {
  LinkList list;
  bool damaged = false;
  const Status listed = netlink_dump(
      NETLINK_ROUTE, RTM_GETLINK, link_request(0, RTEXT_FILTER_SKIP_STATS),
      [&] { list.links.clear(); },
      [&](const nlmsghdr&, std::string_view body) {
        damaged = !parse_link(RTM_NEWLINK, body, list.links) || damaged;
      });
  list.is_whole = static_cast<bool>(listed);
  if (!listed && listed.error().os_error != EINTR)
    return rtnetlink_error("read", listed.error().os_error);
  if (damaged) return rtnetlink_error("read", EBADMSG);
  return list;
}

Result<LinkMessage> read_link(unsigned index) {
  if (index == 0) return rtnetlink_error("read", ENODEV);  // 0 would request all links
  std::vector<LinkMessage> links;
  const Status read = netlink_request(
      NETLINK_ROUTE, RTM_GETLINK, 0, link_request(index, 0),
      [&](const nlmsghdr&, std::string_view body) { parse_link(RTM_NEWLINK, body, links); });
  if (!read) return rtnetlink_error("read", read.error().os_error);
  if (links.empty()) return rtnetlink_error("read", ENODEV);
  return std::move(links.front());
}

}  // namespace flowmeter
