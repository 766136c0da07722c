// SPDX-License-Identifier: BSD-3-Clause
// What the tables of flows keep beside each flow where settings.with_application says so: what its
// payload says, and bulks by direction. By the tables' slots; without the setting there is room for
// none, and nothing may be called.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "application/application_layer.h"
#include "base/slot_pool.h"
#include "flowmeter/flow_key.h"
#include "flowmeter/packet.h"
#include "flowmeter/settings.h"
#include "flows/direction_bulks.h"
#include "flows/flow_record.h"

namespace flowmeter {

class FlowApplications {
 public:
  FlowApplications(const fm_settings& settings, uint32_t max_flows)
      : settings_(settings),
        states_(settings.with_application ? max_flows : 1),
        layer_(settings.with_application ? max_flows : 1) {}

  // Asks for the memory that a packet needs, in two steps: the second, some packets later, follows
  // what the first brought. end: of the key, that sends the packet.
  [[gnu::always_inline]] void prefetch(uint32_t slot, unsigned end) const {
    __builtin_prefetch(&states_[slot].bulks[end], 1);
    __builtin_prefetch(&states_[slot].application, 1);
  }
  [[gnu::always_inline]] void prefetch_further(uint32_t slot) const {
    layer_.prefetch(states_[slot].application);
  }

  // A new flow. Requires: the one before it in this slot was released.
  void begin(uint32_t slot) { states_[slot] = State{}; }

  // Adds a packet, with all its segments, to the bulks. now_ns: its time within the flow
  // (fm_flow_time).
  void add_to_bulks(uint32_t slot, const fm_packet& packet, uint64_t now_ns) {
    states_[slot].bulks[packet.direction & 1].add(packet, now_ns, settings_);
  }

  // Adds its payload, or what there is of it. forward_direction: of the flow.
  void add_payload(uint32_t slot, const fm_flow_key& key, const fm_packet& packet,
                   std::span<const uint8_t> octets, uint8_t forward_direction) noexcept;

  // Payload that might have mattered did not come this far.
  void lost(uint32_t slot) noexcept { layer_.lost(states_[slot].application); }

  // Points the record to what is known; valid until the next call.
  void describe(uint32_t slot, FlowRecord& record) noexcept;
  // The same for a flow of which nothing was kept.
  static void describe_unknown(FlowRecord& record);
  // Forgets the flow.
  void release(uint32_t slot) noexcept { layer_.release(states_[slot].application); }

  const ApplicationLayer::Statistics& statistics() const { return layer_.statistics(); }

 private:
  struct State {
    std::array<DirectionBulks, 2> bulks;  // [end of the key that sent the packets]
    ApplicationFlow application;
  };

  const fm_settings settings_;
  SlotPool<State> states_;
  ApplicationLayer layer_;
  std::array<DirectionBulks, 2> finished_;
};

}  // namespace flowmeter
