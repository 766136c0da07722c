// SPDX-License-Identifier: BSD-3-Clause
// How the open flows pass from one daemon to the next (flow_state.h).
#include <algorithm>
#include <cstring>

#include "base/value_bytes.h"
#include "flows/live_flows.h"

namespace flowmeter {
namespace {

// What is kept besides the flows: a header, three arrays that are mostly empty, the flows' payload
// state, and what KeptWithFlows has saved.
struct RestHeader {
  uint64_t next_own_id;
  uint64_t lacking;       // number of KeptLacking
  uint64_t forgotten;     // number of fm_close_request
  uint64_t chains;        // number of ActiveChains::Link
  uint64_t applications;  // number of slots, each with what FlowApplications keeps there
  uint64_t has_kept;      // whether KeptWithFlows follows
};
struct KeptLacking {
  uint32_t slot;
  KernelMerge::Lacking lacking;
};

}  // namespace

// Records are processed in the order of their times, so a flow that has changed since the last call
// has a packet that is not older than any was at that time.
Status LiveFlows::save(FlowState& state, uint64_t commits, Copied which) {
  if (Status begun = state.begin(pool_.used(), owners_.on()); !begun) return begun;
  const uint64_t since_ns = saved_until_ns_;
  RestHeader header{next_own_id_, 0, requests_.forgotten().size(), chains_.waiting(), 0, 0};
  ValueBytes rest;
  append(rest, header);
  for (uint32_t slot = 0; slot < pool_.used(); slot++) {
    const LiveFlow& live = pool_[slot];
    if (live.id == 0) {
      state.clear(slot);
      continue;
    }
    const uint64_t last_ns = live.flow.counters.last_ns;
    saved_until_ns_ = std::max(saved_until_ns_, last_ns);
    const bool owners_changed = owners_.take_changed(slot);  // also by packets seen before
    if (which == Copied::kAll || last_ns >= since_ns || state.id(slot) != live.id || owners_changed)
      state.put(slot, live, sizes_[slot], owners_.traces(slot));
    if (live.lacking > 0) {
      header.lacking++;
      append(rest, KeptLacking{slot, merge_.lacking(slot)});
    }
  }
  for (uint32_t slot = pool_.used(); slot < state.slots(); slot++) state.clear(slot);
  for (const auto& [id, request] : requests_.forgotten()) append(rest, request);
  chains_.each([&](const ActiveChains::Link& link) { append(rest, link); });
  // It is too much to copy every second.
  if (which == Copied::kAll && settings_.with_application) {
    header.applications = pool_.in_use();
    each_open(pool_, [&](uint32_t slot, const LiveFlow&) {
      append(rest, slot);
      applications_.save(slot, rest);
    });
  }
  if (which == Copied::kAll && kept_) {
    header.has_kept = 1;
    kept_->save(rest);
  }
  std::memcpy(rest.data(), &header, sizeof(header));
  return state.end(rest, commits);
}

Status LiveFlows::restore(const FlowState& state, bool exact) {
  pool_.take_first(state.slots());  // a flow keeps its slot, so that its copy stays whole
  for (uint32_t slot = 0; slot < state.slots(); slot++) {
    const LiveFlow* kept = state.flow(slot);
    if (!kept || (!exact && !kept->in_kernel()) ||
        !take_over(slot, *kept, state.owners(slot), exact))
      pool_.give_back(slot);
    else if (settings_.with_sizes)
      sizes_[slot] = state.sizes(slot);
  }
  lacks_owners_ = owners_.on() && !state.has_owners();
  return exact ? take_over_rest(state) : Done{};
}

bool LiveFlows::take_over(uint32_t slot, const LiveFlow& kept, const EndTraces& owners,
                          bool exact) {
  // Copies of different times may be of two flows of one key, where the older one has ended.
  if (const uint32_t other = find_key(kept.key); other != kNoSlot) {
    if (pool_[other].flow.counters.first_ns >= kept.flow.counters.first_ns) return false;
    remove(other);
  }
  begin_in(slot, kept.key, kept.id, kept.ifindex, kept.hook);
  LiveFlow& live = pool_[slot];
  live = kept;
  open_packets_ += fm_flow_packets(&live.flow.counters);
  live.wanted_end = FM_END_NONE;
  live.state_asked_ns = 0;
  if (!exact) {
    live.is_stale = 1;
    live.lacking = 0;
  }
  requests_.watch(slot);
  applications_.lost(slot);  // unless it is kept, too
  owners_.begin(slot, owners);
  return true;
}

Status LiveFlows::take_over_rest(const FlowState& state) {
  auto bytes = state.rest();
  if (!bytes) return bytes.error();
  ValueReader rest(*bytes);
  RestHeader header{};
  bool whole = rest.read(header);
  for (uint64_t i = 0; i < header.lacking && whole; i++) {
    KeptLacking kept{};
    whole = rest.read(kept) && kept.slot < pool_.used() && pool_[kept.slot].lacking > 0;
    if (whole) merge_.restore_lacking(kept.slot, kept.lacking);
  }
  for (uint64_t i = 0; i < header.forgotten && whole; i++) {
    fm_close_request request{};
    whole = rest.read(request);
    if (whole) requests_.restore_forgotten(request);
  }
  for (uint64_t i = 0; i < header.chains && whole; i++) {
    ActiveChains::Link link{};
    whole = rest.read(link);
    if (whole) chains_.continue_later(link);
  }
  uint32_t next = 0;  // slots ascend, so none is there twice
  for (uint64_t i = 0; i < header.applications && whole; i++) {
    uint32_t slot = 0;
    whole = rest.read(slot) && slot >= next && slot < pool_.used() && pool_[slot].id != 0 &&
            applications_.restore(slot, rest);
    next = slot + 1;
  }
  applications_.restored();
  const bool is_kept_for_others = header.has_kept != 0 && !kept_;
  if (header.has_kept != 0 && kept_) whole = whole && kept_->restore(rest);
  if (!whole || !(rest.at_end() || is_kept_for_others)) return state.damaged();
  next_own_id_ = header.next_own_id;
  return Done{};
}

void LiveFlows::distrust() {
  each_open(pool_, [&](uint32_t slot, LiveFlow& live) {
    if (!live.in_kernel()) return remove(slot);
    merge_.remove(live, slot);
    live.lacking = 0;
    live.is_stale = 1;
    applications_.lost(slot);
  });
}

void LiveFlows::request_stale(std::vector<fm_close_request>& requests) const {
  each_open(pool_, [&](uint32_t, const LiveFlow& live) {
    if (live.is_stale) requests.push_back({live.key, live.id, FM_REPORT_STATE});
  });
}

void LiveFlows::forget_absent(const std::function<bool(uint64_t id)>& in_map) {
  each_open(pool_, [&](uint32_t slot, const LiveFlow& live) {
    if (live.is_stale && !in_map(live.id)) remove(slot);
  });
}

}  // namespace flowmeter
