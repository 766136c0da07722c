// SPDX-License-Identifier: BSD-3-Clause
// The largest open flows. They are found in steps of some flows, so that metering continues even
// with a million flows. While a pass over all flows is under way, the result of the previous one is
// shown. Memory is needed only for the flows shown.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "flows/live_flows.h"
#include "view/top_owners.h"

namespace flowmeter {

enum class TopOrder { kBytes, kPackets };

struct TopFlow {
  fm_flow_key key;
  uint64_t id;
  uint8_t forward_direction;
  uint64_t first_ns;
  uint64_t packets;
  uint64_t bytes;
  uint64_t read_ns;                       // when the counters were read
  std::optional<double> bits_per_s = {};  // since the previous pass, for flows that it had shown
  EndTraces ends = {};
  std::array<std::string, 2> names = {};  // of the owners of both ends, after the pass
};

class TopFlows {
 public:
  // Number of flows per step, which takes about a millisecond.
  static constexpr uint32_t kStep = 16'384;

  // Makes the next step. Returns whether that ended a pass.
  bool step(const LiveFlows& flows, uint64_t now_ns);
  // Applies from the next pass on; the flows shown are sorted again at once.
  void set_order(TopOrder order);
  TopOrder order() const { return order_; }
  // Applies from the next pass on.
  void set_count(size_t count) { next_count_ = count; }

  // Also sums the flows by owner, from the next pass on.
  void set_by_owner(bool by_owner) {
    by_owner_ = by_owner;
    next_slot_ = 0;
  }
  bool by_owner() const { return by_owner_; }
  // Whether owners are known at all (--attribute), as of the last pass.
  bool knows_owners() const { return knows_owners_; }

  // The flows, largest first.
  const std::vector<TopFlow>& flows() const { return shown_; }
  const std::vector<TopOwner>& owners() const { return owners_.owners(); }

 private:
  uint64_t rank(const TopFlow& flow) const {
    return order_ == TopOrder::kBytes ? flow.bytes : flow.packets;
  }
  bool greater(const TopFlow& a, const TopFlow& b) const {
    return rank(a) != rank(b) ? rank(a) > rank(b) : a.id < b.id;
  }
  void consider(const LiveFlow& live, const EndTraces* ends, uint64_t now_ns);
  void end_pass(OwnerNames* names, uint64_t now_ns);

  TopOrder order_ = TopOrder::kBytes;
  size_t next_count_ = 20;
  size_t count_ = 0;
  uint32_t next_slot_ = 0;
  std::vector<TopFlow> heap_;  // the largest count_ flows of this pass so far, the smallest first
  std::vector<TopFlow> shown_;
  bool by_owner_ = false;
  bool knows_owners_ = false;
  TopOwners owners_;
};

}  // namespace flowmeter
