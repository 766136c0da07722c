// SPDX-License-Identifier: BSD-3-Clause
// Merges the kernel's counters of a flow with the daemon's counters of the same packets.
//
// Both count every packet whose record arrives. Invariant: flow.counters are the daemon's; of
// their packets, live.lacking are not in the kernel's entry (the kernel could not count them, or
// they were in an earlier entry that was dropped), and their counters are kept here while there are
// any. So kernel's packets + lacking - daemon's packets = packets whose records were lost. Not
// thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>

#include "flows/live_flow.h"

namespace flowmeter {

class KernelMerge {
 public:
  KernelMerge(const fm_settings& settings, TimingIn timing)
      : with_sizes_(settings.with_sizes != 0), timing_in_kernel_(timing == TimingIn::kKernel) {}

  // The expected size of state records, which depends on what the kernel keeps.
  size_t state_size() const { return fm_state_size(timing_in_kernel_, with_sizes_); }
  // The sizes in such a record; kNoSizes if the kernel keeps none.
  const fm_flow_sizes& sizes_in(const fm_state_record& record) const;

  // Starts a flow that was not known before this record.
  void take(LiveFlow& live, const fm_state_record& record) const;
  // Uses the kernel's values, where they are better, for a flow that is known here.
  void merge(LiveFlow& live, uint32_t slot, fm_flow_sizes& sizes, const fm_state_record& record);

  // Adds a packet that the kernel could not count, of a flow that it has.
  void add_uncounted(LiveFlow& live, uint32_t slot, const fm_packet& packet);
  // Whether a flow without an entry may continue in a new one.
  bool may_continue(const LiveFlow& live) const { return !(timing_in_kernel_ && live.in_kernel()); }
  // Continues the flow in a new entry, which lacks all packets so far.
  void begin_entry(LiveFlow& live, uint32_t slot, const fm_flow_sizes& sizes);
  // Call this when the flow leaves the table.
  void remove(const LiveFlow& live, uint32_t slot);

  // What is kept here about the flow in slot, for another daemon.
  struct Lacking {
    fm_flow_counters counters;
    fm_flow_sizes sizes;
    // [end of the key]: when the first of these packets came; 0: before all in the entry.
    std::array<uint64_t, 2> first_ns;
  };
  const Lacking& lacking(uint32_t slot) const { return lacking_.at(slot); }
  void restore_lacking(uint32_t slot, const Lacking& lacking) { lacking_[slot] = lacking; }

 private:
  const bool with_sizes_;
  const bool timing_in_kernel_;
  std::unordered_map<uint32_t, Lacking> lacking_;  // [slot]
};

}  // namespace flowmeter
