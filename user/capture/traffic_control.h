// SPDX-License-Identifier: BSD-3-Clause
// Traffic control by rtnetlink: clsact qdiscs and the BPF filters on them, in the network namespace
// where the object was opened. Says what there is and does what it is told; which filters are ours
// and where they go is decided in clsact.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "capture/attachment.h"

namespace flowmeter {

// One filter, or the head of a priority (handle 0), which the kernel lists before its filters.
struct TrafficFilter {
  unsigned interface_index = 0;
  Direction direction = Direction::kIngress;
  uint32_t chain = 0;
  uint16_t priority = 0;  // a lower one runs earlier
  uint16_t protocol = 0;  // ETH_P_…
  uint32_t handle = 0;
  std::string kind;  // "bpf", "u32", …
  std::string name;  // of a BPF filter
};

class TrafficControl {
 public:
  struct Qdisc {
    unsigned interface_index = 0;
    std::string kind;  // "clsact" or "ingress"
  };

  static Result<TrafficControl> open();

  // The qdiscs of all interfaces that hold filters of received packets: at most one an interface.
  Result<std::vector<Qdisc>> ingress_qdiscs();
  // Of one direction, in the order in which they run. Empty if there is no qdisc or no interface.
  Result<std::vector<TrafficFilter>> filters(unsigned interface_index, Direction direction);
  // Whether neither direction has a filter or a chain.
  Result<bool> clsact_is_empty(unsigned interface_index);

  // Fails with EEXIST if there is a clsact or ingress qdisc.
  Status create_clsact(unsigned interface_index);
  // Requires: it is ours and empty; the kernel would delete it with all that it holds.
  Status delete_clsact(unsigned interface_index);
  // A BPF filter for all protocols in direct-action mode; the kernel chooses the handle. In front
  // of those of the same priority. Creates the priority, or fails if one of another kind has it.
  Status add_filter(const TrafficFilter& filter, int program_fd);
  Status delete_filter(const TrafficFilter& filter);

 private:
  struct Message {
    int interface_index;
    uint32_t handle, parent, info;
    std::string_view attributes;
  };

  Status request(uint16_t type, uint16_t flags, const Message& message,
                 const std::function<void(const Message&)>& take);
  Status receive(const std::function<void(const Message&)>& take);

  UniqueFd socket_;
  uint32_t sequence_ = 0;
};

}  // namespace flowmeter
