// SPDX-License-Identifier: BSD-3-Clause
// The flows of a replay, by key. (Live, the kernel's map is the table and live_flows.h follows it.)
//
// A row can be written only when no further packet can belong to its flow. The time stamps of a
// capture may step back, so this is when a packet opens the next flow on the key, or at the end of
// the input. When the table is full, flows are written early, which is counted and reported. Not
// thread-safe; no allocation per packet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/slot_pool.h"
#include "flowmeter/flow.h"
#include "flows/flow_applications.h"
#include "flows/flow_record.h"
#include "flows/hash_index.h"
#include "flows/key_hash.h"

namespace flowmeter {

struct alignas(64) FlowEntry {
  fm_flow_key key;
  fm_flow flow;
  fm_flow_sizes sizes;  // with settings.with_sizes
};
static_assert(sizeof(FlowEntry) == 13 * 64);
static_assert(offsetof(FlowEntry, sizes) % 64 == 0);

class FlowTable {
 public:
  FlowTable(const fm_settings& settings, uint32_t max_flows, RecordSink& sink)
      : settings_(settings), pool_(max_flows), applications_(settings, max_flows), sink_(sink) {}

  // Rows say that they are of this meter, and which flow each is of. (Otherwise nothing is kept for
  // that.) Requires: no packet was added yet.
  void identify_rows(MeterIdentity meter) {
    meter_ = std::move(meter);
    starts_.emplace(pool_.capacity());
  }

  // Time stamps count from the start of their era of 2^64 ns. Era 0 starts this long before the
  // epoch (in 1823), so that no era starts at a time that occurs in captures: not in 1970, around
  // which stamps with a negative offset lie, and not after a power of two.
  static constexpr uint64_t kEpochNs = uint64_t{1} << 62;

  // Sets the era of the packets added from now on. A packet of a later era than its flow's opens a
  // new flow; an earlier era is a step back of the clock.
  void set_era(int64_t era);

  // Adding is split into steps that Replay spreads over time: each step prefetches the memory that
  // the next one needs.
  uint32_t hash(const fm_packet& packet) const { return hash_(packet.key); }
  void prefetch_index(uint32_t hash) const { index_.prefetch(hash); }
  // Returns a guess of the packet's slot, for add().
  uint32_t prefetch_flow(const fm_packet& packet, uint32_t hash) const;
  // Some packets later, prefetches the flow that the guess leads to.
  [[gnu::always_inline]] void prefetch_application(uint32_t guess) const {
    if (guess != HashIndex::kNone) applications_.prefetch_further(guess);
  }
  // payload: the captured part, with settings.with_application.
  void add(const fm_packet& packet, uint32_t hash, uint32_t guess = HashIndex::kNone,
           std::span<const uint8_t> payload = {});

  // Writes all flows in the order of their slots, which is that of their first packets unless a
  // flow was forced out.
  void finish(fm_end_reason end);

  uint64_t flows_written() const { return flows_written_; }
  // Sum of the packets of the flows written.
  uint64_t packets_written() const { return packets_written_; }
  // Flows written early because the table was full.
  uint64_t forced_out() const { return forced_out_; }
  uint32_t open_flows() const { return pool_.used() - finished_; }
  const FlowApplications& applications() const { return applications_; }

 private:
  // ended: why the flow before it in this slot has ended; FM_END_NONE: it was of another key.
  void begin(uint32_t slot, const fm_packet& packet, fm_inheritance inherited,
             fm_end_reason ended = FM_END_NONE);
  void note_start(uint32_t slot, uint64_t first_ns, fm_end_reason ended);
  void begin_next(uint32_t slot, const fm_packet& packet, fm_end_reason ended);
  void update(uint32_t slot, const fm_packet& packet, std::span<const uint8_t> payload);
  void write(uint32_t slot, fm_end_reason end);
  void add_in_era(const fm_packet& packet, uint32_t slot, std::span<const uint8_t> payload);
  uint32_t force_one_out(uint64_t now_ns);

  struct Starts {
    FlowStart flow;
    FlowStart chain;
  };

  const fm_settings settings_;
  KeyHash hash_;
  HashIndex index_;
  SlotPool<FlowEntry> pool_;
  FlowApplications applications_;
  RecordSink& sink_;
  int64_t era_ = 0;
  bool many_eras_ = false;
  std::vector<int64_t> eras_;  // [slot]: the era of its flow's first packet, if many_eras_
  std::optional<MeterIdentity> meter_;
  std::optional<SlotPool<Starts>> starts_;  // by the same slots, if meter_
  uint64_t flows_begun_ = 0;                // if meter_
  uint32_t hand_ = 0;
  uint32_t finished_ = 0;  // slots that finish() has written
  uint64_t flows_written_ = 0;
  uint64_t packets_written_ = 0;
  uint64_t forced_out_ = 0;
};

}  // namespace flowmeter
