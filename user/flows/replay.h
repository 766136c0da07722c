// SPDX-License-Identifier: BSD-3-Clause
// Replay: frames of a capture go through the core into the flow table, several at a time.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>

#include "capture/capture_reader.h"
#include "flowmeter/parse.h"
#include "flows/account.h"
#include "flows/flow_table.h"
#include "flows/fragment_table.h"

namespace flowmeter {

class Replay {
 public:
  struct Limits {
    uint32_t max_flows;
    uint32_t max_fragments;
  };

  Replay(const fm_settings& settings, Limits limits, RecordSink& sink)
      : settings_(settings),
        flows_(settings, limits.max_flows, sink),
        fragments_(limits.max_fragments) {}

  // Rows say which meter made them. Requires: no frame was added yet.
  void identify_rows(MeterIdentity meter) { flows_.identify_rows(std::move(meter)); }

  // Parses one frame and counts it. If it is metered, it is added to its flow now or by a later
  // call: with settings.with_application the frame's bytes must stay until then (settle()).
  void add(const CapturedFrame& frame);

  // Adds the pending packets and writes all flows.
  void finish();

  // Adds the pending packets, so that account and flows agree.
  void settle();

  const Account& account() const { return account_; }
  const FlowTable& flows() const { return flows_; }

 private:
  // A packet is parsed, hashed, looked up and added in steps that are some packets apart. Each step
  // prefetches the memory that the next one needs, and the steps of other packets hide the latency.
  // (A step for a whole batch would request more cache lines at once than a core can wait for.) The
  // hash is a separate step because the key has just been written by small stores, and loading
  // whole words would have to wait for them.
  static constexpr uint64_t kHashDelay = 2, kIndexDelay = 12, kFlowDelay = 16;
  static constexpr size_t kRing = 32;
  static_assert(kHashDelay + kIndexDelay + kFlowDelay < kRing);
  void advance(uint64_t hash_delay, uint64_t index_delay, uint64_t flow_delay);

  const fm_settings settings_;
  Account account_;
  FlowTable flows_;
  FragmentTable fragments_;
  int64_t era_ = 0;
  uint64_t parsed_ = 0;  // number of packets so far
  uint64_t hashed_ = 0;
  uint64_t found_ = 0;
  uint64_t added_ = 0;
  std::array<fm_packet, kRing> packets_;
  std::array<uint32_t, kRing> hashes_;
  std::array<uint32_t, kRing> guesses_;
  std::array<std::span<const uint8_t>, kRing> payloads_;  // with_application only
};

}  // namespace flowmeter
