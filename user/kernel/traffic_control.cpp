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

tcmsg filter_message(const TrafficFilter& filter) {
  tcmsg message = tc_message(filter.interface_index, parent_of(filter.direction));
  message.tcm_handle = filter.handle;
  message.tcm_info = TC_H_MAKE(uint32_t{filter.priority} << 16, htons(filter.protocol));
  return message;
}

Status change(uint16_t type, unsigned flags, const tcmsg& message, std::string_view attributes) {
  return netlink_request(NETLINK_ROUTE, type, flags,
                         std::string(netlink_bytes(message)).append(attributes));
}

Status change_clsact(uint16_t type, unsigned flags, unsigned interface_index) {
  tcmsg message = tc_message(interface_index, TC_H_CLSACT);
  message.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
  std::string attributes;
  append_netlink_text(attributes, TCA_KIND, "clsact");
  return change(type, flags, message, attributes);
}

// begin: as for netlink_dump.
Status dump(uint16_t type, const tcmsg& which, const std::function<void()>& begin,
            const std::function<void(const tcmsg& message, std::string_view attributes)>& take) {
  return netlink_dump(NETLINK_ROUTE, type, netlink_bytes(which), begin,
                      [&](const nlmsghdr&, std::string_view body) {
                        tcmsg message;
                        if (read_netlink(body, message))
                          take(message, body.substr(sizeof(message)));
                      });
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

Result<std::string> ingress_qdisc(unsigned interface_index) {
  auto qdiscs = list_ingress_qdiscs();
  if (!qdiscs) return qdiscs.error();
  for (const IngressQdisc& qdisc : *qdiscs)
    if (qdisc.interface_index == interface_index) return qdisc.kind;
  return std::string();
}

Result<std::vector<TrafficFilter>> list_filters(unsigned interface_index, Direction direction) {
  std::vector<TrafficFilter> filters;
  Status status = dump(
      RTM_GETTFILTER, tc_message(interface_index, parent_of(direction)), [&] { filters.clear(); },
      [&](const tcmsg& message, std::string_view attributes) {
        // Filters of a block that several interfaces share have no interface of their own.
        const auto index = static_cast<unsigned>(message.tcm_ifindex);
        if (index != interface_index && index != TCM_IFINDEX_MAGIC_BLOCK) return;
        TrafficFilter filter;
        filter.interface_index = interface_index;
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
  return change_clsact(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, interface_index);
}

Status delete_clsact(unsigned interface_index) {
  return change_clsact(RTM_DELQDISC, 0, interface_index);
}

Status add_filter(const TrafficFilter& filter, int program_fd) {
  constexpr uint32_t kDirectAction = TCA_BPF_FLAG_ACT_DIRECT;
  std::string options, attributes;
  append_netlink_attribute(options, TCA_BPF_FD, netlink_bytes(program_fd));
  append_netlink_text(options, TCA_BPF_NAME, filter.name);
  append_netlink_attribute(options, TCA_BPF_FLAGS, netlink_bytes(kDirectAction));
  append_netlink_text(attributes, TCA_KIND, "bpf");
  append_netlink_attribute(attributes, NLA_F_NESTED | TCA_OPTIONS, options);
  return change(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, filter_message(filter), attributes);
}

Status delete_filter(const TrafficFilter& filter) {
  // For the kernel 0 means "all": without a handle it would delete the whole priority, without a
  // priority everything.
  if (filter.handle == 0 || filter.priority == 0) return Error{"not a single filter", EINVAL};
  std::string attributes;
  append_netlink_text(attributes, TCA_KIND, filter.kind);
  if (filter.chain != 0)
    append_netlink_attribute(attributes, TCA_CHAIN, netlink_bytes(filter.chain));
  return change(RTM_DELTFILTER, 0, filter_message(filter), attributes);
}

}  // namespace flowmeter
