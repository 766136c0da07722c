// SPDX-License-Identifier: BSD-3-Clause
#include "flows/flow_owners.h"

#include <algorithm>
#include <utility>

namespace flowmeter {
namespace {

bool is_socket(const fm_owner_record& record) {
  return record.source == FM_OWNER_SOCKET || record.source == FM_OWNER_LISTENER;
}

// Adds to what is known of an end; returns whether it was more.
bool fill(EndTrace& end, const EndTrace& other) {
  const bool has_socket = end.cgroup == 0 && other.cgroup != 0;
  const bool has_interface = end.ifindex == 0 && other.ifindex != 0;
  const EndTrace before = end;
  if (has_socket) end = other;
  const EndTrace& with_interface = has_interface ? other : before;
  end.ifindex = with_interface.ifindex;
  end.station = with_interface.station;
  return has_socket || has_interface;
}

}  // namespace

void FlowOwners::switch_on(OwnerNames& names, uint32_t max_flows) {
  names_ = &names;
  states_.emplace(max_flows);
}

void FlowOwners::note(uint32_t slot, const fm_owner_record& record) {
  if (!on()) return;
  State& state = (*states_)[slot];
  EndTrace& end = state.ends[record.end & 1];
  if (record.ifindex != 0 && end.ifindex == 0) {
    end.ifindex = record.ifindex;
    end.station = record.station;
    state.changed = true;
  }
  if (!is_socket(record) || end.cgroup != 0) return;
  end.cgroup = record.cgroup;
  end.pid = record.pid;
  end.source = static_cast<fm_owner_source>(record.source);
  std::copy(std::begin(record.comm), std::end(record.comm), end.comm);
  state.changed = true;
}

void FlowOwners::note_sender(const fm_owner_record& record) {
  if (on() && is_socket(record) && record.ifindex != 0 && record.hook == FM_HOOK_INGRESS)
    names_->note_sender(record.ifindex, record.station, record.cgroup);
}

void FlowOwners::share(uint32_t slot, uint32_t other, bool ends_swapped) {
  State &one = (*states_)[slot], &two = (*states_)[other];
  for (size_t end = 0; end < one.ends.size(); end++) {
    EndTrace &a = one.ends[end], &b = two.ends[ends_swapped ? 1 - end : end];
    one.changed |= fill(a, b);
    two.changed |= fill(b, a);
  }
}

bool FlowOwners::take_changed(uint32_t slot) {
  if (!on()) return false;
  return std::exchange((*states_)[slot].changed, false);
}

void FlowOwners::describe_unknown(FlowRecord& record) {
  static constexpr EndTraces kUnknown{};
  describe(on() ? &kUnknown : nullptr, record);
}

void FlowOwners::describe(const EndTraces* ends, FlowRecord& record) {
  if (!ends) return;
  for (size_t end = 0; end < ends->size(); end++) named_[end] = names_->name((*ends)[end]);
  record.owners = named_.data();
}

}  // namespace flowmeter
