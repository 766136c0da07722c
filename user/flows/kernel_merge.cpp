// SPDX-License-Identifier: BSD-3-Clause
#include "flows/kernel_merge.h"

#include <algorithm>

namespace flowmeter {

const fm_flow_sizes& KernelMerge::sizes_in(const fm_state_record& record) const {
  if (!with_sizes_) return kNoSizes;
  return timing_in_kernel_ ? record.sizes : record.sizes_only;
}

void KernelMerge::take(LiveFlow& live, const fm_state_record& record) const {
  live.flow.counters = record.counters;
  if (timing_in_kernel_)
    live.flow.timing = record.timing;
  else
    live.packets_without_timing = fm_flow_packets(&record.counters);
}

// With datapath "kernel" the kernel's values are better. Otherwise only its counters are better,
// and only if records were lost. If none were lost, its counters are at best equal to those here:
// if the LRU map gave an entry to this flow while a packet of another flow was being counted, the
// entry has one packet too many.
void KernelMerge::merge(LiveFlow& live, uint32_t slot, fm_flow_sizes& sizes,
                        const fm_state_record& record) {
  const uint64_t counted = fm_flow_packets(&record.counters);
  const uint64_t known = fm_flow_packets(&live.flow.counters) - live.lacking;
  if (!timing_in_kernel_ && !live.is_stale && (counted <= known || record.events_lost == 0)) return;
  if (timing_in_kernel_) {
    live.flow.timing = record.timing;
    live.packets_without_timing = live.lacking;
  } else if (live.is_stale) {
    live.packets_without_timing = counted - std::min<uint64_t>(counted, live.flow.timing.packets);
  } else {
    live.packets_without_timing += counted - known;
  }
  live.is_stale = 0;
  const uint8_t forward_direction = live.flow.counters.forward_direction;
  live.flow.counters = record.counters;
  sizes = sizes_in(record);
  if (live.lacking > 0) {
    const Lacking& lacking = lacking_[slot];
    if (with_sizes_)
      fm_flow_sizes_merge(&sizes, &live.flow.counters, &lacking.sizes, &lacking.counters);
    fm_flow_counters_merge(&live.flow.counters, &lacking.counters);
    // Lacking packets may have come between the entry's packets. If the entry has the first packet
    // of a direction, the initial window is the entry's.
    for (unsigned end = 0; end < 2; end++) {
      const fm_direction_timing& t = live.flow.timing.direction[end];
      const fm_direction_counters& kernel = record.counters.direction[end];
      if (kernel.has_window && t.packets > 0 && t.last_ns - t.gaps.sum < lacking.first_ns[end])
        live.flow.counters.direction[end].initial_window = kernel.initial_window;
    }
  }
  live.flow.counters.forward_direction = forward_direction;
}

void KernelMerge::add_uncounted(LiveFlow& live, uint32_t slot, const fm_packet& packet) {
  Lacking& lacking = lacking_[slot];
  if (live.lacking == 0) {
    const fm_inheritance forward{live.flow.counters.forward_direction, 0, 0};
    lacking = {{}, {}, {UINT64_MAX, UINT64_MAX}};
    fm_flow_counters_begin(&lacking.counters, &packet, forward);
  }
  if (with_sizes_) fm_flow_sizes_update(&lacking.sizes, &lacking.counters, &packet);
  fm_flow_counters_update(&lacking.counters, &packet);
  uint64_t& first_ns = lacking.first_ns[packet.direction & 1];
  first_ns = std::min<uint64_t>(first_ns, packet.time_ns);
  live.lacking += fm_packet_segments(&packet);
}

void KernelMerge::begin_entry(LiveFlow& live, uint32_t slot, const fm_flow_sizes& sizes) {
  live.lacking = fm_flow_packets(&live.flow.counters);
  Lacking& lacking = lacking_[slot];
  lacking = {live.flow.counters, sizes, {}};
  for (unsigned end = 0; end < 2; end++)
    if (lacking.counters.direction[end].length.count == 0) lacking.first_ns[end] = UINT64_MAX;
}

void KernelMerge::remove(const LiveFlow& live, uint32_t slot) {
  if (live.lacking > 0) lacking_.erase(slot);
}

}  // namespace flowmeter
