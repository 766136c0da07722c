// SPDX-License-Identifier: BSD-3-Clause
// What a run tells: the account of its packets, warnings, what --top shows.
#pragma once

#include "base/host.h"
#include "flows/flow_applications.h"
#include "kernel/metered_interfaces.h"
#include "run/config.h"
#include "run/live_rows.h"
#include "view/live_view.h"

namespace flowmeter {

// What the parsers of payload met: a warning if they had no memory for some, with -v the counts.
// Nothing if payload is not looked into.
void report_application(const Config& config, const FlowApplications& applications, Host& host);

// What a live run tells. Made for each report.
struct LiveReport {
  const Config& config;
  const BpfDatapath& datapath;
  const MeteredInterfaces& interfaces;
  const LiveFlows& flows;
  const LiveRows& rows;
  uint64_t rows_before;  // packets in rows of earlier daemons (--pin)
  Host& host;

  // Logs the account at the end; returns whether it balances. Requires: the flows have settled.
  bool at_end() const;
  // Logs the account so far. Requires: the kernel has told the states of its flows.
  void so_far(const RecordSink& sink) const;
  // Logs one line, without asking the kernel for the states of flows. lost: at the end, the packets
  // that were metered and are in no row.
  void summary(uint64_t lost = 0) const;
  // What --top shows.
  ViewCounters view(uint64_t now_ns) const;
  // By all hooks, those of interfaces that have gone included.
  uint64_t packets_seen() const;

 private:
  struct Totals {
    std::string text;
    // Metered packets in no row and in no flow that is known here: on their way, or their record
    // was lost. At the end they are lost: the kernel's map has evicted their flows, too.
    uint64_t kernel_only = 0;
    uint64_t uncertain = 0;
    bool balanced = false;
  };

  Totals count() const;
  void log_hooks() const;
  template <typename Take>
  void each_hook(Take&& take) const {
    for (const InterfaceCounters& each : datapath.interface_counters())
      for (const fm_hook_counters& hook : each.hook) take(hook);
    for (const fm_hook_counters& hook : datapath.journal().departed) take(hook);
  }
};

}  // namespace flowmeter
