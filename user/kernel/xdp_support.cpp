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

// A request with one attribute.
template <typename Value>
struct Request {
  nlmsghdr header{};
  genlmsghdr command{};
  nlattr attribute{};
  Value value{};

  Request(uint16_t family, uint8_t what, uint16_t type, const Value& of) : value(of) {
    header.nlmsg_len = sizeof(*this);
    header.nlmsg_type = family;
    header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    command.cmd = what;
    command.version = 1;
    attribute.nla_len = sizeof(attribute) + sizeof(value);
    attribute.nla_type = type;
  }
};

}  // namespace

std::optional<bool> has_native_xdp(const Interface& interface) {
  struct FamilyName {
    char text[8];
  };
  uint16_t family = 0;
  const Request<FamilyName> find(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME,
                                 {"netdev"});
  const Status found =
      netlink_request(NETLINK_GENERIC, find.header, [&](const nlmsghdr&, std::string_view body) {
        if (body.size() >= GENL_HDRLEN)
          family = netlink_number<uint16_t>(
              netlink_attribute(body.substr(GENL_HDRLEN), CTRL_ATTR_FAMILY_ID));
      });
  if (!found || family == 0) return std::nullopt;

  std::optional<bool> native;
  const Request<uint32_t> ask(family, kNetdevGet, kNetdevIndex, interface.index);
  const Status asked =
      netlink_request(NETLINK_GENERIC, ask.header, [&](const nlmsghdr&, std::string_view body) {
        if (body.size() < GENL_HDRLEN) return;
        const auto value = netlink_attribute(body.substr(GENL_HDRLEN), kNetdevXdpFeatures);
        if (!value.empty()) native = (netlink_number<uint64_t>(value) & kXdpBasic) != 0;
      });
  if (!asked) return std::nullopt;
  return native;
}

}  // namespace flowmeter
