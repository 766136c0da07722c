// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/traffic_control.h"

#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <functional>
#include <string_view>

#include "kernel/netlink_request.h"

namespace flowmeter {
namespace {

uint32_t parent_of(Direction direction) {
  return TC_H_MAKE(TC_H_CLSACT,
                   direction == Direction::kIngress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

tcmsg tc_message(unsigned interface_index, uint32_t parent) {
  tcmsg message{};
  message.tcm_family = AF_UNSPEC;
  message.tcm_ifindex = static_cast<int>(interface_index);
  message.tcm_parent = parent;
  return message;
}

tcmsg clsact_message(unsigned interface_index) {
  tcmsg message = tc_message(interface_index, TC_H_CLSACT);
  message.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
  return message;
}

tcmsg filter_message(const TrafficFilter& filter) {
  tcmsg message = tc_message(filter.interface_index, parent_of(filter.direction));
  message.tcm_handle = filter.handle;
  message.tcm_info = TC_H_MAKE(uint32_t{filter.priority} << 16, htons(filter.protocol));
  return message;
}

template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

void append(std::string& attributes, uint16_t type, std::string_view value) {
  const rtattr header{static_cast<uint16_t>(sizeof(header) + value.size()), type};
  attributes.append(bytes_of(header)).append(value);
  attributes.resize(RTA_ALIGN(attributes.size()));
}
// With the terminating 0 that the kernel expects.
void append_text(std::string& attributes, uint16_t type, const std::string& value) {
  append(attributes, type, {value.c_str(), value.size() + 1});
}

using Take = std::function<void(const tcmsg& message, std::string_view attributes)>;

Status request(
    uint16_t type, unsigned flags, const tcmsg& message, std::string_view attributes,
    const Take& take = [](const tcmsg&, std::string_view) {}) {
  std::string bytes(NLMSG_HDRLEN, '\0');
  bytes.append(bytes_of(message)).append(attributes);
  auto* header = reinterpret_cast<nlmsghdr*>(bytes.data());
  header->nlmsg_len = static_cast<uint32_t>(bytes.size());
  header->nlmsg_type = type;
  header->nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  return netlink_request(NETLINK_ROUTE, *header, [&](const nlmsghdr&, std::string_view body) {
    if (body.size() < sizeof(tcmsg)) return;
    take(netlink_number<tcmsg>(body), body.substr(sizeof(tcmsg)));
  });
}

Status change(uint16_t type, unsigned flags, const tcmsg& message, std::string_view attributes) {
  return request(type, NLM_F_ACK | flags, message, attributes);
}

// If something changed during the dump, calls `begin`, which discards everything passed to `take`,
// and dumps again.
Status dump(uint16_t type, const tcmsg& which, const std::function<void()>& begin,
            const Take& take) {
  constexpr int kAttempts = 10;
  for (int attempt = 1;; attempt++) {
    begin();
    Status status = request(type, NLM_F_DUMP, which, {}, take);
    if (status || status.error().os_error != EINTR || attempt == kAttempts) return status;
  }
}

}  // namespace

Result<std::vector<IngressQdisc>> list_ingress_qdiscs() {
  std::vector<IngressQdisc> qdiscs;
  Status status = dump(
      RTM_GETQDISC, tc_message(0, 0), [&] { qdiscs.clear(); },
      [&](const tcmsg& message, std::string_view attributes) {
        if (message.tcm_parent == TC_H_INGRESS)  // the same for clsact
          qdiscs.push_back({static_cast<unsigned>(message.tcm_ifindex),
                            netlink_text(netlink_attribute(attributes, TCA_KIND))});
      });
  if (!status) return status.error();
  return qdiscs;
}

Result<std::vector<TrafficFilter>> list_filters(unsigned interface_index, Direction direction) {
  std::vector<TrafficFilter> filters;
  Status status = dump(
      RTM_GETTFILTER, tc_message(interface_index, parent_of(direction)), [&] { filters.clear(); },
      [&](const tcmsg& message, std::string_view attributes) {
        TrafficFilter filter;
        filter.interface_index = static_cast<unsigned>(message.tcm_ifindex);
        if (filter.interface_index != interface_index) return;
        filter.direction = direction;
        filter.chain = netlink_number<uint32_t>(netlink_attribute(attributes, TCA_CHAIN));
        filter.priority = static_cast<uint16_t>(TC_H_MAJ(message.tcm_info) >> 16);
        filter.protocol = ntohs(static_cast<uint16_t>(TC_H_MIN(message.tcm_info)));
        filter.handle = message.tcm_handle;
        filter.kind = netlink_text(netlink_attribute(attributes, TCA_KIND));
        if (filter.kind == "bpf") {
          const std::string_view options = netlink_attribute(attributes, TCA_OPTIONS);
          filter.name = netlink_text(netlink_attribute(options, TCA_BPF_NAME));
          filter.program_id = netlink_number<uint32_t>(netlink_attribute(options, TCA_BPF_ID));
        }
        filters.push_back(std::move(filter));
      });
  if (!status) return status.error();
  return filters;
}

Result<bool> clsact_is_empty(unsigned interface_index) {
  for (const Direction direction : {Direction::kIngress, Direction::kEgress}) {
    auto filters = list_filters(interface_index, direction);
    if (!filters) return filters.error();
    bool has_chains = false;  // `tc chain add` may have made one
    Status status = dump(
        RTM_GETCHAIN, tc_message(interface_index, parent_of(direction)), [] {},
        [&](const tcmsg&, std::string_view) { has_chains = true; });
    if (!status) return status.error();
    if (!filters->empty() || has_chains) return false;
  }
  return true;
}

Status create_clsact(unsigned interface_index) {
  std::string attributes;
  append_text(attributes, TCA_KIND, "clsact");
  return change(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, clsact_message(interface_index),
                attributes);
}

Status delete_clsact(unsigned interface_index) {
  std::string attributes;
  append_text(attributes, TCA_KIND, "clsact");
  return change(RTM_DELQDISC, 0, clsact_message(interface_index), attributes);
}

Status add_filter(const TrafficFilter& filter, int program_fd) {
  constexpr uint32_t kDirectAction = TCA_BPF_FLAG_ACT_DIRECT;
  std::string options, attributes;
  append(options, TCA_BPF_FD, bytes_of(program_fd));
  append_text(options, TCA_BPF_NAME, filter.name);
  append(options, TCA_BPF_FLAGS, bytes_of(kDirectAction));
  append_text(attributes, TCA_KIND, "bpf");
  append(attributes, NLA_F_NESTED | TCA_OPTIONS, options);
  return change(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, filter_message(filter), attributes);
}

Status delete_filter(const TrafficFilter& filter) {
  // For the kernel 0 means "all": without a handle it would delete the whole priority, without a
  // priority everything.
  if (filter.handle == 0 || filter.priority == 0) return Error{"not a single filter", EINVAL};
  std::string attributes;
  append_text(attributes, TCA_KIND, filter.kind);
  if (filter.chain != 0) append(attributes, TCA_CHAIN, bytes_of(filter.chain));
  return change(RTM_DELTFILTER, 0, filter_message(filter), attributes);
}

}  // namespace flowmeter
