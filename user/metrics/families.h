// SPDX-License-Identifier: BSD-3-Clause
// The one table of metrics. The text that is served, its documentation and the tests of the alert
// rules and of the dashboard are made from this list.
#pragma once

#include <cstddef>

namespace flowmeter {

enum class MetricType { kCounter, kGauge, kInfo };

// X(constant, family, type, unit, labels, help). The samples of a counter are named FAMILY_total,
// that of an info FAMILY_info. If there is a unit, the family's name ends with it.
#define FM_METRIC_LIST(X)                                                                        \
  X(kBuild, "flowmeter_build", kInfo, "", "version", "Version of the program.")                  \
  X(kPackets, "flowmeter_packets", kCounter, "", "class",                                        \
    "Packets seen by all hooks, by what became of them.")                                        \
  X(kSeenPackets, "flowmeter_seen_packets", kCounter, "", "",                                    \
    "Packets seen by all hooks, counted by itself: the sum of flowmeter_packets_total.")         \
  X(kInterfacePackets, "flowmeter_interface_packets", kCounter, "", "interface, hook, class",    \
    "Packets by interface. Those of interfaces beyond --metrics-interfaces are in (other).")     \
  X(kGonePackets, "flowmeter_gone_interface_packets", kCounter, "", "hook, class",               \
    "Packets of interfaces that had a series and are not metered any more. With --pin also what" \
    " (other) had when the program started.")                                                    \
  X(kBeforeAttach, "flowmeter_before_attach_packets", kCounter, "", "hook",                      \
    "Packets that interfaces had carried before they could be metered, by their own counters."   \
    " Only of interfaces that appeared while the program ran. Not seen, and in no row.")         \
  X(kUncertainPackets, "flowmeter_uncertain_packets", kCounter, "", "",                          \
    "Packets seen merged by a device, so that their number on the wire is a guess.")             \
  X(kRowPackets, "flowmeter_row_packets", kCounter, "", "",                                      \
    "Metered packets that are in rows of ended flows.")                                          \
  X(kOpenFlowPackets, "flowmeter_open_flow_packets", kGauge, "", "",                             \
    "Metered packets of open flows, as far as the daemon knows (--datapath kernel: it lags).")   \
  X(kUncountedPackets, "flowmeter_uncounted_packets", kCounter, "", "",                          \
    "Buffers that only the daemon could add to their flow. Not a loss.")                         \
  X(kEventsLost, "flowmeter_events_lost", kCounter, "", "",                                      \
    "Buffers counted in the kernel whose record found no room (--event-memory): no times.")      \
  X(kPayloadsLost, "flowmeter_payloads_lost", kCounter, "", "",                                  \
    "Payloads that found no room on their way to the parsers (--event-memory).")                 \
  X(kHandoverPackets, "flowmeter_handover_lost_packets", kCounter, "", "",                       \
    "Packets of ended flows whose final counters found no room (--event-memory).")               \
  X(kUntimedPackets, "flowmeter_untimed_packets", kCounter, "", "",                              \
    "Packets in rows whose times are missing in these rows.")                                    \
  X(kFlowsEnded, "flowmeter_flows_ended", kCounter, "", "reason", "Flows ended, by end reason.") \
  X(kFlowsEvicted, "flowmeter_flows_evicted", kCounter, "", "",                                  \
    "How often the kernel's map dropped a flow to make room (--flow-map lru).")                  \
  X(kOpenFlows, "flowmeter_open_flows", kGauge, "", "", "Flows that the daemon holds.")          \
  X(kFlowLimit, "flowmeter_flow_limit", kGauge, "", "",                                          \
    "Most flows held at a time (--max-flows); beyond that, old ones are forced out.")            \
  X(kInterfaces, "flowmeter_interfaces", kGauge, "", "", "Metered interfaces.")                  \
  X(kDrainLag, "flowmeter_drain_lag_seconds", kGauge, "seconds", "",                             \
    "Largest age, in the last second, of a record that waited for the daemon.")                  \
  X(kUpdateAge, "flowmeter_update_age_seconds", kGauge, "seconds", "",                           \
    "Age of all these numbers, which the metering loop publishes every second.")                 \
  X(kOutputUp, "flowmeter_output_up", kGauge, "", "output",                                      \
    "Whether the last attempt to write to this output succeeded, and not all rows were "         \
    "refused.")                                                                                  \
  X(kOutputRows, "flowmeter_output_rows", kCounter, "", "output, result",                        \
    "Rows of an output by what became of them: written (safe from the end of the program) or "   \
    "dropped.")                                                                                  \
  X(kOutputDelivered, "flowmeter_output_delivered_rows", kCounter, "", "output, result",         \
    "Rows of an output that is a server: sent (acknowledged), refused or lost. The last two "    \
    "are dropped, or were written to the spool before.")                                         \
  X(kOutputWaiting, "flowmeter_output_waiting_rows", kGauge, "", "output",                       \
    "Rows in memory that are neither written nor dropped.")                                      \
  X(kOutputQueue, "flowmeter_output_queue_bytes", kGauge, "bytes", "output",                     \
    "Memory of the rows that wait.")                                                             \
  X(kOutputSpooled, "flowmeter_output_spooled_rows", kGauge, "", "output",                       \
    "Rows in the spool that the server has not acknowledged.")                                   \
  X(kBpfRunSeconds, "flowmeter_bpf_run_seconds", kCounter, "seconds", "program",                 \
    "Run time of the BPF programs (--bpf-stats).")                                               \
  X(kBpfRuns, "flowmeter_bpf_runs", kCounter, "", "program",                                     \
    "Runs of the BPF programs (--bpf-stats).")                                                   \
  X(kProcessCpu, "process_cpu_seconds", kCounter, "seconds", "",                                 \
    "User and system CPU time of the program.")                                                  \
  X(kProcessMemory, "process_resident_memory_bytes", kGauge, "bytes", "",                        \
    "Resident memory of the program, without that of the kernel's maps.")                        \
  X(kProcessVirtual, "process_virtual_memory_bytes", kGauge, "bytes", "",                        \
    "Virtual memory of the program.")                                                            \
  X(kProcessFds, "process_open_fds", kGauge, "", "", "Open file descriptors.")                   \
  X(kProcessMaxFds, "process_max_fds", kGauge, "", "", "Most open file descriptors.")            \
  X(kProcessThreads, "process_threads", kGauge, "", "", "Threads of the program.")               \
  X(kProcessStart, "process_start_time_seconds", kGauge, "seconds", "",                          \
    "Start of the program, in seconds since 1970.")

enum class Metric : size_t {
#define FM_METRIC_ENUM(constant, family, type, unit, labels, help) constant,
  FM_METRIC_LIST(FM_METRIC_ENUM)
#undef FM_METRIC_ENUM
};

struct MetricFamily {
  const char* name;
  MetricType type;
  const char* unit;    // "": none
  const char* labels;  // "interface, hook, class"
  const char* help;
};

inline constexpr MetricFamily kMetricFamilies[] = {
#define FM_METRIC_FAMILY(constant, family, type, unit, labels, help) \
  {family, MetricType::type, unit, labels, help},
    FM_METRIC_LIST(FM_METRIC_FAMILY)
#undef FM_METRIC_FAMILY
};

inline const MetricFamily& family_of(Metric metric) {
  return kMetricFamilies[static_cast<size_t>(metric)];
}

}  // namespace flowmeter
