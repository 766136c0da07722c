// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/uplink.h"

#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "kernel/netlink_request.h"

namespace flowmeter {
namespace {

// The interface through which the address is reached; 0: none. Nothing: want of descriptors or
// memory.
std::optional<unsigned> interface_to(unsigned char family, std::string_view address) {
  struct rtmsg route {};
  route.rtm_family = family;
  route.rtm_dst_len = static_cast<unsigned char>(address.size() * 8);
  std::string request(netlink_bytes(route));
  append_netlink_attribute(request, RTA_DST, address);
  unsigned index = 0;
  const Status asked = netlink_request(
      NETLINK_ROUTE, RTM_GETROUTE, 0, request, [&](const nlmsghdr&, std::string_view body) {
        const std::string_view found = netlink_after(body, sizeof(route));
        index = netlink_number<uint32_t>(netlink_attribute(found, RTA_OIF));
      });
  if (!asked && asked.error().is_shortage()) return std::nullopt;
  return index;
}

}  // namespace

std::optional<std::array<unsigned, 2>> find_uplinks() {
  // Any global addresses do; nothing is sent to these.
  constexpr unsigned char kIpv4[4] = {9, 9, 9, 9};
  constexpr unsigned char kIpv6[16] = {0x26, 0x20, 0x00, 0xfe, 0, 0, 0, 0,
                                       0,    0,    0,    0,    0, 0, 0, 0xfe};
  const auto by_ipv4 = interface_to(AF_INET, netlink_bytes(kIpv4));
  const auto by_ipv6 = interface_to(AF_INET6, netlink_bytes(kIpv6));
  if (!by_ipv4 || !by_ipv6) return std::nullopt;
  return std::array{*by_ipv4, *by_ipv6};
}

}  // namespace flowmeter
