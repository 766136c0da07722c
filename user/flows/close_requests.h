// SPDX-License-Identifier: BSD-3-Clause
// Decides which requests are sent to the kernel, and when: to close idle flows, to close flows that
// must make room, and to report the state of others. Only the kernel ends a flow that it has.
//
// Invariants: every flow watched is in the wheel, so a request without an answer is repeated;
// leaving_ is the number of open flows with wanted_end FM_END_RESOURCES plus those with
// state_asked_ns set, so never more flows are asked to make room than necessary. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "flows/expiry_wheel.h"
#include "flows/live_flow.h"

namespace flowmeter {

class CloseRequests {
 public:
  using Requests = std::vector<fm_close_request>;
  static constexpr uint32_t kNoSlot = LiveFlowPool::kNone;

  CloseRequests(const fm_settings& settings, uint32_t max_flows, TimingIn timing,
                LiveFlowPool& flows)
      : settings_(settings),
        max_flows_(max_flows),
        timing_in_kernel_(timing == TimingIn::kKernel),
        flows_(flows) {}

  // Each appends requests: for flows that are due by now_ns, all flows or those of one interface
  // slot (--per-interface), and the state of every flow that the kernel has.
  void due(uint64_t now_ns, Requests& requests);
  void close(std::optional<unsigned> interface_slot, fm_end_reason end, Requests& requests);
  void states(Requests& requests) const;

  // Asks the kernel about the flow once it may be idle. Call this for a new flow, and when its
  // deadline becomes earlier.
  void watch(uint32_t slot) { wheel_.schedule(slot, deadline(flows_[slot])); }
  // Call this when the kernel has reported the flow's state at time_ns, so the flow continues.
  void continues(uint32_t slot, uint64_t time_ns);
  // Call this when the flow continues under another id; requests for the old id no longer count.
  void withdraw(LiveFlow& live) { set_wanted_end(live, FM_END_NONE); }
  // Call this when the flow leaves the table.
  void remove(uint32_t slot);

  // Chooses the flow that ends at once to make room for a new one. Its row is written from the data
  // known here. Flows that the kernel does not have are preferred, because packets that the kernel
  // still counts for any other flow are in no row.
  uint32_t choose_victim();
  // Call this for a flow whose row is written but that the kernel still has. The kernel is asked to
  // end the flow until it answers.
  void end_forgotten(const LiveFlow& live);
  bool is_forgotten(uint64_t flow_id) const { return forgotten_.contains(flow_id); }
  const std::unordered_map<uint64_t, fm_close_request>& forgotten() const { return forgotten_; }
  void restore_forgotten(const fm_close_request& request) { forgotten_[request.flow_id] = request; }
  // Call this when the kernel has answered. Returns whether the flow was one of those.
  bool forgotten_answered(uint64_t flow_id) { return forgotten_.erase(flow_id) > 0; }

 private:
  uint64_t deadline(const LiveFlow& live) const;
  void set_wanted_end(LiveFlow& live, fm_end_reason end);
  void ask(uint32_t slot, fm_end_reason end, uint64_t now_ns, Requests& requests);
  void ask_expired(uint64_t now_ns, Requests& requests);
  void ask_forgotten(uint64_t now_ns, Requests& requests);
  void ask_for_room(uint64_t now_ns, Requests& requests);
  template <typename MayBeTaken>
  uint32_t most_dispensable(uint32_t looks, MayBeTaken&& may_be_taken);

  const fm_settings settings_;
  const uint32_t max_flows_;
  const bool timing_in_kernel_;
  LiveFlowPool& flows_;
  ExpiryWheel wheel_;
  uint32_t hand_ = 0;  // where the search for dispensable flows continues
  uint32_t leaving_ = 0;
  // By id: flows whose rows are written but that the kernel still has.
  std::unordered_map<uint64_t, fm_close_request> forgotten_;
  uint64_t forgotten_asked_ns_ = 0;
};

}  // namespace flowmeter
