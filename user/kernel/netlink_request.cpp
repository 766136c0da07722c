// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/netlink_request.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/unique_fd.h"

namespace flowmeter {
namespace {

// More than the kernel puts into one datagram of a dump.
constexpr size_t kDatagramBytes = 65536;

// Without what is before `size`, which the sender has padded, except at the end.
std::string_view behind(std::string_view data, size_t size) {
  return data.substr(std::min<size_t>(NLMSG_ALIGN(size), data.size()));
}

// The kernel's own words for why it refuses a request; behind the request's header, which it
// echoes.
std::string explanation(const nlmsghdr& header, std::string_view body) {
  constexpr size_t kEcho = sizeof(int32_t) + sizeof(nlmsghdr);
  if (header.nlmsg_type != NLMSG_ERROR || !(header.nlmsg_flags & NLM_F_ACK_TLVS)) return "";
  return netlink_text(netlink_attribute(behind(body, kEcho), NLMSGERR_ATTR_MSG));
}

}  // namespace

Status netlink_request(int protocol, const nlmsghdr& request, const TakeNetlinkMessage& take) {
  const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  const int on = 1;  // explanations of errors, without the whole request in front of them
  ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  if (!socket || ::send(socket.get(), &request, request.nlmsg_len, 0) < 0)
    return Error{"cannot ask the kernel by netlink", errno};
  std::vector<char> buffer(kDatagramBytes);
  for (;;) {
    const ssize_t received = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_TRUNC);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return Error{"no answer by netlink", errno};
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
    if (datagram.size() < sizeof(header)) return Error{"a netlink answer is damaged", EBADMSG};
    std::memcpy(&header, datagram.data(), sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > datagram.size())
      return Error{"a netlink answer is damaged", EBADMSG};
    const std::string_view body = behind(datagram.substr(0, header.nlmsg_len), sizeof(header));
    if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0)
      return Error{"what netlink lists has changed meanwhile", EINTR};
    if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
      // Both begin with an error, a negative errno value; 0 acknowledges.
      const int error = netlink_number<int32_t>(body);
      if (error == 0) return true;
      const std::string words = explanation(header, body);
      return Error{words.empty() ? "the kernel's answer by netlink" : words,
                   error < 0 ? -error : EBADMSG};
    }
    take(header, body);
    datagram = behind(datagram, header.nlmsg_len);
  }
  return false;
}

std::string_view netlink_attribute(std::string_view attributes, int type) {
  while (attributes.size() >= sizeof(nlattr)) {
    nlattr header;
    std::memcpy(&header, attributes.data(), sizeof(header));
    if (header.nla_len < sizeof(header) || header.nla_len > attributes.size()) break;
    if ((header.nla_type & NLA_TYPE_MASK) == type)
      return attributes.substr(sizeof(header), header.nla_len - sizeof(header));
    attributes = behind(attributes, header.nla_len);
  }
  return {};
}

std::string netlink_text(std::string_view value) {
  return std::string(value.substr(0, value.find('\0')));
}

}  // namespace flowmeter
