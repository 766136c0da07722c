// SPDX-License-Identifier: BSD-3-Clause
#include "capture/traffic_control.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace flowmeter {
namespace {

uint32_t parent_of(Direction direction) {
  return TC_H_MAKE(TC_H_CLSACT,
                   direction == Direction::kIngress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

template <typename T>
T number(std::string_view value) {
  T result{};
  if (value.size() >= sizeof(result)) std::memcpy(&result, value.data(), sizeof(result));
  return result;
}

std::string text(std::string_view value) {
  return std::string(value.substr(0, value.find('\0')));
}

// Value of an attribute; empty if it is not there. A length that cannot be ends the search.
std::string_view attribute(std::string_view attributes, int type) {
  while (attributes.size() >= sizeof(rtattr)) {
    const auto header = number<rtattr>(attributes);
    if (header.rta_len < sizeof(header) || header.rta_len > attributes.size()) break;
    if ((header.rta_type & NLA_TYPE_MASK) == type)
      return attributes.substr(sizeof(header), header.rta_len - sizeof(header));
    attributes.remove_prefix(std::min<size_t>(RTA_ALIGN(header.rta_len), attributes.size()));
  }
  return {};
}

void append(std::string& attributes, uint16_t type, std::string_view value) {
  const rtattr header{static_cast<uint16_t>(sizeof(header) + value.size()), type};
  attributes.append(reinterpret_cast<const char*>(&header), sizeof(header)).append(value);
  attributes.resize(RTA_ALIGN(attributes.size()));
}
void append(std::string& attributes, uint16_t type, uint32_t value) {
  append(attributes, type, {reinterpret_cast<const char*>(&value), sizeof(value)});
}
// With the terminating 0, as the kernel wants it.
void append_text(std::string& attributes, uint16_t type, const std::string& value) {
  append(attributes, type, {value.c_str(), value.size() + 1});
}

uint32_t info_of(const TrafficFilter& filter) {
  return TC_H_MAKE(uint32_t{filter.priority} << 16, htons(filter.protocol));
}

// The kernel's own words for why it refuses a request, behind its echo of the request's header.
std::string explanation(std::string_view error_body) {
  const size_t echo = sizeof(int) + sizeof(nlmsghdr);
  return error_body.size() > echo ? text(attribute(error_body.substr(echo), NLMSGERR_ATTR_MSG))
                                  : "";
}

}  // namespace

Result<TrafficControl> TrafficControl::open() {
  TrafficControl control;
  control.socket_ = UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  const int on = 1;
  // rtnetlink answers before send() returns, so a wait would be for ever.
  const struct timeval limit { 5, 0 };
  if (!control.socket_) return Error{"cannot open a netlink socket", errno};
  ::setsockopt(control.socket_.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  ::setsockopt(control.socket_.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  ::setsockopt(control.socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return control;
}

Status TrafficControl::request(uint16_t type, uint16_t flags, const Message& message,
                               const std::function<void(const Message&)>& take) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_LENGTH(sizeof(tcmsg)) + message.attributes.size());
  header.nlmsg_type = type;
  // One of the two bits of NLM_F_DUMP is NLM_F_EXCL elsewhere.
  const bool is_dump = (flags & NLM_F_DUMP) == NLM_F_DUMP;
  header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags | (is_dump ? 0 : NLM_F_ACK));
  header.nlmsg_seq = ++sequence_;
  tcmsg tc{};
  tc.tcm_family = AF_UNSPEC;
  tc.tcm_ifindex = message.interface_index;
  tc.tcm_handle = message.handle;
  tc.tcm_parent = message.parent;
  tc.tcm_info = message.info;
  std::string octets(reinterpret_cast<const char*>(&header), sizeof(header));
  octets.append(reinterpret_cast<const char*>(&tc), sizeof(tc)).append(message.attributes);
  if (::send(socket_.get(), octets.data(), octets.size(), 0) < 0) return Error{"", errno};
  return receive(take);
}

// Reads the answer to its end: the acknowledgement, or the end of a dump.
Status TrafficControl::receive(const std::function<void(const Message&)>& take) {
  alignas(nlmsghdr) std::array<char, 32768> buffer;  // no part of a dump is larger
  for (bool interrupted = false;;) {
    const ssize_t received = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_TRUNC);
    if (received < 0 && errno == EINTR) continue;
    if (received < 0) return Error{"", errno};
    if (received == 0 || static_cast<size_t>(received) > buffer.size()) return Error{"", EMSGSIZE};
    std::string_view rest(buffer.data(), static_cast<size_t>(received));
    while (rest.size() >= sizeof(nlmsghdr)) {
      const auto header = number<nlmsghdr>(rest);
      if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > rest.size())
        return Error{"", EBADMSG};
      const std::string_view body = rest.substr(sizeof(header), header.nlmsg_len - sizeof(header));
      rest.remove_prefix(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
      if (header.nlmsg_seq != sequence_) continue;
      interrupted = interrupted || (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0;
      if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
        const int error = -number<int>(body);
        if (error > 0) return Error{explanation(body), error};
        if (interrupted) return Error{"", EINTR};
        return Done{};
      }
      if (body.size() < sizeof(tcmsg)) continue;
      const auto tc = number<tcmsg>(body);
      take({tc.tcm_ifindex, tc.tcm_handle, tc.tcm_parent, tc.tcm_info, body.substr(sizeof(tcmsg))});
    }
  }
}

Result<std::vector<TrafficControl::Qdisc>> TrafficControl::ingress_qdiscs() {
  std::vector<Qdisc> qdiscs;
  Status status = Done{};
  // A dump during which something changed is taken again.
  for (int attempt = 0; attempt < 10; attempt++) {
    qdiscs.clear();
    status = request(RTM_GETQDISC, NLM_F_DUMP, {}, [&](const Message& message) {
      if (message.parent == TC_H_INGRESS)
        qdiscs.push_back({static_cast<unsigned>(message.interface_index),
                          text(attribute(message.attributes, TCA_KIND))});
    });
    if (status) return qdiscs;
    if (status.error().os_error != EINTR) break;
  }
  return status.error();
}

Result<std::vector<TrafficFilter>> TrafficControl::filters(unsigned interface_index,
                                                           Direction direction) {
  std::vector<TrafficFilter> filters;
  Status status = Done{};
  for (int attempt = 0; attempt < 10; attempt++) {
    filters.clear();
    const Message which{static_cast<int>(interface_index), 0, parent_of(direction), 0, {}};
    status = request(RTM_GETTFILTER, NLM_F_DUMP, which, [&](const Message& message) {
      if (message.interface_index != which.interface_index) return;
      TrafficFilter filter;
      filter.interface_index = interface_index;
      filter.direction = direction;
      filter.chain = number<uint32_t>(attribute(message.attributes, TCA_CHAIN));
      filter.priority = static_cast<uint16_t>(TC_H_MAJ(message.info) >> 16);
      filter.protocol = ntohs(static_cast<uint16_t>(TC_H_MIN(message.info)));
      filter.handle = message.handle;
      filter.kind = text(attribute(message.attributes, TCA_KIND));
      if (filter.kind == "bpf")
        filter.name = text(attribute(attribute(message.attributes, TCA_OPTIONS), TCA_BPF_NAME));
      filters.push_back(std::move(filter));
    });
    if (status) return filters;
    if (status.error().os_error != EINTR) break;
  }
  return status.error();
}

Result<bool> TrafficControl::clsact_is_empty(unsigned interface_index) {
  for (const Direction direction : {Direction::kIngress, Direction::kEgress}) {
    auto filters = this->filters(interface_index, direction);
    if (!filters) return filters.error();
    if (!filters->empty()) return false;
    bool has_chains = false;  // that someone made by `tc chain add`
    const Message which{static_cast<int>(interface_index), 0, parent_of(direction), 0, {}};
    Status status = request(RTM_GETCHAIN, NLM_F_DUMP, which,
                            [&has_chains](const Message&) { has_chains = true; });
    if (!status) return status.error();
    if (has_chains) return false;
  }
  return true;
}

Status TrafficControl::create_clsact(unsigned interface_index) {
  std::string attributes;
  append_text(attributes, TCA_KIND, "clsact");
  return request(
      RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL,
      {static_cast<int>(interface_index), TC_H_MAKE(TC_H_CLSACT, 0), TC_H_CLSACT, 0, attributes},
      [](const Message&) {});
}

Status TrafficControl::delete_clsact(unsigned interface_index) {
  std::string attributes;
  append_text(attributes, TCA_KIND, "clsact");
  return request(
      RTM_DELQDISC, 0,
      {static_cast<int>(interface_index), TC_H_MAKE(TC_H_CLSACT, 0), TC_H_CLSACT, 0, attributes},
      [](const Message&) {});
}

Status TrafficControl::add_filter(const TrafficFilter& filter, int program_fd) {
  std::string options;
  append(options, TCA_BPF_FD, static_cast<uint32_t>(program_fd));
  append_text(options, TCA_BPF_NAME, filter.name);
  append(options, TCA_BPF_FLAGS, uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
  std::string attributes;
  append_text(attributes, TCA_KIND, filter.kind);
  append(attributes, NLA_F_NESTED | TCA_OPTIONS, options);
  return request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL,
                 {static_cast<int>(filter.interface_index), filter.handle,
                  parent_of(filter.direction), info_of(filter), attributes},
                 [](const Message&) {});
}

Status TrafficControl::delete_filter(const TrafficFilter& filter) {
  // To the kernel 0 is "all": without a handle it deletes the priority, without that everything.
  if (filter.handle == 0 || filter.priority == 0) return Error{"not a filter", EINVAL};
  std::string attributes;
  append_text(attributes, TCA_KIND, filter.kind);
  if (filter.chain != 0) append(attributes, TCA_CHAIN, filter.chain);
  return request(RTM_DELTFILTER, 0,
                 {static_cast<int>(filter.interface_index), filter.handle,
                  parent_of(filter.direction), info_of(filter), attributes},
                 [](const Message&) {});
}

}  // namespace flowmeter
