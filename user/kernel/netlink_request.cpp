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

// Sends one request and passes on the answers, to their end.
Status exchange(int protocol, uint16_t type, unsigned flags, std::string_view body,
                const TakeNetlinkMessage& take) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + body.size());
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  const std::string request = std::string(netlink_bytes(header)).append(body);

  const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!socket) return Error{"cannot open a netlink socket", errno};
  const int on = 1;  // explanations of errors, without a copy of the whole request
  ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  if (::send(socket.get(), request.data(), request.size(), 0) < 0)
    return Error{"cannot send a netlink request", errno};
  std::vector<char> buffer(kDatagramBytes);
  for (bool changed = false;;) {
    const ssize_t received = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_TRUNC);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return Error{"no netlink answer", errno};
    if (static_cast<size_t>(received) > buffer.size())
      return Error{"a netlink answer is too long", EMSGSIZE};
    auto ended =
        read_netlink_messages({buffer.data(), static_cast<size_t>(received)}, take, changed);
    if (!ended) return ended.error();
    if (*ended && changed) return Error{"the list changed while netlink sent it", EINTR};
    if (*ended) return Done{};
  }
}

}  // namespace

Status netlink_request(int protocol, uint16_t type, unsigned flags, std::string_view body,
                       const TakeNetlinkMessage& take) {
  return exchange(protocol, type, NLM_F_ACK | flags, body, take);
}

Status netlink_dump(int protocol, uint16_t type, std::string_view body,
                    const std::function<void()>& begin, const TakeNetlinkMessage& take) {
  constexpr int kAttempts = 10;
  for (int attempt = 1;; attempt++) {
    begin();
    Status status = exchange(protocol, type, NLM_F_DUMP, body, take);
    if (status || status.error().os_error != EINTR || attempt == kAttempts) return status;
  }
}

Result<bool> read_netlink_messages(std::string_view datagram, const TakeNetlinkMessage& take,
                                   bool& changed) {
  while (!datagram.empty()) {
    nlmsghdr header{};
    std::string_view body;
    if (!take_netlink_message(datagram, header, body))
      return Error{"a netlink answer is damaged", EBADMSG};
    changed = changed || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
    if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
      // Both start with an error, a negative errno value; 0 acknowledges. Old kernels end a dump
      // without one.
      if (header.nlmsg_type == NLMSG_ERROR && body.size() < sizeof(int32_t))
        return Error{"a netlink answer is damaged", EBADMSG};
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

void append_netlink_attribute(std::string& attributes, uint16_t type, std::string_view value) {
  const nlattr header{static_cast<uint16_t>(sizeof(header) + value.size()), type};
  attributes.append(netlink_bytes(header)).append(value);
  attributes.resize(NLMSG_ALIGN(attributes.size()));
}

void append_netlink_text(std::string& attributes, uint16_t type, const std::string& value) {
  append_netlink_attribute(attributes, type, {value.c_str(), value.size() + 1});
}

}  // namespace flowmeter
