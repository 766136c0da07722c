// SPDX-License-Identifier: BSD-3-Clause
// Reads netlink messages and their attributes, and sends requests to the kernel by netlink. Lengths
// in a message are checked against the end of the message, and nothing needs to be aligned.
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flowmeter {

using TakeNetlinkMessage = std::function<void(const nlmsghdr& header, std::string_view body)>;

// Sends one request and passes on the answers. body: what follows the message's header. flags:
// besides NLM_F_REQUEST and NLM_F_ACK.
Status netlink_request(
    int protocol, uint16_t type, unsigned flags, std::string_view body,
    const TakeNetlinkMessage& take = [](const nlmsghdr&, std::string_view) {});

// Asks for a list. If something changes meanwhile, the list may not be whole: calls `begin`, which
// discards everything passed to `take`, and asks again. After some attempts fails with EINTR, and
// `take` has received what there was.
Status netlink_dump(int protocol, uint16_t type, std::string_view body,
                    const std::function<void()>& begin, const TakeNetlinkMessage& take);

// Passes on the messages of one datagram. True if it has the end of the answer. Sets changed if
// something changed during a dump. Fails with the kernel's error, or with EBADMSG if a length is
// impossible.
Result<bool> read_netlink_messages(std::string_view datagram, const TakeNetlinkMessage& take,
                                   bool& changed);

// Removes the first message from a datagram. False if its lengths are impossible.
bool take_netlink_message(std::string_view& datagram, nlmsghdr& header, std::string_view& body);

// Removes the first attribute from the list; its type is returned without flags. False if its
// lengths are impossible, or the list is empty.
bool take_netlink_attribute(std::string_view& attributes, int& type, std::string_view& value);

// Calls visit(type, value) for each attribute. False if they are damaged.
template <typename Visit>
bool for_each_netlink_attribute(std::string_view attributes, Visit&& visit) {
  int type = 0;
  std::string_view value;
  while (!attributes.empty()) {
    if (!take_netlink_attribute(attributes, type, value)) return false;
    visit(type, value);
  }
  return true;
}

// The value of an attribute; empty if it is missing.
std::string_view netlink_attribute(std::string_view attributes, int type);

// A text, up to its NUL.
std::string netlink_text(std::string_view value);

// Reads a struct or a number in host byte order. False if there are too few bytes.
template <typename Value>
bool read_netlink(std::string_view bytes, Value& value) {
  if (bytes.size() < sizeof(value)) return false;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return true;
}

// A number in host byte order; 0 if the value is too short.
template <typename Number>
Number netlink_number(std::string_view value) {
  Number number{};
  (void)read_netlink(value, number);
  return number;
}

// The opposite: a number or structure as bytes. Requires: value outlives the result.
template <typename Value>
std::string_view netlink_bytes(const Value& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}
void append_netlink_attribute(std::string& attributes, uint16_t type, std::string_view value);
// With the NUL that the kernel expects.
void append_netlink_text(std::string& attributes, uint16_t type, const std::string& value);

// The bytes after the first `size` and their padding, which the last part of a message may lack.
inline std::string_view netlink_after(std::string_view bytes, size_t size) {
  return bytes.substr(std::min<size_t>(NLMSG_ALIGN(size), bytes.size()));
}

}  // namespace flowmeter
