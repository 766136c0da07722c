// SPDX-License-Identifier: BSD-3-Clause
#include "run/live_rows.h"

#include "run/report.h"

namespace flowmeter {
namespace {

// resumed: flows were taken over from an earlier daemon. lost: there was no room for some record.
const char* why_records_are_missing(bool resumed, bool lost) {
  if (!resumed)
    return "found no room in the event streams (--event-memory makes more; --quality shows which)";
  if (!lost) return "were read by an earlier daemon (--quality shows which)";
  return "were read by an earlier daemon, or found no room in the event streams (--event-memory "
         "makes more; --quality shows which)";
}

}  // namespace

uint64_t FlowRows::packets(const LiveFlows& flows, uint64_t rows_before) const {
  return rows_before + flows.packets_written() + flows.open_packets();
}

std::string FlowRows::account(const LiveFlows& flows, uint64_t rows_before) const {
  std::string text = " flows=" + std::to_string(flows.flows_written()) +
                     " in_rows=" + std::to_string(rows_before + flows.packets_written());
  if (const uint64_t open = flows.open_packets(); open > 0)
    text += " open=" + std::to_string(open) + " open_flows=" + std::to_string(flows.open_flows());
  return text;
}

void FlowRows::report(const LiveReport& run, uint64_t kernel_only) const {
  const LiveFlows& flows = run.flows;
  const fm_cpu_counters counters = run.datapath.counters();
  Host& host = run.host;
  if (flows.flows_with_losses())
    host.log_warning("times are missing: " + std::to_string(flows.flows_with_losses()) +
                     " flows have exact counts, but their times lack " +
                     std::to_string(flows.packets_without_timing()) +
                     " of their packets, whose records " +
                     why_records_are_missing(run.datapath.resumed(), counters.events_lost > 0));
  if (counters.payload_lost)
    host.log_warning(std::to_string(counters.payload_lost) +
                     " payloads did not reach the parsers because the event streams were full "
                     "(--event-memory); the HTTP, TLS and DNS columns of their flows are empty");
  report_application(run.config, flows.applications(), host);
  if (flows.forced_out())
    host.log_warning(std::to_string(flows.forced_out()) +
                     " flows ended early because there were more than --max-flows");
  if (counters.uncounted && run.interfaces.count() > 1 && !run.config.per_interface)
    host.log_warning(std::to_string(counters.uncounted) +
                     " packets found no room in the flow map; those that passed several interfaces "
                     "were counted at each (--max-flows)");
  if (flows.evicted() && !run.config.lru)
    host.log_warning(std::to_string(flows.evicted()) +
                     " times the record of a flow's end found no room in the event streams "
                     "(--event-memory); its row lacks what only the kernel knew");
  else if (flows.evicted())
    host.log_warning(std::to_string(flows.evicted()) +
                     " times the kernel's map dropped a flow to make room (--max-flows); " +
                     std::to_string(flows.recreated()) + " returned and were continued");
  if (run.kernel_continues)
    host.log_info("the kernel continues metering; start again with --pin " + run.config.pin +
                  " to take over its flows" +
                  (run.config.unpin ? "" : ", and add --unpin to stop it"));
  else if (kernel_only)
    host.log_warning(std::to_string(kernel_only) + " metered packets are in no row");
}

void CompatRows::report(const LiveReport& run, uint64_t kernel_only) const {
  if (kernel_only)
    run.host.log_warning(
        std::to_string(kernel_only) +
        " metered packets are in no flow: their events were lost (--event-memory makes "
        "room for more)");
  engine_.report(run.host);
}

}  // namespace flowmeter
