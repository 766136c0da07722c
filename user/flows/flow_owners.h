// SPDX-License-Identifier: BSD-3-Clause
// The part of the open flows that is only kept with --attribute: what the kernel has told of the
// owners of both ends. Addressed by the slots of the flows. Until it is switched on every call does
// nothing, and no memory is taken.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/slot_pool.h"
#include "flowmeter/abi.h"
#include "flows/end_owner.h"
#include "flows/flow_record.h"

namespace flowmeter {

using EndTraces = std::array<EndTrace, 2>;  // [end of the key]

class FlowOwners {
 public:
  // Keeps owners from now on; rows have the names that these have then. names must outlive it.
  void switch_on(OwnerNames& names, uint32_t max_flows);
  bool on() const { return names_ != nullptr; }
  OwnerNames* names() const { return names_; }

  // Starts a new flow, of which these owners are known.
  void begin(uint32_t slot, const EndTraces& known = {}) {
    if (on()) (*states_)[slot] = {known, true};
  }
  // Notes what a record tells. The first known owner of an end is kept: a socket that was passed on
  // has not changed whose flow it is.
  void note(uint32_t slot, const fm_owner_record& record);
  // Learns from a record, no matter whether its flow is known, what is behind an interface.
  void note_sender(const fm_owner_record& record);

  // Two flows have the same packets (before and after address translation): what is known of an end
  // of one is also true for the other. ends_swapped: end 0 of one is end 1 of the other.
  void share(uint32_t slot, uint32_t other, bool ends_swapped);

  // What is known of the flow; null if owners are not kept.
  const EndTraces* traces(uint32_t slot) const { return on() ? &(*states_)[slot].ends : nullptr; }
  // Whether that has changed since the last call.
  bool take_changed(uint32_t slot);

  // Points the record to the owners' names, which are valid until the next call.
  void describe(uint32_t slot, FlowRecord& record) { describe(traces(slot), record); }
  // The same for a flow of which nothing was kept.
  void describe_unknown(FlowRecord& record);

 private:
  struct State {
    EndTraces ends;
    bool changed;
  };
  void describe(const EndTraces* ends, FlowRecord& record);

  OwnerNames* names_ = nullptr;
  std::optional<SlotPool<State>> states_;
  std::array<EndOwner, 2> named_;
};

}  // namespace flowmeter
