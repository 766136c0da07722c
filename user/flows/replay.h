// SPDX-License-Identifier: BSD-3-Clause
// Replay: frames of a capture through the core into the flow table, in batches.
#pragma once

#include <array>
#include <cstdint>

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

  // Parses one frame and counts it. If it is metered, it is added to its flow now or by a later
  // call.
  void add(const CapturedFrame& frame);

  // Adds what waits in the batch and writes all flows.
  void finish();

  // Adds what waits in the batch, so that account and flows agree.
  void settle();

  const Account& account() const { return account_; }
  FlowTable& flows() { return flows_; }

 private:
  // Long enough to hide the memory latency of a flow's cache lines behind the parsing of other
  // packets, short enough that what was prefetched is still in the L1 cache.
  static constexpr size_t kBatch = 32;

  const fm_settings settings_;
  Account account_;
  FlowTable flows_;
  FragmentTable fragments_;
  int64_t era_ = 0;
  size_t waiting_ = 0;
  std::array<fm_packet, kBatch> packets_;
  std::array<uint32_t, kBatch> hashes_;
};

}  // namespace flowmeter
