// SPDX-License-Identifier: BSD-3-Clause
// Reads netlink messages and their attributes, and sends requests to the kernel by netlink. Lengths
// in a message are checked against the end of the message, and nothing needs to be aligned.
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flowmeter {

using TakeNetlinkMessage = std::function<void(const nlmsghdr& header, std::string_view body)>;

// Sends one request, with NLM_F_DUMP or NLM_F_ACK in its flags, and passes on the answers. Fails
// with EINTR if something changed during a dump, which may then be inconsistent.
// Requires: the whole message of request.nlmsg_len bytes follows in memory.
Status netlink_request(int protocol, const nlmsghdr& request, const TakeNetlinkMessage& take);

// Passes on the messages of one datagram. True if it has the end of the answer. Fails with the
// kernel's error, or with EBADMSG if a length is impossible.
Result<bool> read_netlink_messages(std::string_view datagram, const TakeNetlinkMessage& take);

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

// The bytes after the first `size` and their padding, which the last part of a message may lack.
inline std::string_view netlink_after(std::string_view bytes, size_t size) {
  return bytes.substr(std::min<size_t>(NLMSG_ALIGN(size), bytes.size()));
}

}  // namespace flowmeter
