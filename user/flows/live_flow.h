// SPDX-License-Identifier: BSD-3-Clause
// One open flow of a live run: the daemon's data about it, and the state of its requests to the
// kernel.
#pragma once

#include <cstdint>

#include "base/slot_pool.h"
#include "flowmeter/abi.h"
#include "flows/flow_record.h"

namespace flowmeter {

// Where the timing of flows is kept: in the daemon, from one record per packet, or in the entries
// of the kernel's map.
enum class TimingIn { kDaemon, kKernel };

struct alignas(64) LiveFlow {
  // Flows that only the daemon knows have ids from here on; the kernel's ids are below.
  static constexpr uint64_t kFirstOwnId = uint64_t{1} << 63;

  fm_flow_key key;
  fm_flow flow;
  uint64_t id;  // 0: the slot is free
  // The clock at the start of the flow, so that a step of the wall clock changes no flow.
  ClockOrigin clock;
  uint32_t ifindex;
  uint8_t hook;
  // Taken over from a daemon that was killed, so packets of it are unknown here; cleared when the
  // kernel reports the flow's state.
  uint8_t is_stale;

  uint32_t evictions;  // how often the kernel's map has dropped its entry

  // Kept by KernelMerge.
  uint64_t lacking;  // packets in flow.counters that the kernel's entry lacks
  uint64_t packets_without_timing;

  // Kept by CloseRequests.
  fm_end_reason wanted_end =
      FM_END_NONE;          // why the kernel was asked to close it; FM_END_NONE: it was not
  uint64_t state_ns;        // when the kernel last reported its state
  uint64_t state_asked_ns;  // when its state was last requested, before a choice; 0: it was not

  // The start of the first of the flows that active time-outs have made of one; 0: it is this one.
  uint64_t chain_start_ns;

  // Whether the kernel's map has an entry for this flow, or had one.
  bool in_kernel() const { return id < kFirstOwnId; }
  uint64_t chain_start() const {
    return chain_start_ns != 0 ? chain_start_ns : flow.counters.first_ns;
  }
  // Whether the flow must end even if it is not idle.
  bool must_end() const { return wanted_end != FM_END_NONE && wanted_end != FM_END_IDLE; }
};
static_assert(sizeof(LiveFlow) == 896, "docs/design.md says what a flow costs");

using LiveFlowPool = SlotPool<LiveFlow>;

// Calls visit(slot, flow) for every open flow; visit may free the flow's slot.
template <typename Pool, typename Visit>
void each_open(Pool& flows, Visit&& visit) {
  for (uint32_t slot = 0; slot < flows.used(); slot++)
    if (flows[slot].id != 0) visit(slot, flows[slot]);
}

}  // namespace flowmeter
