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

// The kernel splits listings into datagrams of at most 32 KiB. A notification is one message of
// some hundred bytes.
constexpr size_t kBufferBytes = 64 * 1024;
// Room for some hundred notifications. If some are lost, the links are listed again.
constexpr int kNotificationBytes = 1 << 20;

// Reads a message that describes a link or reports that it is gone. False if it is damaged.
bool parse_link(bool deleted, std::string_view payload, std::vector<LinkMessage>& messages) {
  struct ifinfomsg header;
  if (!read_netlink(payload, header)) return false;
  // Messages of other families have other meanings: for a bridge port, RTM_DELLINK only means that
  // it left its bridge.
  if (header.ifi_family != AF_UNSPEC || header.ifi_index <= 0) return true;

  LinkMessage message;
  message.interface.index = static_cast<unsigned>(header.ifi_index);
  if (deleted) {
    message.kind = LinkMessage::Kind::kDeleted;
    messages.push_back(std::move(message));
    return true;
  }
  message.interface.is_up = (header.ifi_flags & IFF_UP) != 0;
  message.link_type = header.ifi_type;
  message.is_known_link_type = set_link_type(message.interface, header.ifi_type);

  bool has_mtu = false, whole = true;
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
        whole = for_each_netlink_attribute(value, [&](int info, std::string_view kind) {
          if (info == IFLA_INFO_KIND) message.interface.rank = rank_of_kind(netlink_text(kind));
        });
        break;
      case IFLA_PROP_LIST:
        whole = for_each_netlink_attribute(value, [&](int property, std::string_view name) {
          if (property == IFLA_ALT_IFNAME)
            message.interface.alternative_names.push_back(netlink_text(name));
        });
        break;
      case IFLA_STATS64: {
        // The kernel appends members from time to time; these have always been the first.
        struct {
          uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
        } first;
        if (read_netlink(value, first))
          message.counters = {first.rx_packets, first.tx_packets, first.rx_bytes, first.tx_bytes};
        break;
      }
      default:
        break;
    }
  };
  whole = for_each_netlink_attribute(netlink_after(payload, sizeof(header)), take) && whole;
  if (!whole) return false;
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

    const size_t before = messages.size();
    switch (header.nlmsg_type) {
      case RTM_NEWLINK:
      case RTM_DELLINK:
        if (!parse_link(header.nlmsg_type == RTM_DELLINK, payload, messages)) return false;
        break;
      case NLMSG_ERROR:
      case NLMSG_DONE: {  // both start with 0 or a negated errno value
        int32_t status = 0;
        const bool has_status = read_netlink(payload, status);
        if (!has_status && header.nlmsg_type == NLMSG_ERROR) return false;
        LinkMessage end;
        // An error of 0 is an acknowledgement.
        end.kind = status == 0 ? LinkMessage::Kind::kDone : LinkMessage::Kind::kError;
        end.os_error = status < 0 && status > INT32_MIN ? -status : status ? EPROTO : 0;
        messages.push_back(std::move(end));
        break;
      }
      case NLMSG_OVERRUN:
        return false;
      default:
        break;
    }
    if (messages.size() > before && (header.nlmsg_flags & NLM_F_DUMP_INTR))
      messages.back().is_interrupted = true;
  }
  return true;
}

RtnetlinkSocket::RtnetlinkSocket(UniqueFd fd) : fd_(std::move(fd)), buffer_(kBufferBytes) {}

Result<RtnetlinkSocket> RtnetlinkSocket::open(Notifications notifications) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return rtnetlink_error("read", errno);
  if (notifications == Notifications::kOfLinks) {
    // More than net.core.rmem_max if permitted; otherwise the buffer only overflows a little
    // earlier.
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kNotificationBytes,
                     sizeof(kNotificationBytes)) != 0)
      ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kNotificationBytes,
                   sizeof(kNotificationBytes));
    struct sockaddr_nl address {};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    if (::bind(fd.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) != 0)
      return rtnetlink_error("watch", errno);
  }
  return RtnetlinkSocket(std::move(fd));
}

Status RtnetlinkSocket::request(unsigned index, Counters counters) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg link;
    struct rtattr attribute;
    uint32_t filter;
  } request{};
  static_assert(sizeof(request) == NLMSG_LENGTH(sizeof(struct ifinfomsg)) + RTA_LENGTH(4),
                "padding would stand between header, link and attribute");
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | (index == 0 ? NLM_F_DUMP : 0));
  request.link.ifi_family = AF_UNSPEC;
  request.link.ifi_index = static_cast<int>(index);
  request.attribute.rta_type = IFLA_EXT_MASK;
  request.attribute.rta_len = RTA_LENGTH(sizeof(request.filter));
  request.filter = counters == Counters::kInclude ? 0 : RTEXT_FILTER_SKIP_STATS;

  struct sockaddr_nl kernel {};
  kernel.nl_family = AF_NETLINK;
  if (::sendto(fd_.get(), &request, sizeof(request), 0, reinterpret_cast<struct sockaddr*>(&kernel),
               sizeof(kernel)) < 0)
    return rtnetlink_error("read", errno);
  return Done{};
}

Result<RtnetlinkSocket::Receipt> RtnetlinkSocket::receive(std::vector<LinkMessage>& messages) {
  struct sockaddr_nl sender {};
  struct iovec part {
    buffer_.data(), buffer_.size()
  };
  struct msghdr datagram {};
  datagram.msg_name = &sender;
  datagram.msg_namelen = sizeof(sender);
  datagram.msg_iov = &part;
  datagram.msg_iovlen = 1;
  const ssize_t size = ::recvmsg(fd_.get(), &datagram, MSG_DONTWAIT);
  if (size < 0) {
    if (errno == EAGAIN) return Receipt::kNothing;
    if (errno == ENOBUFS) return Receipt::kLost;
    return rtnetlink_error("read", errno);
  }
  if (sender.nl_pid != 0) return Receipt::kMessages;  // not from the kernel: none
  if (datagram.msg_flags & MSG_TRUNC) return Receipt::kLost;
  return parse_link_messages({buffer_.data(), static_cast<size_t>(size)}, messages)
             ? Receipt::kMessages
             : Receipt::kLost;
}

namespace {

// Sends the request and collects its answer. `is_whole` as in LinkList.
Result<LinkList> ask(unsigned index, RtnetlinkSocket::Counters counters) {
  Result<RtnetlinkSocket> socket = RtnetlinkSocket::open(RtnetlinkSocket::Notifications::kNone);
  if (!socket) return socket.error();
  if (Status sent = socket->request(index, counters); !sent) return sent.error();
  LinkList list;
  std::vector<LinkMessage> messages;
  for (;;) {
    messages.clear();
    Result<RtnetlinkSocket::Receipt> receipt = socket->receive(messages);
    if (!receipt) return receipt.error();
    if (*receipt != RtnetlinkSocket::Receipt::kMessages)
      return rtnetlink_error("read",
                             *receipt == RtnetlinkSocket::Receipt::kLost ? ENOBUFS : EPROTO);
    for (LinkMessage& message : messages) {
      list.is_whole = list.is_whole && !message.is_interrupted;
      if (message.kind == LinkMessage::Kind::kError)
        return rtnetlink_error("read", message.os_error);
      if (message.kind == LinkMessage::Kind::kDone) return list;
      if (message.kind == LinkMessage::Kind::kLink) list.links.push_back(std::move(message));
    }
    if (index != 0 && !list.links.empty()) return list;  // one message, without an end marker
  }
}

}  // namespace

Result<LinkList> list_links() {
  return ask(0, RtnetlinkSocket::Counters::kSkip);
}

Result<LinkMessage> read_link(unsigned index) {
  if (index == 0) return rtnetlink_error("read", ENODEV);  // 0 would request all links
  Result<LinkList> list = ask(index, RtnetlinkSocket::Counters::kInclude);
  if (!list) return list.error();
  if (list->links.empty()) return rtnetlink_error("read", ENODEV);
  return std::move(list->links.front());
}

}  // namespace flowmeter
