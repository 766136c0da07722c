// SPDX-License-Identifier: BSD-3-Clause
// Questions to the kernel by netlink, and the attributes of its answers. Lengths in a message are
// believed only as far as the message goes.
#pragma once

#include <linux/netlink.h>

#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flowmeter {

using TakeNetlinkMessage = std::function<void(const nlmsghdr& header, std::string_view body)>;

// Sends one request, with NLM_F_DUMP or NLM_F_ACK in its flags, and hands over the answers. Fails
// with EINTR after a dump that may be inconsistent, as something changed meanwhile.
// Requires: the whole message of request.nlmsg_len octets follows in memory.
Status netlink_request(int protocol, const nlmsghdr& request, const TakeNetlinkMessage& take);

// Hands over the messages of one datagram; true once it has the end of the answer. Fails with the
// kernel's error, and with EBADMSG on lengths that cannot be.
Result<bool> read_netlink_messages(std::string_view datagram, const TakeNetlinkMessage& take);

// The value of an attribute; empty if it is not there.
std::string_view netlink_attribute(std::string_view attributes, int type);

// A text up to its NUL.
std::string netlink_text(std::string_view value);

// A number in host byte order; 0 if the value is too short.
template <typename Number>
Number netlink_number(std::string_view value) {
  Number number{};
  if (value.size() >= sizeof(number)) std::memcpy(&number, value.data(), sizeof(number));
  return number;
}

}  // namespace flowmeter
