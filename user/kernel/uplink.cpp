// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/uplink.h"

#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "kernel/netlink_request.h"

namespace flowmeter {
namespace {

// The interface through which the address is reached; 0: none.
unsigned interface_to(unsigned char family, std::string_view address) {
  struct rtmsg route {};
  route.rtm_family = family;
  route.rtm_dst_len = static_cast<unsigned char>(address.size() * 8);
  std::string request(netlink_bytes(route));
  append_netlink_attribute(request, RTA_DST, address);
  unsigned index = 0;
  (void)netlink_request(NETLINK_ROUTE, RTM_GETROUTE, 0, request,
                        [&](const nlmsghdr&, std::string_view body) {
                          const std::string_view found = netlink_after(body, sizeof(route));
                          index = netlink_number<uint32_t>(netlink_attribute(found, RTA_OIF));
                        });
  return index;
}

}  // namespace

std::array<unsigned, 2> find_uplinks() {
  // Any global addresses do; nothing is sent to these.
  constexpr unsigned char kIpv4[4] = {9, 9, 9, 9};
  constexpr unsigned char kIpv6[16] = {0x26, 0x20, 0x00, 0xfe, 0, 0, 0, 0,
                                       0,    0,    0,    0,    0, 0, 0, 0xfe};
  return {interface_to(AF_INET, netlink_bytes(kIpv4)),
          interface_to(AF_INET6, netlink_bytes(kIpv6))};
}

}  // namespace flowmeter
