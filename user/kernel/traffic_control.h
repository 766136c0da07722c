// SPDX-License-Identifier: BSD-3-Clause
// Traffic control by rtnetlink: clsact qdiscs and the BPF filters on them, in the network namespace
// of the calling thread. clsact.cpp decides which filters are ours and where they go.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/attachment.h"

namespace flowmeter {

// A qdisc that holds filters of received packets: at most one per interface.
struct IngressQdisc {
  unsigned interface_index = 0;
  std::string kind;  // "clsact" or "ingress"
};

// One filter, or the head of a priority (handle 0), which the kernel lists before its filters.
struct TrafficFilter {
  unsigned interface_index = 0;
  Direction direction = Direction::kIngress;
  uint32_t chain = 0;
  uint16_t priority = 0;  // a lower one runs earlier
  uint16_t protocol = 0;  // ETH_P_…
  uint32_t handle = 0;
  std::string kind;  // "bpf", "u32", …
  // Only for BPF filters:
  std::string name;
  uint32_t program_id = 0;
};

// Lists those of all interfaces.
Result<std::vector<IngressQdisc>> list_ingress_qdiscs();
// The kind of an interface's; "" if it has none.
Result<std::string> ingress_qdisc(unsigned interface_index);
// Lists the filters of one direction in the order in which they run. Empty if there is no qdisc or
// no interface.
Result<std::vector<TrafficFilter>> list_filters(unsigned interface_index, Direction direction);
// Whether neither direction has a filter or a chain.
Result<bool> clsact_is_empty(unsigned interface_index);

// Fails with EEXIST if there is a clsact or ingress qdisc.
Status create_clsact(unsigned interface_index);
// Requires: it is ours and empty. The kernel deletes it with everything in it.
Status delete_clsact(unsigned interface_index);
// Adds a BPF filter in direct-action mode, before those of the same priority; the kernel chooses
// the handle. Creates the priority. Fails if another kind or protocol has it.
Status add_filter(const TrafficFilter& filter, int program_fd);
Status delete_filter(const TrafficFilter& filter);

}  // namespace flowmeter
