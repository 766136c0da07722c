// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/xdp_support.h"

#include <linux/genetlink.h>

#include <cstdint>

#include "kernel/netlink_request.h"

namespace flowmeter {
namespace {

// Values of linux/netdev.h (Linux 6.3), which older headers lack.
constexpr uint8_t kNetdevGet = 1;           // NETDEV_CMD_DEV_GET
constexpr uint16_t kNetdevIndex = 1;        // NETDEV_A_DEV_IFINDEX
constexpr uint16_t kNetdevXdpFeatures = 3;  // NETDEV_A_DEV_XDP_FEATURES
constexpr uint64_t kXdpBasic = 1;           // NETDEV_XDP_ACT_BASIC

// Sends a command with one attribute. Calls take(attributes) for each message of the answer.
template <typename Take>
Status ask(uint16_t family, uint8_t what, uint16_t type, std::string_view value, Take&& take) {
  const genlmsghdr command{what, 1, 0};
  std::string request(netlink_bytes(command));
  append_netlink_attribute(request, type, value);
  return netlink_request(NETLINK_GENERIC, family, 0, request,
                         [&](const nlmsghdr&, std::string_view body) {
                           if (body.size() >= GENL_HDRLEN) take(body.substr(GENL_HDRLEN));
                         });
}

}  // namespace

std::optional<bool> has_native_xdp(const Interface& interface) {
  uint16_t family = 0;
  const Status found =
      ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, {"netdev", sizeof("netdev")},
          [&](std::string_view attributes) {
            family = netlink_number<uint16_t>(netlink_attribute(attributes, CTRL_ATTR_FAMILY_ID));
          });
  if (!found || family == 0) return std::nullopt;

  std::optional<bool> native;
  const Status asked = ask(family, kNetdevGet, kNetdevIndex, netlink_bytes(interface.index),
                           [&](std::string_view attributes) {
                             const auto value = netlink_attribute(attributes, kNetdevXdpFeatures);
                             if (!value.empty())
                               native = (netlink_number<uint64_t>(value) & kXdpBasic) != 0;
                           });
  if (!asked) return std::nullopt;
  return native;
}

}  // namespace flowmeter
