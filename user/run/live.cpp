// SPDX-License-Identifier: BSD-3-Clause
// A live run: attaches, processes the kernel's records until it has to stop, and closes the flows
// or leaves them to the next daemon.
#include <algorithm>
#include <optional>
#include <unordered_set>

#include "base/clock.h"
#include "flows/live_flows.h"
#include "kernel/bpf_datapath.h"
#include "kernel/metered_interfaces.h"
#include "kernel/pins.h"
#include "ops/privileges.h"
#include "ops/service_notification.h"
#include "run/confinement.h"
#include "run/earlier_rows.h"
#include "run/interface_watch.h"
#include "run/live_config.h"
#include "run/live_metrics.h"
#include "run/live_owners.h"
#include "run/live_rows.h"
#include "run/live_services.h"
#include "run/meter_id.h"
#include "run/report.h"
#include "run/row_commits.h"
#include "run/run.h"
#include "view/live_view.h"

namespace flowmeter {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;

// The run, from attached programs to the last row.
class LiveRun final : public Unfinished {
 public:
  LiveRun(const Config& config, LiveRows& rows, Host& host, LiveMetrics* metrics)
      : config_(config),
        rows_(rows),
        host_(host),
        metrics_(metrics),
        flows_(config.settings, config.max_flows, rows.sink(),
               config.datapath == Datapath::kKernel ? TimingIn::kKernel : TimingIn::kDaemon),
        commits_(config, rows, flows_, host) {
    flows_.set_observer(rows.observer());
  }

  // Attaches, and gives up the privileges that are no longer needed.
  Status start() {
    auto options = interface_options(config_);
    if (!options) return options.error();
    const bool patterns = options->has_pattern();
    const bool several = patterns || options->selectors.size() > 1;
    if (!config_.pin.empty()) {
      auto claimed = claim_pin_directory(config_.pin);
      if (!claimed) return claimed.error();
      pin_claim_ = std::move(*claimed);
    }
    auto datapath =
        BpfDatapath::load(datapath_config(config_, several, host_),
                          [this](const void* record, size_t size) { flows_.take(record, size); });
    if (!datapath) return datapath.error();
    datapath_ = std::move(*datapath);
    earlier_.emplace(config_, *datapath_, flows_, host_);
    if (Status opened = owners_.open(config_, *datapath_, host_); !opened)
      return give_up(opened.error());
    flows_.set_owner_names(owners_.names());
    flows_.set_kept_with_flows(owners_.kept_with_flows());
    // All daemons with these pins are one run, so a row that is made again has the same id.
    flows_.identify_rows(meter_identity(config_, datapath_->journal().outputs_id));
    if (Status opened = commits_.open(*datapath_); !opened) return give_up(opened.error());
    flows_.set_clock(clock_origin(monotonic_origin_unix_ns()));
    auto interfaces = MeteredInterfaces::open(*options, *datapath_, host_);
    if (!interfaces) return give_up(interfaces.error());
    interfaces_ = std::move(*interfaces);
    flows_.set_interface_names(interfaces_.get());
    if (datapath_->earlier())
      if (Status ended = datapath_->end_earlier_programs(); !ended) return give_up(ended.error());
    if (LiveServices::wanted(config_)) services_ = LiveServices::open(config_, host_);
    if (services_) flows_.set_service_names(&services_->names());
    const bool hooks_change =
        services_ || patterns || options->hook == Hook::kTc || !kernel_has_tcx();
    const Capabilities keep =
        capabilities_to_keep(hooks_change ? Attachments::kChange : Attachments::kStay);
    if (config_.bpf_stats)
      if (Status measured = datapath_->measure_programs(); !measured)
        return give_up(measured.error());
    Confinement needs = confinement_of(config_, keep);
    owners_.add_needs(needs);
    if (metrics_)
      if (Status listens = metrics_->listen(needs); !listens) return give_up(listens.error());
    if (Status confined = host_.confine(needs); !confined) return give_up(confined.error());
    if (metrics_)
      if (Status serves = metrics_->serve(); !serves) return give_up(serves.error());
    return datapath_->resumed() ? resume() : Done{};
  }

  // Drains until the run has to stop. Sleeps between drains: 0.2 ms under load, up to 50 ms when
  // the network is quiet. view: the screen of --top, or null.
  Status run(LiveView* view) {
    constexpr uint64_t kShortest = kMillisecond / 5, kLongest = 50 * kMillisecond;
    const uint64_t begin = monotonic_ns();
    const uint64_t end =
        config_.duration_s ? begin + static_cast<uint64_t>(*config_.duration_s * 1e9) : UINT64_MAX;
    uint64_t pause = kShortest, next_second = begin;
    watch_.begin(*interfaces_);
    uint64_t next_summary = begin + kSummaryEvery;
    while (!host_.stop_requested()) {
      auto taken = commits_.have_room() ? earlier_->take() : size_t{0};
      if (!taken) return taken.error();
      if (metrics_) metrics_->note_lag(*datapath_);
      const size_t drained = drain() + *taken;
      const uint64_t now = monotonic_ns();
      if (Status status = expire(now); !status) return status;
      if (Status status = commits_.commit(); !status) return status;
      watch_.look(now);
      if (Status status = end_departed(); !status) return status;
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
        if (Status status = commits_.keep_flows(); !status) return status;
        show_metrics(MetricsSnapshot::State::kMetering);
      }
      if (config_.print && now >= next_summary) {
        next_summary = now + kSummaryEvery;
        report().summary();
      }
      pause = drained >= config_.batch / 16 ? kShortest : std::min(2 * pause, kLongest);
      watch_.wait(std::min(pause, end - now));
    }
    return Done{};
  }

  // Stops metering, processes the remaining records, and writes every open flow. If the kernel
  // continues for the next daemon, leaves it the flows.
  Status finish() {
    watch_.end();
    interfaces_->give_up_unattached();
    interfaces_->check(/*grace_ns=*/0);
    interfaces_->report_shortage();
    if (kernel_continues()) return hand_over();
    ends_ = true;
    interfaces_->detach_for_good();
    // A program that was running when its link was removed may still write a record.
    sleep_ns(10 * kMillisecond);
    Status drained = take_all_earlier();
    if (drained) drained = drain_all();
    Status closed = close_all();  // even if an output has failed
    flows_.finish(FM_END_INPUT);
    Status written = commits_.commit_all();
    Status finished = rows_.finish();
    if (!commits_.failed()) written = finished;  // otherwise already reported
    datapath_->unpin();
    commits_.remove();
    return !closed ? closed : !drained ? drained : written;
  }

  LiveReport report() const {
    return {config_,
            *datapath_,
            *interfaces_,
            flows_,
            rows_,
            commits_.rows_before(),
            kernel_continues(),
            host_};
  }

  // Publishes the numbers of this moment, if anybody can ask for them.
  void show_metrics(MetricsSnapshot::State state) {
    if (metrics_) metrics_->publish(report(), rows_.sink(), state);
  }

  const MeteredInterfaces& interfaces() const { return *interfaces_; }

  uint64_t open_flows() const override {
    return kernel_continues() ? 0 : flows_.open_flows();  // the next daemon has them
  }
  uint64_t rows_unwritten() const override { return rows_.sink().rows_unwritten(); }

 private:
  static constexpr uint64_t kSummaryEvery = 60 * FM_SECOND_NS;

  // Whether the kernel continues when this run ends, for the next daemon.
  bool kernel_continues() const {
    return !config_.pin.empty() && !ends_ && (!config_.unpin || host_.stop_is_restart());
  }

  // Leaves the flows to the next daemon (--pin), which goes on with them as this one would have:
  // as of a commit, all that this one knows about them is in the file. So no flow has to be asked
  // for, and none can be in the rows of both. If the last rows cannot be written, the file and the
  // streams stay as of the last commit, as after a kill.
  Status hand_over() {
    Status learned = config_.datapath == Datapath::kKernel ? learn_states() : drain_all();
    Status written = commits_.hand_over();
    return learned ? written : learned;
  }

  // Removes what was pinned for nothing.
  Error give_up(const Error& error) {
    if (!datapath_->resumed()) {
      datapath_->unpin();
      commits_.remove();
    }
    return error;
  }

  // Makes the kernel close every flow, also those that are not known here.
  Status close_all() {
    Status closed = Done{};
    for (int turn = 0; turn < 3 && closed && flows_.open_flows() > 0; turn++) {
      requests_.clear();
      flows_.request_close(FM_END_INPUT, requests_);
      closed = serve_all();
    }
    if (closed) {
      requests_.clear();
      closed = datapath_->list_flows([](uint64_t) { return true; }, requests_, [] {});
      for (fm_close_request& request : requests_) request.action = fm_close_force(FM_END_INPUT);
      if (closed) closed = serve_all();
    }
    return closed;
  }

  // For --top. With datapath "kernel", requests the counters of the kernel's flows. The time for
  // this grows with the number of flows, so it is limited to a twentieth of the run time.
  Status show(LiveView& view, uint64_t now) {
    if (config_.datapath == Datapath::kKernel && now >= next_states_) {
      if (Status told = learn_states(); !told) return told;
      next_states_ = now + std::max<uint64_t>(FM_SECOND_NS / 2, 20 * (monotonic_ns() - now));
    }
    view.show(report().view(now));
    return Done{};
  }

  // Processes all records written so far, and requests the kernel's counts of all open flows.
  Status learn_states() {
    if (Status drained = drain_all(); !drained) return drained;
    if (datapath_->counters().events_lost > 0)
      if (Status learned = learn_unknown(); !learned) return learned;
    requests_.clear();
    flows_.request_states(requests_);
    return serve_all();
  }

  // Reports the account when it is requested during the run.
  Status report_now() {
    if (Status told = learn_states(); !told) return told;
    report().so_far(rows_.sink());
    return Done{};
  }

  size_t drain(uint64_t until_ns = monotonic_ns()) {
    show_resuming();
    const uint64_t now = monotonic_ns();
    if (services_) services_->follow(now);
    watch_.look_in_between(now);
    // The kernel counts on, and its records wait.
    if (!resuming_ && !commits_.have_room()) return 0;
    owners_.follow_cgroups();
    const size_t drained = datapath_->drain(until_ns, config_.batch);
    flows_.settle();
    return drained;
  }

  Status take_all_earlier() {
    while (!earlier_->done()) {
      if (auto taken = earlier_->take(); !taken) return taken.error();
      if (Status written = commits_.commit(); !written) return written;
    }
    return Done{};
  }

  // Takes over another daemon's flows, which continue.
  Status resume() {
    Status learned = !commits_.restore()     ? resume_killed()
                     : flows_.lacks_owners() ? learn_states()
                                             : Status(Done{});
    if (!config_.quiet && !datapath_->earlier())
      host_.log_info("took over " + std::to_string(flows_.open_flows()) + " flows from " +
                     config_.pin);
    return learned;
  }

  // Goes on with the flows as they were at most a second before another daemon was killed. What
  // happened after its last commit is in the streams; what happened before, and after the flows
  // were copied, only the kernel's map tells. A flow that is not in the map has left it before the
  // map was searched, so the record of its end is among those that are processed after the search,
  // or its row is written.
  Status resume_killed() {
    resuming_ = true;
    flows_.begin_resuming();
    std::unordered_set<uint64_t> in_map;
    const auto note = [&](uint64_t id) { return in_map.insert(id), false; };
    Status learned = drain_all();
    if (learned) learned = datapath_->list_flows(note, requests_, [this] { take_some(); });
    if (learned) learned = drain_all();
    // First those that continue flows that are not in the map any more: they inherit from these.
    if (learned) learned = learn_unknown();
    if (learned) flows_.forget_absent([&](uint64_t id) { return in_map.contains(id); });
    // The kernel does not answer for a flow whose lock a packet holds. The request is repeated,
    // because such a flow may never send another record.
    constexpr int kTurns = 10;
    for (int turn = 0; turn < kTurns && learned; turn++) {
      learned = learn_unknown();
      const bool all = requests_.empty();
      requests_.clear();
      flows_.request_stale(requests_);
      if (all && requests_.empty()) break;
      if (learned) learned = serve_all();
    }
    flows_.end_resuming();
    resuming_ = false;
    return learned;
  }

  // Ends the flows of interfaces that have gone.
  Status end_departed() {
    Status followed = watch_.take(departed_);
    if (departed_.empty()) return followed;
    requests_.clear();
    if (config_.per_interface)
      for (const unsigned slot : departed_) flows_.request_close(FM_END_INPUT, requests_, slot);
    departed_.clear();
    if (Status closed = serve_all(); !closed) return closed;
    // Others may have vanished meanwhile.
    if (!watch_.has_departed()) datapath_->reuse_slots();
    return followed;
  }

  Status expire(uint64_t now) {
    requests_.clear();
    flows_.request_due(now, requests_);
    return requests_.empty() ? Done{} : serve_all();
  }

  // Requests the flows in the kernel's map that are not known here.
  Status learn_unknown() {
    requests_.clear();
    const auto unknown = [this](uint64_t id) { return !flows_.knows(id); };
    Status listed = datapath_->list_flows(unknown, requests_, [this] { take_some(); });
    if (!listed) return listed;
    drain();  // the records of some may just have arrived
    std::erase_if(requests_, [this](const auto& request) { return flows_.knows(request.flow_id); });
    for (fm_close_request& request : requests_) request.action = FM_REPORT_STATE;
    return serve_all();
  }

  // If records were lost, the opening records of flows may be among them. The next packet of such a
  // flow announces it again; flows that have become silent are found here. Searching the map is
  // expensive, so it is done at most every ten seconds while losses continue.
  Status find_unannounced(uint64_t now) {
    const uint64_t lost = datapath_->counters().events_lost;
    if (lost == lost_seen_ || now < next_search_) return Done{};
    lost_seen_ = lost;
    next_search_ = now + 10 * FM_SECOND_NS;
    return learn_unknown();
  }

  // Called in the middle of long work. The next commit() reports a failed output.
  void take_some() {
    drain();
    (void)commits_.commit();
  }

  // Processes all available records, and writes their rows. Bounded, because the programs may still
  // be running.
  Status drain_all() {
    const uint64_t until = monotonic_ns();
    while (drain(until) > 0)
      if (Status written = commits_.commit(); !written) return written;
    return Done{};
  }

  // Makes the kernel answer all of requests_. Answers take room until their rows are committed; if
  // an output is stuck, the rest of the requests is left out, and repeated later.
  Status serve_all() {
    for (size_t i = 0; i < requests_.size();) {
      const size_t size = std::min(datapath_->answers_possible(), requests_.size() - i);
      if (size == 0) {
        auto released = commits_.settle(
            ends_ || resuming_ ? commits_.patience_ns() : RowCommits::kLongestWaitNs,
            [this] { show_resuming(); });
        if (!released) return released.error();
        if (!*released) return Done{};
        continue;
      }
      if (Status status = datapath_->close_flows({requests_.data() + i, size}); !status)
        return status;
      i += size;
      if (Status drained = drain_all(); !drained) return drained;
    }
    return Done{};
  }

  // Taking over the flows of a killed daemon can last as long as an output is down.
  void show_resuming() {
    watchdog_.note_alive();
    if (!resuming_ || !metrics_) return;
    const uint64_t now = monotonic_ns();
    if (now < next_shown_) return;
    next_shown_ = now + FM_SECOND_NS;
    show_metrics(MetricsSnapshot::State::kResuming);
  }

  bool enough_packets() const {
    return config_.packets && report().packets_seen() >= *config_.packets;
  }

  const Config& config_;
  LiveRows& rows_;
  Host& host_;
  ServiceWatchdog watchdog_{host_};
  LiveMetrics* const metrics_;
  LiveFlows flows_;
  LiveOwners owners_;
  RowCommits commits_;
  UniqueFd pin_claim_;
  std::unique_ptr<BpfDatapath> datapath_;
  std::optional<EarlierRows> earlier_;
  std::unique_ptr<MeteredInterfaces> interfaces_;
  std::unique_ptr<LiveServices> services_;
  std::vector<fm_close_request> requests_;
  InterfaceWatch watch_;
  std::vector<unsigned> departed_;
  bool resuming_ = false;
  bool ends_ = false;  // for good: it is too late for a restart
  uint64_t lost_seen_ = 0, next_search_ = 0;
  uint64_t next_states_ = 0;
  uint64_t next_shown_ = 0;
};

// Meters until the run has to stop. Returns whether everything succeeded.
bool meter(const Config& config, LiveRun& live, LiveRows& rows, std::unique_ptr<LiveView> view,
           Host& host) {
  bool good = true;
  const auto check = [&](Status status) {
    if (!status) host.log_error(status.error().message());
    good = good && static_cast<bool>(status);
  };
  const auto tell_manager = [&](const std::string& lines) {
    if (Status told = host.notify_service(lines); !told) host.log_warning(told.error().message());
  };
  const std::string names = live.interfaces().names();
  if (config.verbose) host.log_info("metering " + names + "; press Ctrl-C to stop");
  tell_manager("READY=1\nSTATUS=metering " + names);
  if (view) check(view->enter(monotonic_ns()));
  if (good) check(live.run(view.get()));
  tell_manager("STOPPING=1\nSTATUS=writing the open flows");
  live.show_metrics(MetricsSnapshot::State::kEnding);
  view.reset();  // restores the terminal before the final messages
  check(live.finish());
  live.show_metrics(MetricsSnapshot::State::kEnding);
  check(rows.sink().finish());
  return live.report().at_end() && good;
}

ExitCode run(const Config& config, LiveRows& rows, Host& host, LiveMetrics* metrics) {
  std::unique_ptr<LiveView> view;
  if (config.top) {
    auto opened = LiveView::open(config.outputs.uses_stdout(), host);
    if (!opened) return fail(host, opened.error());
    view = std::move(*opened);
  }
  LiveRun live(config, rows, host, metrics);
  const UnfinishedWork work(host, live);
  if (Status started = live.start(); !started) return fail(host, started.error());
  if (Status header = rows.sink().flush(); !header) return fail(host, header.error());
  return meter(config, live, rows, std::move(view), host) ? kOk : kRunFailed;
}

}  // namespace

ExitCode run_live(const Config& config, RecordSink& sink, Host& host, LiveMetrics* metrics) {
  FlowRows rows(sink);
  return run(config, rows, host, metrics);
}

ExitCode run_live(const Config& config, CompatEngine& engine, Host& host, LiveMetrics* metrics) {
  CompatRows rows(engine);
  return run(config, rows, host, metrics);
}

}  // namespace flowmeter
