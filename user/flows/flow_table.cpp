// SPDX-License-Identifier: BSD-3-Clause
#include "flows/flow_table.h"

namespace flowmeter {

uint32_t FlowTable::prefetch_flow(const fm_packet& packet, uint32_t hash) const {
  const uint32_t slot = index_.guess(hash);
  if (slot == HashIndex::kNone) return slot;
  const FlowEntry& entry = pool_[slot];
  const unsigned end = packet.direction & 1;
  const auto fetch = [](const void* line) { __builtin_prefetch(line, 1); };
  // The cache lines that every packet touches. The layouts of the structs are designed for this
  // list.
  fetch(&entry.key);
  fetch(&entry.flow.counters.direction[end]);
  fetch(&entry.flow.counters.direction[end].payload_min);
  fetch(&entry.flow.timing.packets);
  fetch(&entry.flow.timing.period_start_ns);
  fetch(&entry.flow.timing.direction[end]);
  if (settings_.with_sizes) fetch(&entry.sizes);
  applications_.prefetch(slot, end);
  return slot;
}

void FlowTable::begin(uint32_t slot, const fm_packet& packet, fm_inheritance inherited,
                      fm_end_reason ended) {
  FlowEntry& entry = pool_[slot];
  entry = FlowEntry{};
  entry.key = packet.key;
  if (FM_UNLIKELY(many_eras_)) eras_[slot] = era_;
  fm_flow_counters_begin(&entry.flow.counters, &packet, inherited);
  applications_.begin(slot);
  if (FM_UNLIKELY(meter_.has_value())) note_start(slot, packet.time_ns, ended);
}

void FlowTable::note_start(uint32_t slot, uint64_t first_ns, fm_end_reason ended) {
  Starts& starts = (*starts_)[slot];
  starts.flow = {first_ns, era_, flows_begun_++};
  if (ended != FM_END_ACTIVE) starts.chain = starts.flow;
}

// The packet begins the next flow of the key in this slot, because the one in it has ended.
void FlowTable::begin_next(uint32_t slot, const fm_packet& packet, fm_end_reason ended) {
  const fm_inheritance inherited = fm_flow_inheritance(&pool_[slot].flow.counters, &packet, ended);
  write(slot, ended);
  begin(slot, packet, inherited, ended);
}

// Inlined: a call would cost 2 ns per packet.
[[gnu::always_inline]] inline void FlowTable::update(uint32_t slot, const fm_packet& packet,
                                                     std::span<const uint8_t> payload) {
  FlowEntry& entry = pool_[slot];
  if (settings_.with_sizes) fm_flow_sizes_update(&entry.sizes, &entry.flow.counters, &packet);
  applications_.add(slot, entry.key, packet, entry.flow.counters, payload);
  fm_flow_update(&entry.flow, &packet, &settings_);
}

void FlowTable::set_era(int64_t era) {
  if (era != era_ && !many_eras_ && pool_.used() > 0) {
    eras_.assign(pool_.capacity(), era_);
    many_eras_ = true;
  }
  era_ = era;
}

void FlowTable::write(uint32_t slot, fm_end_reason end) {
  const FlowEntry& entry = pool_[slot];
  flows_written_++;
  packets_written_ += fm_flow_packets(&entry.flow.counters);
  const __int128 era = many_eras_ ? eras_[slot] : era_;
  FlowRecord record{entry.key, entry.flow, clock_origin((era << 64) - kEpochNs), end};
  record.sizes = &entry.sizes;
  applications_.describe(slot, record);
  if (meter_) {
    record.meter = &*meter_;
    record.start = (*starts_)[slot].flow;
    record.chain_start = (*starts_)[slot].chain;
  }
  sink_.write(record);
  applications_.release(slot);
}

void FlowTable::add(const fm_packet& packet, uint32_t hash, uint32_t guess,
                    std::span<const uint8_t> payload) {
  const auto is_it = [&](uint32_t slot) {
    return fm_key_equal(&pool_[slot].key, &packet.key) != 0;
  };
  // A guess may be a flow of another key with the same hash. It may also be out of date, because an
  // earlier packet of the batch has opened the flow or forced out the flow in that slot.
  uint32_t slot = guess;
  if (FM_UNLIKELY(slot == HashIndex::kNone || !is_it(slot))) slot = index_.find(hash, is_it);
  if (FM_UNLIKELY(slot == HashIndex::kNone)) {
    slot = pool_.take();
    if (slot == SlotPool<FlowEntry>::kNone) slot = force_one_out(packet.time_ns);
    begin(slot, packet, fm_flow_inheritance(nullptr, &packet, FM_END_NONE));
    index_.insert(hash, slot);
  } else {
    const FlowEntry& entry = pool_[slot];
    if (FM_UNLIKELY(many_eras_) && era_ != eras_[slot]) return add_in_era(packet, slot, payload);
    const fm_end_reason ended = fm_flow_ended(&entry.flow.counters, &packet, &settings_);
    if (FM_UNLIKELY(ended != FM_END_NONE)) begin_next(slot, packet, ended);
  }
  update(slot, packet, payload);
}

// The 64-bit stamps look close, but eras are 584 years apart: a later era ends the flow, an earlier
// one is a step back.
void FlowTable::add_in_era(const fm_packet& met, uint32_t slot, std::span<const uint8_t> payload) {
  const FlowEntry& entry = pool_[slot];
  fm_packet packet = met;
  fm_end_reason ended = FM_END_IDLE;
  if (era_ < eras_[slot]) {
    packet.time_ns = entry.flow.counters.last_ns;
    ended = fm_flow_ended(&entry.flow.counters, &packet, &settings_);
    if (ended != FM_END_NONE) packet.time_ns = met.time_ns;  // the next flow has its own era
  }
  if (ended != FM_END_NONE) begin_next(slot, packet, ended);
  update(slot, packet, payload);
}

// Among the next few flows, chooses one that is idle by this packet's clock, else the one that was
// silent for longest. (A list in order of use would cost every packet two more cache lines.)
uint32_t FlowTable::force_one_out(uint64_t now_ns) {
  constexpr uint32_t kSample = 16;
  uint32_t victim = hand_;
  for (uint32_t i = 0; i < kSample; i++) {
    const FlowEntry& entry = pool_[hand_];
    if (entry.flow.counters.last_ns < pool_[victim].flow.counters.last_ns) victim = hand_;
    if (fm_flow_is_idle(&entry.flow.counters, entry.key.protocol, now_ns, &settings_)) {
      victim = hand_;
      i = kSample;
    }
    hand_ = hand_ + 1 == pool_.capacity() ? 0 : hand_ + 1;
  }
  forced_out_++;
  write(victim, FM_END_RESOURCES);
  index_.erase(hash_(pool_[victim].key), victim);
  return victim;
}

void FlowTable::finish(fm_end_reason end) {
  for (; finished_ < pool_.used(); finished_++) write(finished_, end);
}

}  // namespace flowmeter
