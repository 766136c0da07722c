// SPDX-License-Identifier: BSD-3-Clause
// The reports of a run: the account of its packets, warnings, and the data for --top.
#pragma once

#include "base/host.h"
#include "flows/flow_applications.h"
#include "kernel/metered_interfaces.h"
#include "run/config.h"
#include "run/live_rows.h"
#include "view/live_view.h"

namespace flowmeter {

// Reports on the parsers of payload: a warning if they ran out of memory, and counts with -v.
// Nothing if payload is not parsed.
void report_application(const Config& config, const FlowApplications& applications, Host& host);

// The reports of a live run. An object is made for each report.
struct LiveReport {
  const Config& config;
  const BpfDatapath& datapath;
  const MeteredInterfaces& interfaces;
  const LiveFlows& flows;
  const LiveRows& rows;
  uint64_t rows_before;   // packets in rows of earlier daemons (--pin)
  bool kernel_continues;  // when the run ends, for the next daemon
  Host& host;

  // Logs the account at the end; returns whether it balances. Requires: the flows have settled.
  bool at_end() const;
  // Logs the account so far. Requires: the kernel has reported the states of its flows.
  void so_far(const RecordSink& sink) const;
  // Logs one line, without requesting the states of flows. lost: at the end, the packets that were
  // metered but are in no row.
  void summary(uint64_t lost = 0) const;
  // The data for --top.
  ViewCounters view(uint64_t now_ns) const;
  // Counted by all hooks, including those of removed interfaces.
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
    for (int hook = 0; hook < FM_HOOK_COUNT; hook++) take(datapath.departed(hook));
  }
};

}  // namespace flowmeter
