// SPDX-License-Identifier: BSD-3-Clause
// The rows of flows that another version has left in the pinned maps (kernel/earlier_version.h).
#pragma once

#include "base/host.h"
#include "flows/live_flows.h"
#include "kernel/bpf_datapath.h"
#include "run/config.h"

namespace flowmeter {

class EarlierRows {
 public:
  // All of them must outlive this object.
  EarlierRows(const Config& config, BpfDatapath& datapath, LiveFlows& flows, Host& host)
      : config_(config), datapath_(datapath), flows_(flows), host_(host) {}

  bool done() const;
  // Writes rows for some of the flows, which end. Returns how many.
  Result<size_t> take();

 private:
  void report_end() const;

  const Config& config_;
  BpfDatapath& datapath_;
  LiveFlows& flows_;
  Host& host_;
};

}  // namespace flowmeter
