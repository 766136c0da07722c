// SPDX-License-Identifier: BSD-3-Clause
#include <time.h>

#include <algorithm>

#include "base/clock.h"
#include "compat/live_feed.h"
#include "flows/account.h"
#include "flows/live_flows.h"
#include "kernel/bpf_datapath.h"
#include "kernel/metered_interfaces.h"
#include "kernel/pins.h"
#include "ops/privileges.h"
#include "run/run.h"
#include "view/live_view.h"

namespace flowmeter {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;

// The run, from attached programs to the last row.
class LiveRun {
 public:
  LiveRun(const Config& config, RecordSink& sink, LiveFeed* compat, Host& host)
      : config_(config),
        host_(host),
        sink_(sink),
        compat_(compat),
        flows_(config.settings, config.max_flows, sink, config.datapath == Datapath::kKernel) {
    flows_.set_observer(compat);
  }

  Status start() {
    BpfDatapath::Config kernel;
    kernel.settings = config_.settings;
    kernel.datapath = config_.datapath;
    kernel.lru = config_.lru;
    // Room for new flows while old ones are being closed; and each CPU keeps some free entries for
    // itself.
    kernel.max_entries = config_.max_flows + config_.max_flows / 8 + 1024;
    kernel.max_fragments = config_.max_fragments;
    kernel.stream_bytes = config_.ring_mib << 20;
    if (config_.verbose) kernel.libbpf_log = &host_;
    kernel.with_xdp = config_.hook == Hook::kXdp || config_.hook == Hook::kXdpGeneric;
    kernel.xdp_takes_frags = config_.hook == Hook::kXdp;
    kernel.pin_directory = config_.pin;
    MeteredInterfaces::Options options;
    for (const std::string& text : config_.interfaces) {
      auto selector = InterfaceSelector::parse(text);
      if (!selector) return selector.error();
      patterns_ = patterns_ || selector->is_pattern();
      options.selectors.push_back(std::move(*selector));
    }
    const bool several = patterns_ || options.selectors.size() > 1;
    kernel.per_interface = several && config_.per_interface;
    kernel.count_once = several && !config_.per_interface;
    options.hook = config_.hook;
    options.order = config_.attach_order;
    options.pin_directory = config_.pin;
    options.verbose = config_.verbose;

    if (!config_.pin.empty()) {
      auto claimed = claim_pin_directory(config_.pin);
      if (!claimed) return claimed.error();
      pin_claim_ = std::move(*claimed);
    }
    auto datapath = BpfDatapath::load(
        kernel, [this](const void* record, size_t size) { flows_.take(record, size); });
    if (!datapath) return datapath.error();
    datapath_ = std::move(*datapath);
    flows_.set_clock(clock_origin(monotonic_origin_unix_ns()));
    auto interfaces = MeteredInterfaces::open(options, *datapath_, host_);
    if (!interfaces) {
      if (!datapath_->resumed()) datapath_->unpin();
      return interfaces.error();
    }
    interfaces_ = std::move(*interfaces);
    flows_.set_interface_names(interfaces_.get());
    rows_before_ = datapath_->journal().packets_written;
    const bool hooks_change = patterns_ || options.hook == Hook::kTc || !kernel_has_tcx();
    if (Status dropped = host_.drop_privileges(capabilities_to_keep(hooks_change)); !dropped)
      return dropped;
    return datapath_->resumed() ? resume() : Done{};
  }

  // Drains until the end is asked for. Sleeps between drains: 0.2 ms under load, up to 50 ms when
  // it is quiet. view: what --top shows, or null.
  Status run(LiveView* view) {
    constexpr uint64_t kShortest = kMillisecond / 5, kLongest = 50 * kMillisecond;
    const uint64_t begin = monotonic_ns();
    const uint64_t end =
        config_.duration_s ? begin + static_cast<uint64_t>(*config_.duration_s * 1e9) : UINT64_MAX;
    uint64_t pause = kShortest, next_second = begin, next_look = begin;
    uint64_t next_summary = begin + kSummaryEvery;
    while (!host_.stop_requested()) {
      const size_t drained = drain();
      const uint64_t now = monotonic_ns();
      if (Status status = expire(now); !status) return status;
      if (Status status = flush(); !status) return status;
      if (now >= next_look) {
        next_look = now + kInterfacesEvery;
        if (Status status = follow_interfaces(); !status) return status;
      }
      if (now >= end || enough_packets()) return Done{};
      if (view) {
        if (!view->follow(flows_, now)) return Done{};
        if (view->due(now))
          if (Status status = show(*view, now); !status) return status;
      }
      if (host_.report_requested())
        if (Status status = report_now(); !status) return status;
      if (now >= next_second) {
        next_second = now + FM_SECOND_NS;
        flows_.set_clock(clock_origin(monotonic_origin_unix_ns()));
        interfaces_->check();
        if (Status status = find_unannounced(now); !status) return status;
      }
      if (config_.print && now >= next_summary) {
        next_summary = now + kSummaryEvery;
        print_summary();
      }
      pause = drained >= config_.batch / 16 ? kShortest : std::min(2 * pause, kLongest);
      sleep_ns(std::min(pause, end - now));
    }
    return Done{};
  }

  // Stops capture, takes what is on its way, writes every open flow. With --pin and without --unpin
  // only the second: the kernel goes on.
  Status finish() {
    interfaces_->check(/*at_end=*/true);
    if (stays()) {
      const uint64_t since_ns = monotonic_ns();
      Status told = learn_states();
      if (told) flows_.hand_over(since_ns);
      Status written = flush();
      return told ? written : told;
    }
    interfaces_->detach(true);
    // A program that was running when its link went may still have a record to write.
    sleep_ns(10 * kMillisecond);
    Status drained = drain_all();
    Status closed = Done{};  // also with an output that has failed
    for (int turn = 0; turn < 3 && closed && flows_.open_flows() > 0; turn++) {
      requests_.clear();
      flows_.request_all(FM_END_INPUT, requests_);
      closed = serve_all();
    }
    if (closed) {
      requests_.clear();
      closed = datapath_->list_flows([](uint64_t) { return true; }, requests_, [] {});
      for (fm_close_request& request : requests_) request.force = FM_END_INPUT + 1;
      if (closed) closed = serve_all();
    }
    flows_.finish(FM_END_INPUT);
    Status written = flush();
    if (compat_) {
      Status finished = compat_->engine().finish();
      if (!output_failed_) written = finished;  // else said already
    }
    datapath_->unpin();
    return !closed ? closed : !drained ? drained : written;
  }

  // Prints the account; returns whether it balances and the output has all of it.
  bool report() {
    const Totals totals = count();
    if (compat_ && !config_.quiet) host_.log_account(compat_->engine().account());
    if (!config_.quiet) {
      host_.log_account(totals.text + (stays() ? " kernel_only=" : " lost=") +
                        std::to_string(totals.kernel_only));
      if (config_.verbose) print_hooks();
      if (config_.print) print_summary(totals.kernel_only);
    }
    const fm_cpu_counters counters = datapath_->counters();
    if (config_.verbose)
      host_.log_account("events_lost=" + std::to_string(counters.events_lost) +
                        " uncounted=" + std::to_string(counters.uncounted) +
                        " evicted=" + std::to_string(flows_.evicted()) +
                        " recreated=" + std::to_string(flows_.recreated()) +
                        " handover_lost=" + std::to_string(counters.handover_packets));
    if (totals.uncertain)
      host_.log_warning(
          std::to_string(totals.uncertain) +
          " packets came merged by the device or before XDP, so their lengths and number "
          "on the wire are not sure (ethtool -K IFACE lro off rx-gro-hw off)");
    if (compat_) return report_compat(totals);
    if (flows_.flows_with_losses())
      host_.log_warning(
          "times are missing: " + std::to_string(flows_.flows_with_losses()) +
          " flows have exact counts, but times without " +
          std::to_string(flows_.packets_without_timing()) +
          " of their packets (--ring-size makes room for more; --quality shows which)");
    if (counters.payload_lost)
      host_.log_warning(
          std::to_string(counters.payload_lost) +
          " payloads found no room on their way to the parsers (--ring-size); the HTTP, TLS "
          "and DNS columns of their flows are empty");
    report_application(config_, flows_.applications(), host_);
    if (flows_.forced_out())
      host_.log_warning(std::to_string(flows_.forced_out()) +
                        " flows ended early because there were more than --max-flows");
    if (counters.uncounted && interfaces_->count() > 1 && !config_.per_interface)
      host_.log_warning(
          std::to_string(counters.uncounted) +
          " packets found no place in the flow map; those of them that passed several "
          "interfaces count at each (--max-flows)");
    if (flows_.evicted())
      host_.log_warning(std::to_string(flows_.evicted()) +
                        " times the kernel's map dropped a flow for newer ones (--max-flows); " +
                        std::to_string(flows_.recreated()) + " came back and went on");
    if (stays()) {
      host_.log_info("the kernel goes on metering; start again with --pin " + config_.pin +
                     " to take its flows over, add --unpin to end it");
    } else if (totals.kernel_only) {
      host_.log_warning(std::to_string(totals.kernel_only) + " metered packets are in no row");
    }
    if (totals.balanced) return true;
    host_.log_error("the account does not balance; please report this");
    return false;
  }

  const MeteredInterfaces& interfaces() const { return *interfaces_; }

 private:
  static constexpr uint64_t kInterfacesEvery = FM_SECOND_NS / 5;
  static constexpr uint64_t kSummaryEvery = 60 * FM_SECOND_NS;

  struct Totals {
    std::string text;
    // Metered, but neither in a row nor in a flow known here: on the way, or its record was lost.
    // At the end: lost, as the flow was evicted from the kernel's map, too. Of a compatibility
    // mode: not in its flows.
    uint64_t kernel_only = 0;
    uint64_t uncertain = 0;
    bool balanced = false;
  };

  bool report_compat(const Totals& totals) const {
    if (totals.kernel_only)
      host_.log_warning(
          std::to_string(totals.kernel_only) +
          " metered packets are in no flow: their events were lost (--ring-size makes "
          "room for more)");
    for (const std::string& warning : compat_->engine().warnings()) host_.log_warning(warning);
    if (!totals.balanced) host_.log_error("the account does not balance; please report this");
    return totals.balanced;
  }

  static void sleep_ns(uint64_t ns) {
    const struct timespec time {
      static_cast<time_t>(ns / FM_SECOND_NS), static_cast<long>(ns % FM_SECOND_NS)
    };
    ::nanosleep(&time, nullptr);  // a signal ends it early, and is looked at by the caller
  }

  bool stays() const { return !config_.pin.empty() && !config_.unpin; }

  // Requires: flows_ has settled.
  Totals count() const {
    Account account;
    Totals totals;
    const uint64_t rows = rows_before_ + flows_.packets_written();
    const uint64_t open = flows_.open_packets();
    each_hook([&](const fm_hook_counters& hook) {
      account.seen += hook.seen;
      totals.uncertain += hook.uncertain;
      for (size_t i = 0; i < FM_PACKET_CLASS_COUNT; i++) account.by_class[i] += hook.by_class[i];
    });
    if (compat_) {
      const uint64_t packets = compat_->packets();
      totals.balanced =
          account.balanced() && compat_->engine().balanced() && packets <= account.metered();
      totals.kernel_only = account.metered() - std::min(account.metered(), packets);
      totals.text = account_text(account);
      return totals;
    }
    totals.balanced = account.balanced() && rows + open <= account.metered();
    totals.kernel_only = account.metered() - std::min(account.metered(), rows + open);
    totals.text = account_text(account) + " flows=" + std::to_string(flows_.flows_written()) +
                  " in_rows=" + std::to_string(rows);
    if (open > 0)
      totals.text +=
          " open=" + std::to_string(open) + " open_flows=" + std::to_string(flows_.open_flows());
    return totals;
  }

  // Without asking the kernel for the flows' states. Dropped: recorded nowhere, and, at the end,
  // what was metered and is in no row.
  void print_summary(uint64_t lost = 0) const {
    uint64_t seen = 0, dropped = lost;
    each_hook([&](const fm_hook_counters& hook) {
      seen += hook.seen;
      dropped += hook.by_class[FM_UNRECORDED];
    });
    host_.log_info("flows written " + std::to_string(flows_.flows_written()) + ", open " +
                   std::to_string(flows_.open_flows()) + ", packets seen " + std::to_string(seen) +
                   ", dropped " + std::to_string(dropped));
  }

  // Of all interfaces, those that have gone included.
  template <typename Take>
  void each_hook(Take&& take) const {
    for (const InterfaceCounters& each : datapath_->interface_counters())
      for (const fm_hook_counters& hook : each.hook) take(hook);
    for (const fm_hook_counters& hook : datapath_->journal().departed) take(hook);
  }

  void print_hooks() const {
    for (const HookAccount& each : interfaces_->accounts()) {
      Account account;
      account.seen = each.counters.seen;
      std::copy(std::begin(each.counters.by_class), std::end(each.counters.by_class),
                account.by_class.begin());
      host_.log_account(account_text(account) +
                            " buffers=" + std::to_string(each.counters.buffers) +
                            " uncertain=" + std::to_string(each.counters.uncertain) +
                            " link_packets=" + std::to_string(each.link_packets),
                        each.interface + (each.hook == FM_HOOK_INGRESS ? " ingress" : " egress"));
    }
  }

  // For --top. With datapath "kernel" the counters of flows are asked for, which takes the longer
  // the more there are: at most a twentieth of the time goes there.
  Status show(LiveView& view, uint64_t now) {
    if (config_.datapath == Datapath::kKernel && now >= next_states_) {
      if (Status told = learn_states(); !told) return told;
      next_states_ = now + std::max<uint64_t>(FM_SECOND_NS / 2, 20 * (monotonic_ns() - now));
    }
    ViewCounters counters;
    counters.now_ns = now;
    counters.flows_open = flows_.open_flows();
    counters.flows_ended = flows_.flows_written();
    for (const HookAccount& each : interfaces_->accounts()) {
      counters.account.seen += each.counters.seen;
      for (size_t i = 0; i < FM_PACKET_CLASS_COUNT; i++)
        counters.account.by_class[i] += each.counters.by_class[i];
      if (counters.interfaces.empty() || counters.interfaces.back().name != each.interface)
        counters.interfaces.push_back({each.interface, {}});
      counters.interfaces.back().hook[each.hook] = {each.counters.seen, each.link_bytes};
    }
    const fm_cpu_counters kernel = datapath_->counters();
    counters.losses = {{"events_lost", kernel.events_lost},
                       {"uncounted", kernel.uncounted},
                       {"handover_lost", kernel.handover_packets},
                       {"evicted", flows_.evicted()},
                       {"forced_out", flows_.forced_out()}};
    view.show(std::move(counters));
    return Done{};
  }

  // Takes what the streams hold by now, and the kernel's counts of all open flows.
  Status learn_states() {
    if (Status drained = drain_all(); !drained) return drained;
    if (datapath_->counters().events_lost > 0)
      if (Status learned = learn_unknown(); !learned) return learned;
    requests_.clear();
    flows_.request_states(requests_);
    return serve_all();
  }

  // SIGUSR1.
  Status report_now() {
    if (Status told = learn_states(); !told) return told;
    const Totals totals = count();
    if (compat_) host_.log_account(compat_->engine().account());
    host_.log_account(totals.text + " kernel_only=" + std::to_string(totals.kernel_only));
    for (const std::string& each : sink_.accounts()) host_.log_info(each);
    print_hooks();
    return Done{};
  }

  size_t drain() {
    const size_t drained = datapath_->drain(monotonic_ns(), config_.batch);
    flows_.settle();
    return drained;
  }

  // Another daemon's flows, which go on. What lies in the streams is older than the answers.
  Status resume() {
    flows_.set_resuming(true);
    Status learned = drain_all();
    // A flow whose lock was held by a packet has not answered, and would never be heard of again.
    constexpr int kTurns = 10;
    for (int turn = 0; turn < kTurns && learned; turn++) {
      learned = learn_unknown();
      if (requests_.empty()) break;
    }
    flows_.set_resuming(false);
    if (!config_.quiet)
      host_.log_info("took over " + std::to_string(flows_.open_flows()) + " flows from " +
                     config_.pin);
    return learned;
  }

  Status follow_interfaces() {
    departed_.clear();
    Status followed = interfaces_->update(departed_);
    if (departed_.empty()) return followed;
    requests_.clear();
    if (config_.per_interface)
      for (const unsigned slot : departed_) flows_.request_slot(slot, FM_END_INPUT, requests_);
    if (Status closed = serve_all(); !closed) return closed;
    datapath_->reuse_slots();
    return followed;
  }

  Status expire(uint64_t now) {
    requests_.clear();
    flows_.request_due(now, requests_);
    return requests_.empty() ? Done{} : serve_all();
  }

  // Asks for the flows in the kernel's map that are not known here.
  Status learn_unknown() {
    requests_.clear();
    const auto unknown = [this](uint64_t id) { return !flows_.knows(id); };
    Status listed = datapath_->list_flows(unknown, requests_, [this] { take_some(); });
    if (!listed) return listed;
    drain();  // some of them were only on their way
    std::erase_if(requests_, [this](const auto& request) { return flows_.knows(request.flow_id); });
    for (fm_close_request& request : requests_) request.force = FM_REPORT_STATE;
    return serve_all();
  }

  // Records were lost: the opening records of flows may be among them. Their next packet announces
  // them again; those that have fallen silent are found here. The walk is not for nothing: at most
  // one in ten seconds while losses go on.
  Status find_unannounced(uint64_t now) {
    const uint64_t lost = datapath_->counters().events_lost;
    if (lost == lost_seen_ || now < next_search_) return Done{};
    lost_seen_ = lost;
    next_search_ = now + 10 * FM_SECOND_NS;
    return learn_unknown();
  }

  // In the middle of something that takes long. A failed output is told of by the next flush().
  void take_some() {
    drain();
    datapath_->release();
  }

  // As much as there is now, and the rows of it. Bounded, as the programs may be running.
  Status drain_all() {
    const uint64_t until = monotonic_ns();
    while (datapath_->drain(until, config_.batch) > 0) {
      flows_.settle();
      if (Status written = flush(); !written) return written;
    }
    return Done{};
  }

  // Has the kernel answer requests_.
  Status serve_all() {
    constexpr size_t kAtOnce = BpfDatapath::kAnswersAtOnce;
    for (size_t i = 0; i < requests_.size(); i += kAtOnce) {
      const size_t size = std::min(kAtOnce, requests_.size() - i);
      if (Status status = datapath_->close_flows({requests_.data() + i, size}); !status)
        return status;
      if (Status drained = drain_all(); !drained) return drained;
    }
    return Done{};
  }

  // Rows first, then the records that they came from: a daemon that is killed in between repeats a
  // row, else it would lose one. Says of a failed output once.
  Status flush() {
    Status status = Done{};
    if ((compat_ || flows_.flows_written() != flushed_) && !output_failed_) {
      flushed_ = flows_.flows_written();
      status = sink_.flush();
      output_failed_ = !status;
    }
    datapath_->journal().packets_written = rows_before_ + flows_.packets_written();
    datapath_->release();
    return status;
  }

  bool enough_packets() {
    if (!config_.packets) return false;
    uint64_t seen = 0;
    each_hook([&](const fm_hook_counters& hook) { seen += hook.seen; });
    return seen >= *config_.packets;
  }

  const Config& config_;
  Host& host_;
  RecordSink& sink_;
  LiveFeed* const compat_;  // a compatibility mode's; null: none
  LiveFlows flows_;
  UniqueFd pin_claim_;
  std::unique_ptr<BpfDatapath> datapath_;
  std::unique_ptr<MeteredInterfaces> interfaces_;
  std::vector<fm_close_request> requests_;
  std::vector<unsigned> departed_;
  uint64_t rows_before_ = 0;  // packets in rows of earlier daemons (--pin)
  uint64_t flushed_ = 0;
  uint64_t lost_seen_ = 0;
  uint64_t next_search_ = 0;
  uint64_t next_states_ = 0;
  bool patterns_ = false;
  bool output_failed_ = false;
};

ExitCode run(const Config& config, RecordSink& sink, LiveFeed* compat, Host& host) {
  std::unique_ptr<LiveView> view;
  if (config.top) {
    auto opened = LiveView::open(config.outputs.uses_stdout(), host);
    if (!opened) {
      host.log_error(opened.error().message());
      return kRunFailed;
    }
    view = std::move(*opened);
  }
  LiveRun live(config, sink, compat, host);
  if (Status started = live.start(); !started) {
    host.log_error(started.error().message());
    return kRunFailed;
  }
  if (Status header = sink.flush(); !header) {
    host.log_error(header.error().message());
    return kRunFailed;
  }
  if (config.verbose) host.log_info("metering " + live.interfaces().names() + "; Ctrl-C ends it");
  const auto tell_manager = [&host](const std::string& lines) {
    if (Status told = host.notify_service(lines); !told) host.log_warning(told.error().message());
  };
  tell_manager("READY=1\nSTATUS=metering " + live.interfaces().names());
  bool good = true;
  const auto check = [&good, &host](Status status) {
    if (!status) host.log_error(status.error().message());
    good = good && static_cast<bool>(status);
  };
  if (view) check(view->enter(monotonic_ns()));
  if (good) check(live.run(view.get()));
  tell_manager("STOPPING=1\nSTATUS=writing the open flows");
  view.reset();  // what is said at the end is said on the screen as it was before
  check(live.finish());
  check(sink.finish());
  good = live.report() && good;
  return good ? kOk : kRunFailed;
}

}  // namespace

ExitCode run_live(const Config& config, RecordSink& sink, Host& host) {
  return run(config, sink, nullptr, host);
}

ExitCode run_compat_live(const Config& config, CompatEngine& engine, Host& host) {
  LiveFeed feed(engine);
  return run(config, feed, &feed, host);
}

}  // namespace flowmeter
