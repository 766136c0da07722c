// SPDX-License-Identifier: BSD-3-Clause
#include "run/live_metrics.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "output/whole_file_names.h"

namespace flowmeter {

Result<std::unique_ptr<LiveMetrics>> LiveMetrics::open(const Config& config) {
  auto address = MetricsAddress::parse(config.metrics);
  if (!address) return address.error();
  auto server = MetricsServer::create();
  if (!server) return server.error();
  std::unique_ptr<LiveMetrics> self(
      new LiveMetrics(config, std::move(*address), std::move(*server)));
  if (self->address_.path.empty())
    if (Status bound = self->bind(); !bound) return bound.error();
  return self;
}

Error LiveMetrics::named(const Error& error) const {
  return {"--metrics " + config_.metrics + ": " + error.doing, error.os_error};
}

Status LiveMetrics::bind_as_user() {
  if (address_.path.empty()) return Done{};
  // Root's rights, which are still there, would make the socket, but not remove it at the end.
  // (access() does not count them, unlike every other call.)
  const std::string directory = parent_of(address_.path);
  if (!config_.user.empty() && ::access(directory.c_str(), W_OK | X_OK) != 0 && errno != ENOENT)
    return named({"user " + config_.user + " cannot make and remove files in " + directory +
                      " (chown it, or give the socket a directory of its own)",
                  errno});
  return bind();
}

Status LiveMetrics::bind() {
  auto listener = MetricsListener::open(address_);
  if (!listener) return named(listener.error());
  listener_ = std::move(*listener);
  return Done{};
}

Status LiveMetrics::listen(Confinement& needs) {
  if (Status listens = listener_.listen(); !listens) return named(listens.error());
  needs.accepts = listener_.descriptor();
  if (!address_.path.empty()) needs.removes_files_from.push_back(parent_of(address_.path));
  return Done{};
}

Status LiveMetrics::serve() {
  // Attaching may have taken long. What is left is short, or it hangs.
  auto starting = std::make_shared<MetricsSnapshot>();
  starting->made_ns = monotonic_ns();
  server_->publish(std::move(starting));
  return server_->start(listener_);
}

void LiveMetrics::note_lag(const BpfDatapath& datapath) {
  const uint64_t oldest = datapath.oldest_waiting_ns();
  if (oldest == 0) return;
  const uint64_t now = monotonic_ns();
  lag_ns_ = std::max(lag_ns_, now - std::min(now, oldest));
}

// What the kernel has counted is read after what has come here, so it is not less. But a program
// counts a packet just after its record is written: if it stands still in between, which a virtual
// machine may make it do, it is waited for.
void LiveMetrics::add_packets(const LiveReport& run, MetricsSnapshot& now) {
  constexpr int kTries = 100;
  const uint64_t known = now.row_packets + now.open_flow_packets;
  std::vector<InterfaceSeries::Interface> interfaces;
  HookCounters departed;
  uint64_t metered = 0;
  for (int i = 0; i == 0 || (metered < known && i < kTries); i++) {
    metered = 0;
    interfaces.clear();
    for (const InterfaceCounters& each : run.datapath.interface_counters()) {
      InterfaceSeries::Interface& interface = interfaces.emplace_back();
      interface.index = each.index;
      interface.name = run.interfaces.name_of(each.index);
      std::copy(std::begin(each.hook), std::end(each.hook), interface.hooks.begin());
      for (const fm_hook_counters& hook : each.hook) metered += hook.by_class[FM_METERED];
    }
    for (int hook = 0; hook < FM_HOOK_COUNT; hook++) {
      fm_hook_counters& gone = departed[static_cast<size_t>(hook)] = run.datapath.departed(hook);
      metered += gone.by_class[FM_METERED];
    }
  }
  series_.update(interfaces, departed, now);
}

void LiveMetrics::publish(const LiveReport& run, const RecordSink& sink,
                          MetricsSnapshot::State state) {
  const auto snapshot = std::make_shared<MetricsSnapshot>();
  MetricsSnapshot& now = *snapshot;
  now.state = state;
  const LiveFlows& flows = run.flows;
  if (state != MetricsSnapshot::State::kResuming) {
    now.row_packets = run.rows_before + flows.packets_written();
    now.open_flow_packets = flows.open_packets();
  }
  now.untimed_packets = flows.packets_without_timing();
  now.flows_ended = flows.flows_by_end();
  now.flows_evicted = flows.evicted();
  now.open_flows = flows.open_flows();
  now.flow_limit = config_.max_flows;
  now.outputs = sink.accounts();
  note_lag(run.datapath);
  now.drain_lag_ns = std::exchange(lag_ns_, 0);
  add_packets(run, now);
  now.before_attach = run.interfaces.before_attach();
  now.kernel = run.datapath.counters();
  if (config_.bpf_stats)
    for (const ProgramRuns& each : run.datapath.program_runs())
      now.programs.push_back({each.program, each.count, each.time_ns});
  now.made_ns = monotonic_ns();
  server_->publish(snapshot);
}

void LiveMetrics::close(Host& host) {
  server_->stop();
  if (Status removed = listener_.remove(); !removed) host.log_warning(removed.error().message());
}

}  // namespace flowmeter
