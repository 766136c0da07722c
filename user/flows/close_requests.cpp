// SPDX-License-Identifier: BSD-3-Clause
#include "flows/close_requests.h"

#include <algorithm>

namespace flowmeter {
namespace {

constexpr uint64_t kAskAgainNs = FM_SECOND_NS / 2;

// The time until which other flows are closed first. Each packet extends it. Otherwise a flood of
// one-packet flows would push out an established flow that pauses for a moment.
uint64_t spared_until(const LiveFlow& live) {
  constexpr uint64_t kCreditMax = 60;  // seconds, one per packet
  const uint64_t packets = fm_flow_packets(&live.flow.counters);
  return live.flow.counters.last_ns + std::min(packets, kCreditMax) * FM_SECOND_NS;
}

}  // namespace

uint64_t CloseRequests::deadline(const LiveFlow& live) const {
  const uint64_t timeout = fm_idle_timeout_ns(&live.flow.counters, live.key.protocol, &settings_);
  const uint64_t last = live.flow.counters.last_ns;
  return last > UINT64_MAX - timeout ? UINT64_MAX : last + timeout;
}

void CloseRequests::set_wanted_end(LiveFlow& live, fm_end_reason end) {
  leaving_ -= live.wanted_end == FM_END_RESOURCES;
  live.wanted_end = end;
  leaving_ += live.wanted_end == FM_END_RESOURCES;
}

void CloseRequests::continues(uint32_t slot, uint64_t time_ns) {
  LiveFlow& live = flows_[slot];
  live.state_ns = time_ns;
  leaving_ -= live.state_asked_ns != 0;
  live.state_asked_ns = 0;
  if (live.must_end()) return;
  withdraw(live);
  watch(slot);
}

void CloseRequests::remove(uint32_t slot) {
  LiveFlow& live = flows_[slot];
  wheel_.cancel(slot);
  withdraw(live);
  leaving_ -= live.state_asked_ns != 0;
}

void CloseRequests::ask(uint32_t slot, fm_end_reason end, uint64_t now_ns, Requests& requests) {
  LiveFlow& live = flows_[slot];
  set_wanted_end(live, end);
  requests.push_back(
      {live.key, live.id, end == FM_END_IDLE ? FM_CLOSE_IF_IDLE : fm_close_force(end)});
  wheel_.schedule(slot, now_ns + kAskAgainNs);
}

void CloseRequests::due(uint64_t now_ns, Requests& requests) {
  ask_expired(now_ns, requests);
  ask_forgotten(now_ns, requests);
  ask_for_room(now_ns, requests);
}

void CloseRequests::ask_expired(uint64_t now_ns, Requests& requests) {
  wheel_.collect(now_ns, [&](uint32_t slot) {
    LiveFlow& live = flows_[slot];
    if (live.must_end()) {
      ask(slot, live.wanted_end, now_ns, requests);
    } else if (deadline(live) < now_ns) {
      ask(slot, FM_END_IDLE, now_ns, requests);
    } else {
      withdraw(live);
      watch(slot);
    }
  });
}

void CloseRequests::ask_forgotten(uint64_t now_ns, Requests& requests) {
  if (forgotten_.empty() || now_ns - forgotten_asked_ns_ <= kAskAgainNs) return;
  forgotten_asked_ns_ = now_ns;
  for (const auto& [id, request] : forgotten_) requests.push_back(request);
}

void CloseRequests::ask_for_room(uint64_t now_ns, Requests& requests) {
  constexpr uint32_t kLooks = 256;
  const auto not_asked_for = [now_ns](const LiveFlow& live) {
    return live.wanted_end == FM_END_NONE && now_ns - live.state_asked_ns >= kAskAgainNs;
  };
  const uint32_t wanted = max_flows_ + leaving_;
  for (uint32_t flows = flows_.in_use(); flows > wanted; flows--) {
    const uint32_t slot = most_dispensable(kLooks, not_asked_for);
    if (slot == kNoSlot) continue;
    LiveFlow& live = flows_[slot];
    // With datapath "kernel" a busy flow sends no records, so its state is asked for first.
    if (timing_in_kernel_ && live.in_kernel() &&
        now_ns - std::min(now_ns, live.state_ns) > FM_SECOND_NS) {
      leaving_ += live.state_asked_ns == 0;
      live.state_asked_ns = now_ns;
      requests.push_back({live.key, live.id, FM_REPORT_STATE});
    } else {
      ask(slot, FM_END_RESOURCES, now_ns, requests);
    }
  }
}

void CloseRequests::close(std::optional<unsigned> interface_slot, fm_end_reason end,
                          Requests& requests) {
  each_open(flows_, [&](uint32_t, LiveFlow& live) {
    if (interface_slot && live.key.interface != *interface_slot + 1) return;
    set_wanted_end(live, end);
    requests.push_back({live.key, live.id, fm_close_force(end)});
  });
}

void CloseRequests::states(Requests& requests) const {
  each_open(flows_, [&](uint32_t, const LiveFlow& live) {
    if (live.in_kernel()) requests.push_back({live.key, live.id, FM_REPORT_STATE});
  });
}

// Chooses, among the next few eligible flows after hand_, the one that should make room first.
// Returns kNoSlot if none is found within the limit of steps.
template <typename MayBeTaken>
uint32_t CloseRequests::most_dispensable(uint32_t looks, MayBeTaken&& may_be_taken) {
  constexpr uint32_t kSample = 16;
  uint32_t victim = kNoSlot;
  for (uint32_t found = 0; looks > 0 && found < kSample; looks--) {
    const uint32_t slot = hand_;
    hand_ = hand_ + 1 < flows_.used() ? hand_ + 1 : 0;
    if (flows_[slot].id == 0 || !may_be_taken(flows_[slot])) continue;
    found++;
    if (victim == kNoSlot || spared_until(flows_[slot]) < spared_until(flows_[victim]))
      victim = slot;
  }
  return victim;
}

uint32_t CloseRequests::choose_victim() {
  const uint32_t victim =
      most_dispensable(flows_.used(), [](const LiveFlow& live) { return !live.in_kernel(); });
  if (victim != kNoSlot) return victim;
  return most_dispensable(flows_.used(), [](const LiveFlow&) { return true; });
}

void CloseRequests::end_forgotten(const LiveFlow& live) {
  forgotten_[live.id] = {live.key, live.id, fm_close_force(FM_END_RESOURCES)};
}

}  // namespace flowmeter
