// SPDX-License-Identifier: BSD-3-Clause
// The sizes of flows (flow_sizes.h) by a table's slots. Without settings.with_sizes none are kept:
// every call only tests for that, and all slots share one element of zeros.
#pragma once

#include <cstdint>

#include "base/slot_pool.h"
#include "flowmeter/flow.h"

namespace flowmeter {

class KeptSizes {
 public:
  KeptSizes(const fm_settings& settings, uint32_t capacity)
      : on_(settings.with_sizes != 0), sizes_(on_ ? capacity : 1) {}

  void prefetch(uint32_t slot) const {
    if (on_) __builtin_prefetch(&sizes_[slot], 1);
  }
  // Adds a packet. Requires: it is not yet in the flow's counters.
  void add(uint32_t slot, fm_flow_counters& counters, const fm_packet& packet) {
    if (on_) fm_flow_sizes_update(&sizes_[slot], &counters, &packet);
  }
  fm_flow_sizes& operator[](uint32_t slot) { return sizes_[on_ ? slot : 0]; }

 private:
  const bool on_;
  SlotPool<fm_flow_sizes> sizes_;
};

}  // namespace flowmeter
