// SPDX-License-Identifier: BSD-3-Clause
#include "flows/replay.h"

#include <algorithm>

namespace flowmeter {
namespace {

// The captured part of the packet's payload. Padding is not payload.
std::span<const uint8_t> payload_of(const fm_packet& packet, const CapturedFrame& frame) {
  if (frame.captured_length <= packet.payload_offset) return {};
  return {frame.data + packet.payload_offset,
          std::min(packet.payload_bytes, frame.captured_length - packet.payload_offset)};
}

}  // namespace

void Replay::add(const CapturedFrame& captured) {
  const uint64_t time_ns = captured.time_ns + FlowTable::kEpochNs;
  const int64_t era = captured.era + (time_ns < captured.time_ns);  // with the carry
  if (FM_UNLIKELY(era != era_)) {
    settle();
    era_ = era;
    flows_.set_era(era_);
  }
  const fm_captured frame{captured.data, captured.captured_length};
  fm_packet& packet = packets_[parsed_ % kRing];
  fm_fragment_key fragment{};
  fm_fragment_role role = FM_NOT_FRAGMENT;
  packet = fm_packet{};
  packet.time_ns = time_ns;
  fm_packet_class packet_class =
      fm_parse(&frame, {captured.wire_length, 0, 0}, captured.link_type, &packet, &fragment, &role);
  if (FM_UNLIKELY(role != FM_NOT_FRAGMENT) && packet_class == FM_METERED) {
    if (role == FM_FIRST_FRAGMENT)
      fragments_.remember(fragment, packet, era_);
    else
      packet_class = fm_fragment_join(&packet, fragments_.find(fragment, era_), &settings_);
  }
  account_.count(packet_class);
  if (packet_class != FM_METERED) return;

  if (FM_UNLIKELY(settings_.with_application))
    payloads_[parsed_ % kRing] = payload_of(packet, captured);
  parsed_++;
  advance(kHashDelay, kIndexDelay, kFlowDelay);
}

// Advances each packet that was parsed at least that many packets ago by one step.
inline void Replay::advance(uint64_t hash_delay, uint64_t index_delay, uint64_t flow_delay) {
  if (hashed_ + hash_delay < parsed_) {
    const size_t i = hashed_++ % kRing;
    hashes_[i] = flows_.hash(packets_[i]);
    flows_.prefetch_index(hashes_[i]);
  }
  if (found_ + index_delay < hashed_) {
    const size_t i = found_++ % kRing;
    guesses_[i] = flows_.prefetch_flow(packets_[i], hashes_[i]);
  }
  if (FM_UNLIKELY(settings_.with_application) && added_ + flow_delay / 2 < found_)
    flows_.prefetch_application(guesses_[(added_ + flow_delay / 2) % kRing]);
  if (added_ + flow_delay < found_) {
    const size_t i = added_++ % kRing;
    flows_.add(packets_[i], hashes_[i], guesses_[i], payloads_[i]);
  }
}

void Replay::settle() {
  while (added_ < parsed_) advance(0, 0, 0);
}

void Replay::finish() {
  settle();
  flows_.finish(FM_END_INPUT);
}

}  // namespace flowmeter
