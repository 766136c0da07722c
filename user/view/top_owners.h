// SPDX-License-Identifier: BSD-3-Clause
// The open flows summed by who owns their ends (--top with --attribute): containers, pods, and
// cgroups of processes in no container.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "flows/live_flows.h"

namespace flowmeter {

struct TopOwner {
  std::string name;
  uint64_t flows = 0;
  uint64_t packets = 0;
  uint64_t sent_bytes = 0;
  uint64_t received_bytes = 0;
  // Of what was sent and received, since the previous pass.
  std::optional<double> bits_per_s = {};

  uint64_t bytes() const { return sent_bytes + received_bytes; }
};

class TopOwners {
 public:
  void begin_pass() { sums_.clear(); }
  void add(const LiveFlow& live, const EndTraces& ends, OwnerNames& names);
  // Those with the most bytes or packets come first.
  void end_pass(uint64_t now_ns, bool by_bytes);

  const std::vector<TopOwner>& owners() const { return shown_; }

 private:
  std::unordered_map<std::string, TopOwner> sums_;
  std::vector<TopOwner> shown_;
  uint64_t shown_ns_ = 0;
};

}  // namespace flowmeter
