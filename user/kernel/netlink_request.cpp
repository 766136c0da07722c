// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/netlink_request.h"

#include <sys/socket.h>

#include <cerrno>
#include <vector>

#include "base/unique_fd.h"

namespace flowmeter {
namespace {

// Larger than any datagram of a dump.
constexpr size_t kDatagramBytes = 65536;

// The kernel's own text that explains why it refuses a request. It follows the request's header,
// which the answer repeats.
std::string explanation(const nlmsghdr& header, std::string_view body) {
  constexpr size_t kEcho = sizeof(int32_t) + sizeof(nlmsghdr);
  if (header.nlmsg_type != NLMSG_ERROR || !(header.nlmsg_flags & NLM_F_ACK_TLVS)) return "";
  return netlink_text(netlink_attribute(netlink_after(body, kEcho), NLMSGERR_ATTR_MSG));
}

}  // namespace

Status netlink_request(int protocol, const nlmsghdr& request, const TakeNetlinkMessage& take) {
  const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  const int on = 1;  // explanations of errors, without a copy of the whole request
  ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  if (!socket || ::send(socket.get(), &request, request.nlmsg_len, 0) < 0)
    return Error{"cannot send a netlink request", errno};
  std::vector<char> buffer(kDatagramBytes);
  for (;;) {
    const ssize_t received = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_TRUNC);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return Error{"no netlink answer", errno};
    if (static_cast<size_t>(received) > buffer.size())
      return Error{"a netlink answer is too long", EMSGSIZE};
    auto ended = read_netlink_messages({buffer.data(), static_cast<size_t>(received)}, take);
    if (!ended) return ended.error();
    if (*ended) return Done{};
  }
}

Result<bool> read_netlink_messages(std::string_view datagram, const TakeNetlinkMessage& take) {
  while (!datagram.empty()) {
    nlmsghdr header{};
    std::string_view body;
    if (!take_netlink_message(datagram, header, body))
      return Error{"a netlink answer is damaged", EBADMSG};
    if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0)
      return Error{"the list changed while netlink sent it", EINTR};
    if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
      // Both start with an error, a negative errno value; 0 acknowledges.
      const int error = netlink_number<int32_t>(body);
      if (error == 0) return true;
      const std::string words = explanation(header, body);
      return Error{words.empty() ? "netlink request failed" : words, error < 0 ? -error : EBADMSG};
    }
    take(header, body);
  }
  return false;
}

bool take_netlink_message(std::string_view& datagram, nlmsghdr& header, std::string_view& body) {
  if (!read_netlink(datagram, header) || header.nlmsg_len < sizeof(header) ||
      header.nlmsg_len > datagram.size())
    return false;
  body = datagram.substr(sizeof(header), header.nlmsg_len - sizeof(header));
  datagram = netlink_after(datagram, header.nlmsg_len);
  return true;
}

bool take_netlink_attribute(std::string_view& attributes, int& type, std::string_view& value) {
  nlattr header;
  if (!read_netlink(attributes, header) || header.nla_len < sizeof(header) ||
      header.nla_len > attributes.size())
    return false;
  type = header.nla_type & NLA_TYPE_MASK;
  value = attributes.substr(sizeof(header), header.nla_len - sizeof(header));
  attributes = netlink_after(attributes, header.nla_len);
  return true;
}

std::string_view netlink_attribute(std::string_view attributes, int type) {
  int each = 0;
  std::string_view value;
  while (take_netlink_attribute(attributes, each, value))
    if (each == type) return value;
  return {};
}

std::string netlink_text(std::string_view value) {
  return std::string(value.substr(0, value.find('\0')));
}

}  // namespace flowmeter
