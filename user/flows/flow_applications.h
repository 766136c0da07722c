// SPDX-License-Identifier: BSD-3-Clause
// The part of a flow table that is only kept with settings.with_application: per flow, the summary
// of its payload and bulks by direction. Addressed by the table's slots.
//
// Without the setting every call does nothing, so callers need not test for it. The test is inlined
// and costs one predictable branch per call.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "application/application_layer.h"
#include "base/slot_pool.h"
#include "flowmeter/flow.h"
#include "flows/direction_bulks.h"
#include "flows/flow_record.h"

namespace flowmeter {

class FlowApplications {
 public:
  FlowApplications(const fm_settings& settings, uint32_t max_flows)
      : settings_(settings),
        on_(settings.with_application != 0),
        states_(on_ ? max_flows : 1),
        layer_(on_ ? max_flows : 1) {}

  // Prefetches the memory that a packet needs, in two steps. The second one, some packets later,
  // follows pointers that the first one has fetched. end: the end of the key that sends the packet.
  [[gnu::always_inline]] void prefetch(uint32_t slot, unsigned end) const {
    if (FM_LIKELY(!on_)) return;
    __builtin_prefetch(&states_[slot].bulks[end], 1);
    __builtin_prefetch(&states_[slot].application, 1);
  }
  [[gnu::always_inline]] void prefetch_further(uint32_t slot) const {
    if (on_) layer_.prefetch(states_[slot].application);
  }

  // Starts a new flow. Requires: the previous flow of this slot was released.
  void begin(uint32_t slot) {
    if (on_) states_[slot] = State{};
  }

  // Adds a packet, with all its segments, and the available part of its payload. Requires: the
  // packet is not yet in the flow's counters.
  [[gnu::always_inline]] void add(uint32_t slot, const fm_flow_key& key, const fm_packet& packet,
                                  const fm_flow_counters& counters,
                                  std::span<const uint8_t> payload) {
    if (FM_LIKELY(!on_)) return;
    add_bulks_of(slot, packet, counters);
    add_payload_of(slot, key, packet, payload, counters.forward_direction);
  }
  // The same in two parts, for packets whose payload arrives separately.
  void add_to_bulks(uint32_t slot, const fm_packet& packet, const fm_flow_counters& counters) {
    if (FM_UNLIKELY(on_)) add_bulks_of(slot, packet, counters);
  }
  void add_payload(uint32_t slot, const fm_flow_key& key, const fm_packet& packet,
                   std::span<const uint8_t> payload, uint8_t forward_direction) noexcept {
    if (on_) add_payload_of(slot, key, packet, payload, forward_direction);
  }

  // Notes that payload that might have mattered was lost on its way here.
  void lost(uint32_t slot) noexcept {
    if (on_) layer_.lost(states_[slot].application);
  }

  // Points the record to the flow's results, which are valid until the next call.
  void describe(uint32_t slot, FlowRecord& record) noexcept;
  // The same for a flow for which nothing was kept.
  void describe_unknown(FlowRecord& record) const noexcept;
  // Removes the flow.
  void release(uint32_t slot) noexcept {
    if (on_) layer_.release(states_[slot].application);
  }

  // Appends what is kept for the flow; reads it again, for a flow of which nothing is known.
  // restore() is false if it is incomplete. Call restored() after the last flow.
  void save(uint32_t slot, ValueBytes& to) const;
  bool restore(uint32_t slot, ValueReader& from);
  void restored() { layer_.restored(); }
  // A number for the layout of what is saved.
  static uint64_t layout() { return ApplicationLayer::layout() * 8191 + sizeof(State); }

  ApplicationLayer::Statistics statistics() const { return layer_.statistics(); }

 private:
  struct State {
    std::array<DirectionBulks, 2> bulks;  // [end of the key that sent the packets]
    ApplicationFlow application;
  };

  void add_bulks_of(uint32_t slot, const fm_packet& packet, const fm_flow_counters& counters) {
    const uint64_t now_ns = fm_flow_time(&counters, packet.time_ns);
    states_[slot].bulks[packet.direction & 1].add(packet, now_ns, settings_);
  }
  void add_payload_of(uint32_t slot, const fm_flow_key& key, const fm_packet& packet,
                      std::span<const uint8_t> payload, uint8_t forward_direction) noexcept;

  const fm_settings settings_;
  const bool on_;
  SlotPool<State> states_;
  ApplicationLayer layer_;
  std::array<DirectionBulks, 2> finished_;
};

}  // namespace flowmeter
