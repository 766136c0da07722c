// SPDX-License-Identifier: BSD-3-Clause
#include "flows/flow_applications.h"

#include <algorithm>

namespace flowmeter {

void FlowApplications::add_payload_of(uint32_t slot, const fm_flow_key& key,
                                      const fm_packet& packet, std::span<const uint8_t> bytes,
                                      uint8_t forward_direction) noexcept {
  if (packet.transport_header_bytes == 0) return;  // a later fragment
  const bool port_53 = key.port[0] == FM_DNS_PORT || key.port[1] == FM_DNS_PORT;
  ApplicationFlow& flow = states_[slot].application;
  Payload payload{};
  payload.direction = (packet.direction & 1) != forward_direction;
  payload.sequence = packet.sequence;
  payload.length = packet.payload_bytes;
  payload.syn = (packet.flags & FM_SYN) != 0;
  payload.bytes = bytes;
  if (key.protocol == FM_UDP) {
    if (port_53) layer_.udp(flow, payload);
    return;
  }
  if (key.protocol != FM_TCP) return;
  if (FM_LIKELY(fm_packet_segments(&packet) == 1)) return layer_.tcp(flow, port_53, payload);
  // One segment at a time, as on the wire.
  for (uint32_t at = 0; at < packet.payload_bytes; at += packet.segment_bytes) {
    payload.length = std::min<uint32_t>(packet.segment_bytes, packet.payload_bytes - at);
    payload.sequence = packet.sequence + at;
    payload.bytes = bytes.subspan(std::min<size_t>(at, bytes.size()));
    payload.bytes = payload.bytes.first(std::min<size_t>(payload.length, payload.bytes.size()));
    layer_.tcp(flow, port_53, payload);
    payload.syn = false;
  }
}

void FlowApplications::describe(uint32_t slot, FlowRecord& record) noexcept {
  if (!on_) return;
  State& state = states_[slot];
  for (size_t end = 0; end < 2; end++) finished_[end] = state.bulks[end].finished(settings_);
  record.direction_bulks = finished_.data();
  record.application = &layer_.finish(state.application);
}

void FlowApplications::describe_unknown(FlowRecord& record) const noexcept {
  if (!on_) return;
  static constexpr std::array<DirectionBulks, 2> kNoBulks{};
  static const ApplicationSummary kUnknown = [] {
    ApplicationSummary summary{};
    summary.unknown = true;
    return summary;
  }();
  record.direction_bulks = kNoBulks.data();
  record.application = &kUnknown;
}

void FlowApplications::save(uint32_t slot, ValueBytes& to) const {
  append(to, states_[slot].bulks);
  layer_.save(states_[slot].application, to);
}

bool FlowApplications::restore(uint32_t slot, ValueReader& from) {
  return on_ && from.read(states_[slot].bulks) && layer_.restore(states_[slot].application, from);
}

}  // namespace flowmeter
