// SPDX-License-Identifier: BSD-3-Clause
#include "flows/replay.h"

namespace flowmeter {

void Replay::add(const CapturedFrame& captured) {
  if (FM_UNLIKELY(captured.era != era_)) {
    settle();
    era_ = captured.era;
    flows_.set_era(era_);
    fragments_.clear();  // 584 years are more than any fragment memory
  }
  const fm_captured frame{captured.data, captured.captured_length};
  fm_packet& packet = packets_[waiting_];
  fm_fragment_key fragment{};
  fm_fragment_role role = FM_NOT_FRAGMENT;
  packet = fm_packet{};
  packet.time_ns = captured.time_ns;
  fm_reason reason =
      fm_parse(&frame, {captured.wire_length, 0, 0}, captured.link_type, &packet, &fragment, &role);
  if (FM_UNLIKELY(role != FM_NOT_FRAGMENT) && reason == FM_METERED) {
    if (role == FM_FIRST_FRAGMENT)
      fragments_.remember(fragment, packet);
    else
      reason = fm_fragment_join(&packet, fragments_.find(fragment), &settings_);
  }
  account_.count(reason);
  if (reason != FM_METERED) return;

  const uint32_t hash = flows_.hash(packet);
  flows_.prefetch_index(hash);
  hashes_[waiting_] = hash;
  if (++waiting_ == kBatch) settle();
}

void Replay::settle() {
  std::array<uint32_t, kBatch> guesses;
  for (size_t i = 0; i < waiting_; i++) guesses[i] = flows_.prefetch_flow(packets_[i], hashes_[i]);
  for (size_t i = 0; i < waiting_; i++) flows_.add(packets_[i], hashes_[i], guesses[i]);
  waiting_ = 0;
}

void Replay::finish() {
  settle();
  flows_.finish(FM_END_INPUT);
}

}  // namespace flowmeter
