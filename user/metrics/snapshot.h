// SPDX-License-Identifier: BSD-3-Clause
// The numbers of a run at one moment. The metering thread makes them and publishes them as a whole;
// the server's thread only reads what is published.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/output_account.h"
#include "flowmeter/abi.h"
#include "flowmeter/end_reason.h"
#include "metrics/metrics_text.h"

namespace flowmeter {

using HookCounters = std::array<fm_hook_counters, FM_HOOK_COUNT>;

struct MetricsSnapshot {
  // Starting: there are no numbers yet. Resuming: the flows of a killed daemon are being taken
  // over, so it is not known yet which of its packets are in rows, and which in open flows.
  enum class State { kStarting, kResuming, kMetering, kEnding };
  struct Interface {
    std::string name;
    HookCounters hooks{};
  };
  struct Program {
    std::string name;
    uint64_t runs = 0;
    uint64_t run_ns = 0;
  };

  uint64_t made_ns = 0;  // monotonic
  State state = State::kStarting;

  std::vector<Interface> interfaces;  // names are unique; the last may be "(other)"
  HookCounters gone{};                // of interfaces that were among them
  uint64_t interface_count = 0;
  fm_before_attach before_attach{};
  fm_cpu_counters kernel{};

  uint64_t row_packets = 0;
  uint64_t open_flow_packets = 0;
  uint64_t untimed_packets = 0;
  std::array<uint64_t, FM_END_COUNT> flows_ended{};
  uint64_t flows_evicted = 0;
  uint64_t open_flows = 0;
  uint64_t flow_limit = 0;
  uint64_t drain_lag_ns = 0;

  std::vector<OutputAccount> outputs;
  std::vector<Program> programs;  // if they are measured

  // "": ready. Otherwise why not, in a line.
  std::string unready() const;
};

// What the system says about this process.
struct ProcessMetrics {
  double cpu_seconds = 0;
  uint64_t resident_bytes = 0, virtual_bytes = 0, threads = 0;
  uint64_t open_fds = 0;  // 0: unknown, as the descriptor that counts them is one
  uint64_t max_fds = 0;
  double start_unix_s = 0;
};

std::string metrics_text(const MetricsSnapshot& snapshot, const ProcessMetrics& process,
                         uint64_t now_ns, MetricsFormat format);

}  // namespace flowmeter
