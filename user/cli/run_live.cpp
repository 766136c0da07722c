// SPDX-License-Identifier: BSD-3-Clause
#include <time.h>

#include <algorithm>

#include "base/log.h"
#include "capture/bpf_datapath.h"
#include "capture/interface.h"
#include "cli/commands.h"
#include "flows/account.h"
#include "flows/live_flows.h"
#include "ops/signals.h"

namespace flowmeter {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;

uint64_t clock_ns(clockid_t clock) {
  struct timespec now {};
  ::clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * FM_SECOND_NS + static_cast<uint64_t>(now.tv_nsec);
}

// Where the kernel's monotonic clock began, by the wall clock of now.
ClockOrigin monotonic_origin() {
  const uint64_t before = clock_ns(CLOCK_MONOTONIC);
  const uint64_t wall = clock_ns(CLOCK_REALTIME);
  const uint64_t after = clock_ns(CLOCK_MONOTONIC);
  return clock_origin(static_cast<__int128>(wall) - (before + (after - before) / 2));
}

// The run, from attached programs to the last row.
class LiveRun {
 public:
  LiveRun(const Config& config, RecordSink& sink)
      : config_(config), sink_(sink), flows_(config.settings, config.max_flows, sink) {}

  Status start() {
    Result<Interface> interface = find_interface(config_.interface);
    if (!interface) return interface.error();
    interface_ = *interface;
    BpfDatapath::Config kernel;
    kernel.settings = config_.settings;
    // The LRU begins to evict before it is full: each CPU keeps some free entries for itself.
    kernel.max_flows = config_.max_flows + config_.max_flows / 8 + 1024;
    kernel.max_fragments = config_.max_fragments;
    kernel.ring_bytes = config_.ring_mib << 20;
    kernel.verbose = config_.verbose;
    auto datapath = BpfDatapath::load(
        kernel, [this](const void* record, size_t size) { flows_.take(record, size); });
    if (!datapath) return datapath.error();
    datapath_ = std::move(*datapath);
    flows_.set_clock(monotonic_origin());
    return datapath_->attach(interface_);
  }

  // Drains until the end is asked for. Sleeps between drains: 0.2 ms under load, up to 50 ms when
  // it is quiet.
  Status run() {
    constexpr uint64_t kShortest = kMillisecond / 5, kLongest = 50 * kMillisecond;
    const uint64_t begin = clock_ns(CLOCK_MONOTONIC);
    const uint64_t end =
        config_.duration_s ? begin + static_cast<uint64_t>(*config_.duration_s * 1e9) : UINT64_MAX;
    uint64_t pause = kShortest, next_second = begin;
    while (!stop_requested()) {
      const size_t drained = drain();
      const uint64_t now = clock_ns(CLOCK_MONOTONIC);
      if (Status status = expire(now); !status) return status;
      if (Status status = flush(); !status) return status;
      if (now >= end || enough_packets()) return Done{};
      if (now >= next_second) {
        next_second = now + FM_SECOND_NS;
        flows_.set_clock(monotonic_origin());
        if (!interface_exists(interface_))
          return Error{"interface " + interface_.name + " has gone away"};
        if (Status status = close_unknown(); !status) return status;
      }
      pause = drained > 4096 ? kShortest : std::min(2 * pause, kLongest);
      sleep_ns(std::min(pause, end - now));
    }
    return Done{};
  }

  // Stops capture, takes what is on its way, writes every open flow.
  Status finish() {
    datapath_->detach();
    // A program that was running when its link went may still have a record to submit.
    sleep_ns(10 * kMillisecond);
    drain_all();
    // Answers need room in the ring: as many at a time as surely fit into an empty one.
    const size_t batch = (size_t{config_.ring_mib} << 20) / (2 * sizeof(fm_closed_record));
    Status closed = Done{};
    for (int turn = 0; turn < 3 && closed && flows_.open_flows() > 0; turn++) {
      requests_.clear();
      flows_.request_all(FM_END_INPUT, requests_);
      closed = close_all(batch);
    }
    if (closed) {
      requests_.clear();
      datapath_->list_flows([](uint64_t) { return true; }, requests_);
      for (fm_close_request& request : requests_) request.force = FM_END_INPUT + 1;
      closed = close_all(batch);
    }
    flows_.settle();
    flows_.finish(FM_END_INPUT);
    Status written = flush();
    return closed ? written : closed;
  }

  // Prints the account; returns whether it balances and the output has all of it.
  bool report() {
    const fm_cpu_counters counters = datapath_->counters();
    Account account;
    for (int hook = 0; hook < FM_HOOK_COUNT; hook++) {
      account.seen += counters.seen[hook];
      for (int reason = 0; reason < FM_REASON_COUNT; reason++)
        account.by_reason[static_cast<size_t>(reason)] += counters.by_reason[hook][reason];
    }
    // Metered, but in no row: the flow was evicted from the kernel's map (or its final counters
    // found no room in the ring), and of its packets' records some were lost as well.
    const uint64_t lost = account.metered() - std::min(account.metered(), flows_.packets_written());
    if (!config_.quiet)
      log_info(account_text(account) + " flows=" + std::to_string(flows_.flows_written()) +
               " in_rows=" + std::to_string(flows_.packets_written()) +
               " lost=" + std::to_string(lost));
    if (config_.verbose)
      log_info("ingress=" + std::to_string(counters.seen[FM_HOOK_INGRESS]) +
               " egress=" + std::to_string(counters.seen[FM_HOOK_EGRESS]) +
               " events_lost=" + std::to_string(counters.events_lost) + " uncounted=" +
               std::to_string(counters.uncounted) + " evicted=" + std::to_string(flows_.evicted()) +
               " handover_lost=" + std::to_string(counters.handover_packets));
    if (flows_.flows_with_losses())
      log_warning(
          "the ring buffer was full at times: " + std::to_string(flows_.flows_with_losses()) +
          " flows have exact counts, but times without " +
          std::to_string(flows_.packets_without_timing()) +
          " of their packets (--ring-size makes it larger)");
    if (flows_.forced_out())
      log_warning(std::to_string(flows_.forced_out()) +
                  " flows ended early because there were more than --max-flows");
    if (flows_.evicted())
      log_warning(std::to_string(flows_.evicted()) +
                  " flows were pushed out of the kernel's map by newer ones (--max-flows)");
    if (lost) log_warning(std::to_string(lost) + " metered packets are in no row");
    if (account.balanced() && flows_.packets_written() <= account.metered()) return true;
    log_error("the account does not balance; please report this");
    return false;
  }

 private:
  static void sleep_ns(uint64_t ns) {
    const struct timespec time {
      static_cast<time_t>(ns / FM_SECOND_NS), static_cast<long>(ns % FM_SECOND_NS)
    };
    ::nanosleep(&time, nullptr);  // a signal ends it early, and is looked at by the caller
  }

  size_t drain() {
    constexpr size_t kLimit = 1 << 18;  // so that a flood cannot keep expiry waiting
    const size_t drained = datapath_->drain(kLimit);
    flows_.settle();
    return drained;
  }

  Status expire(uint64_t now) {
    requests_.clear();
    flows_.request_due(now, requests_);
    if (requests_.empty()) return Done{};
    if (Status status = datapath_->close_flows(requests_); !status) return status;
    drain();
    return Done{};
  }

  // The ring was full: there may be flows in the kernel's map whose opening record was lost. Their
  // next packet announces them again; those that have fallen silent are closed here.
  Status close_unknown() {
    const uint64_t lost = datapath_->counters().events_lost;
    if (lost == lost_seen_ && !unknown_left_) return Done{};
    lost_seen_ = lost;
    requests_.clear();
    datapath_->list_flows([this](uint64_t id) { return !flows_.knows(id); }, requests_);
    drain();  // some of them were only on their way
    std::erase_if(requests_, [this](const auto& request) { return flows_.knows(request.flow_id); });
    unknown_left_ = !requests_.empty();
    return datapath_->close_flows(requests_);
  }

  // Requires: the programs are detached, so that there is an end.
  void drain_all() {
    while (drain() > 0) {
    }
  }

  // As drain_all.
  Status close_all(size_t batch) {
    for (size_t i = 0; i < requests_.size(); i += batch) {
      const size_t size = std::min(batch, requests_.size() - i);
      if (Status status = datapath_->close_flows({requests_.data() + i, size}); !status)
        return status;
      drain_all();
    }
    return Done{};
  }

  // Says of a failed output once.
  Status flush() {
    if (flows_.flows_written() == flushed_ || output_failed_) return Done{};
    flushed_ = flows_.flows_written();
    Status status = sink_.flush();
    output_failed_ = !status;
    return status;
  }

  bool enough_packets() {
    if (!config_.packets) return false;
    const fm_cpu_counters counters = datapath_->counters();
    return counters.seen[FM_HOOK_INGRESS] + counters.seen[FM_HOOK_EGRESS] >= *config_.packets;
  }

  const Config& config_;
  RecordSink& sink_;
  Interface interface_;
  LiveFlows flows_;
  std::unique_ptr<BpfDatapath> datapath_;
  std::vector<fm_close_request> requests_;
  uint64_t flushed_ = 0;
  uint64_t lost_seen_ = 0;
  bool unknown_left_ = false;
  bool output_failed_ = false;
};

}  // namespace

ExitCode run_live(const Config& config, RecordSink& sink) {
  LiveRun live(config, sink);
  if (Status started = live.start(); !started) {
    log_error(started.error().message());
    return kRunFailed;
  }
  if (Status header = sink.flush(); !header) {
    log_error(header.error().message());
    return kRunFailed;
  }
  if (config.verbose) log_info("metering " + config.interface + "; Ctrl-C ends it");
  bool good = true;
  const auto check = [&good](Status status) {
    if (!status) log_error(status.error().message());
    good = good && static_cast<bool>(status);
  };
  check(live.run());
  check(live.finish());
  good = live.report() && good;
  return good ? kOk : kRunFailed;
}

}  // namespace flowmeter
