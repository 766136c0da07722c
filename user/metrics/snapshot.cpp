// SPDX-License-Identifier: BSD-3-Clause
#include "metrics/snapshot.h"

#include <algorithm>
#include <set>

#include "base/utf8.h"
#include "flowmeter/packet_class.h"

namespace flowmeter {
namespace {

constexpr const char* kClassNames[] = {
#define FM_CLASS_NAME(constant, name, description) name,
    FM_PACKET_CLASS_LIST(FM_CLASS_NAME)
#undef FM_CLASS_NAME
};
constexpr const char* kEndNames[] = {
#define FM_END_NAME(constant, name, description) name,
    FM_END_REASON_LIST(FM_END_NAME)
#undef FM_END_NAME
};
constexpr const char* kHookNames[] = {"ingress", "egress"};

double seconds(uint64_t ns) {
  return static_cast<double>(ns) / FM_SECOND_NS;
}

// The sums are made here, from the same numbers that the interfaces show, so that one scrape
// cannot contradict itself.
void put_packets(MetricsText& text, const MetricsSnapshot& now) {
  fm_hook_counters all{};
  const auto sum = [&all](const HookCounters& hooks) {
    for (const fm_hook_counters& hook : hooks) {
      all.seen += hook.seen;
      all.uncertain += hook.uncertain;
      for (size_t i = 0; i < FM_PACKET_CLASS_COUNT; i++) all.by_class[i] += hook.by_class[i];
    }
  };
  for (const MetricsSnapshot::Interface& each : now.interfaces) sum(each.hooks);
  sum(now.gone);
  const auto each_class = [](auto&& put) {
    for (size_t i = 0; i < FM_PACKET_CLASS_COUNT; i++) put(i, kClassNames[i]);
  };
  text.begin(Metric::kPackets);
  each_class([&](size_t i, const char* name) { text.add(all.by_class[i], {{"class", name}}); });
  text.one(Metric::kSeenPackets, all.seen);
  text.begin(Metric::kInterfacePackets);
  for (const MetricsSnapshot::Interface& each : now.interfaces)
    for (size_t hook = 0; hook < FM_HOOK_COUNT; hook++)
      each_class([&](size_t i, const char* name) {
        text.add(each.hooks[hook].by_class[i],
                 {{"interface", each.name}, {"hook", kHookNames[hook]}, {"class", name}});
      });
  text.begin(Metric::kGonePackets);
  for (size_t hook = 0; hook < FM_HOOK_COUNT; hook++)
    each_class([&](size_t i, const char* name) {
      text.add(now.gone[hook].by_class[i], {{"hook", kHookNames[hook]}, {"class", name}});
    });
  text.begin(Metric::kBeforeAttach);
  for (size_t hook = 0; hook < FM_HOOK_COUNT; hook++)
    text.add(now.before_attach.packets[hook], {{"hook", kHookNames[hook]}});
  text.one(Metric::kUncertainPackets, all.uncertain);
}

void put_row_packets(MetricsText& text, const MetricsSnapshot& now) {
  text.one(Metric::kRowPackets, now.row_packets);
  text.one(Metric::kOpenFlowPackets, now.open_flow_packets);
}

void put_losses(MetricsText& text, const MetricsSnapshot& now) {
  text.one(Metric::kUncountedPackets, now.kernel.uncounted);
  text.one(Metric::kEventsLost, now.kernel.events_lost);
  text.one(Metric::kPayloadsLost, now.kernel.payload_lost);
  text.one(Metric::kHandoverPackets, now.kernel.handover_packets);
}

void put_flows(MetricsText& text, const MetricsSnapshot& now) {
  text.one(Metric::kUntimedPackets, now.untimed_packets);
  text.begin(Metric::kFlowsEnded);
  for (size_t i = 0; i < FM_END_COUNT; i++)
    text.add(now.flows_ended[i], {{"reason", kEndNames[i]}});
  text.one(Metric::kFlowsEvicted, now.flows_evicted);
  text.one(Metric::kOpenFlows, now.open_flows);
  text.one(Metric::kFlowLimit, now.flow_limit);
}

// The names of the outputs as labels: valid UTF-8, and no two alike.
std::vector<std::string> output_names(const std::vector<OutputAccount>& outputs) {
  std::set<std::string> met;
  std::vector<std::string> names;
  for (const OutputAccount& output : outputs) {
    const std::string printed = printable(output.name, '_');
    std::string name = printed;
    for (int i = 2; !met.insert(name).second; i++) name = printed + " (" + std::to_string(i) + ")";
    names.push_back(std::move(name));
  }
  return names;
}

void put_outputs(MetricsText& text, const MetricsSnapshot& now) {
  const std::vector<std::string> names = output_names(now.outputs);
  const auto family = [&](Metric metric, auto&& put) {
    text.begin(metric);
    for (size_t i = 0; i < names.size(); i++) put(now.outputs[i], std::string_view(names[i]));
  };
  using Account = OutputAccount;
  using Name = std::string_view;
  family(Metric::kOutputUp, [&](const Account& output, Name name) {
    text.add(uint64_t{output.up}, {{"output", name}});
  });
  family(Metric::kOutputRows, [&](const Account& output, Name name) {
    text.add(output.written, {{"output", name}, {"result", "written"}});
    text.add(output.dropped, {{"output", name}, {"result", "dropped"}});
  });
  family(Metric::kOutputDelivered, [&](const Account& output, Name name) {
    if (!output.delivery) return;
    text.add(output.delivery->sent, {{"output", name}, {"result", "sent"}});
    text.add(output.delivery->refused, {{"output", name}, {"result", "refused"}});
    text.add(output.delivery->lost, {{"output", name}, {"result", "lost"}});
  });
  family(Metric::kOutputWaiting, [&](const Account& output, Name name) {
    text.add(output.waiting(), {{"output", name}});
  });
  family(Metric::kOutputQueue, [&](const Account& output, Name name) {
    text.add(output.waiting_bytes, {{"output", name}});
  });
  family(Metric::kOutputSpooled, [&](const Account& output, Name name) {
    if (output.delivery) text.add(output.delivery->spooled, {{"output", name}});
  });
}

void put_programs(MetricsText& text, const MetricsSnapshot& now) {
  text.begin(Metric::kBpfRunSeconds);
  for (const auto& each : now.programs) text.add(seconds(each.run_ns), {{"program", each.name}});
  text.begin(Metric::kBpfRuns);
  for (const auto& each : now.programs) text.add(each.runs, {{"program", each.name}});
}

void put_process(MetricsText& text, const ProcessMetrics& process) {
  text.one(Metric::kProcessCpu, process.cpu_seconds);
  text.one(Metric::kProcessMemory, process.resident_bytes);
  text.one(Metric::kProcessVirtual, process.virtual_bytes);
  if (process.open_fds > 0) text.one(Metric::kProcessFds, process.open_fds);
  text.one(Metric::kProcessMaxFds, process.max_fds);
  text.one(Metric::kProcessThreads, process.threads);
  text.one(Metric::kProcessStart, process.start_unix_s);
}

}  // namespace

std::string MetricsSnapshot::unready() const {
  if (state == State::kStarting) return "starting";
  if (state == State::kEnding) return "ending: writing the open flows";
  for (const OutputAccount& output : outputs)
    if (!output.up) return "output " + printable(output.name, '_') + " is down";
  if (state == State::kResuming) return "taking over the flows of an earlier run";
  return "";
}

std::string metrics_text(const MetricsSnapshot& snapshot, const ProcessMetrics& process,
                         uint64_t now_ns, MetricsFormat format) {
  MetricsText text(format);
  text.begin(Metric::kBuild);
  text.add(uint64_t{1}, {{"version", FLOWMETER_VERSION}});
  using State = MetricsSnapshot::State;
  if (snapshot.state != State::kStarting) {
    const bool has_flows = snapshot.state != State::kResuming;
    put_packets(text, snapshot);
    if (has_flows) put_row_packets(text, snapshot);
    put_losses(text, snapshot);
    if (has_flows) put_flows(text, snapshot);
    text.one(Metric::kInterfaces, snapshot.interface_count);
    text.one(Metric::kDrainLag, seconds(snapshot.drain_lag_ns));
    text.one(Metric::kUpdateAge, seconds(now_ns - std::min(now_ns, snapshot.made_ns)));
    put_outputs(text, snapshot);
    put_programs(text, snapshot);
  }
  put_process(text, process);
  return text.finish();
}

}  // namespace flowmeter
