// SPDX-License-Identifier: BSD-3-Clause
#include "api/metering.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <exception>

#include "features/columns_extra.h"
#include "features/select.h"
#include "ops/network_namespace.h"
#include "ops/privileges.h"
#include "run/check.h"
#include "run/options.h"
#include "run/outputs.h"
#include "run/run.h"

namespace flowmeter {
namespace {

extern "C" void only_interrupt(int) {}

}  // namespace

Result<Config> Metering::configure(const Keywords& keywords) {
  Config config;
  const std::vector<Option> options = options_of(config);
  GivenOptions given;
  for (const auto& [name, values] : keywords) {
    const Option* const option = find_option(options, name);
    if (!option) return usage_error("there is no option \"" + name + "\"");
    given[option] = {values, ""};
  }
  if (Status set = set_options(options, given); !set) return set.error();
  if (Status fine = check_options(options, given, config); !fine) return fine.error();
  settle_options(config);
  return config;
}

Result<std::unique_ptr<Metering>> Metering::start(Config config) {
  if (config.compat != Compat::kNone)
    return usage_error("the compatibility modes are available on the command line only");
  auto columns =
      select_columns(config.features->columns, config.fields, columns_extra(), config.extra);
  if (!columns) return columns.error();
  const bool live = config.live();
  if (live)
    if (const std::string missing = missing_capabilities(); !missing.empty())
      return Error{"metering an interface needs " + missing, EPERM};
  std::unique_ptr<Metering> run(new Metering(std::move(config), std::move(*columns)));
  if (!run->config_.outputs.targets.empty()) {
    auto sinks = open_outputs(run->config_.outputs, run->columns_, run->host_);
    if (!sinks) return sinks.error();
    run->sinks_ = std::move(*sinks);
  } else {
    // In a live run a batch has the flows that ended between two drains, often one.
    run->queue_ =
        std::make_unique<FlowBatchQueue>(run->columns_, live ? 4 : FlowBatchQueue::kBatchRows);
  }

  // The program's own threads handle its signals.
  sigset_t all, before;
  ::sigfillset(&all);
  ::sigdelset(&all, SIGURG);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  run->thread_ = std::thread([meter = run.get()] { meter->run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (live && run->queue_ && !run->queue_->wait_begun())
    return Error{run->host_.take_last_error().value_or("metering could not begin")};
  return run;
}

Metering::Metering(Config config, std::vector<Column> columns)
    : config_(std::move(config)), columns_(std::move(columns)), process_(::getpid()) {}

Metering::~Metering() {
  if (!thread_.joinable()) return;
  if (forked()) {
    thread_.detach();
    return;
  }
  abandon();
  while (!finished(std::chrono::milliseconds(50))) {
  }
  thread_.join();
}

void Metering::run() {
  ExitCode code = kRunFailed;
  try {
    code = meter();
  } catch (const std::bad_alloc&) {
    host_.log_error("out of memory (max_flows and max_fragments bound it)");
  } catch (const std::exception& error) {
    host_.log_error(error.what());
  }
  if (queue_) queue_->end();
  const std::lock_guard lock(mutex_);
  code_ = code;
  done_ = true;
  over_.notify_all();
}

ExitCode Metering::meter() {
  Status ready = config_.netns.empty() ? Done{} : enter_network_namespace(config_.netns);
  if (ready) ready = check_interfaces(config_);
  if (!ready) return fail(host_, ready.error());
  RecordSink& sink = queue_ ? static_cast<RecordSink&>(*queue_) : *sinks_;
  const ExitCode code =
      config_.live() ? run_live(config_, sink, host_) : run_replay(config_, sink, host_);
  return code == kOk && sinks_ && !sinks_->complete() ? kRunFailed : code;
}

Metering::Provenance Metering::provenance() const {
  Provenance all = {{"version", FLOWMETER_VERSION}};
  Config config = config_;
  for (const Option& option : options_of(config))
    if (option.rules.is_keyword && option.value.in_force &&
        (config.live() || !option.rules.live_only))
      if (std::string value = option.value.in_force(); !value.empty())
        all.emplace_back(option.long_name(), std::move(value));
  return all;
}

std::unique_ptr<FlowBatch> Metering::take(std::chrono::milliseconds wait) {
  if (host_.stop_requested()) interrupt_reading();
  return queue_->take(wait);
}

bool Metering::finished(std::chrono::milliseconds wait) {
  if (host_.stop_requested()) interrupt_reading();
  std::unique_lock lock(mutex_);
  return over_.wait_for(lock, wait, [this] { return done_; }) && (!queue_ || queue_->ended());
}

bool Metering::forked() const {
  return ::getpid() != process_;
}

void Metering::abandon() {
  if (forked()) return;  // the thread may have held a lock, which would never be released
  stop();
  if (queue_) queue_->abandon();
}

// The signal makes a read from an idle pipe return, so that the thread sees the request to stop.
// The handler stays installed because the signal may arrive late. It does nothing, and so does the
// signal's default action.
void Metering::interrupt_reading() {
  const std::lock_guard lock(mutex_);
  if (done_ || config_.captures.empty()) return;
  struct sigaction present {};
  ::sigaction(SIGURG, nullptr, &present);
  if (!(present.sa_flags & SA_SIGINFO) &&
      (present.sa_handler == SIG_DFL || present.sa_handler == SIG_IGN)) {
    struct sigaction interrupt {};
    interrupt.sa_handler = only_interrupt;
    ::sigaction(SIGURG, &interrupt, nullptr);
  }
  ::pthread_kill(thread_.native_handle(), SIGURG);
}

}  // namespace flowmeter
