// SPDX-License-Identifier: BSD-3-Clause
// The host of a run that owns the process: it logs to standard error, stops on signals, and may
// give up the privileges of the process.
#pragma once

#include "base/host.h"
#include "ops/signals.h"

namespace flowmeter {

class ProgramHost final : public Host {
 public:
  void log(LogLevel level, std::string_view message) override { log_.line(level, message); }
  void log_account(std::string_view counters, std::string_view of = "") override {
    log_.account(counters, of);
  }
  void set_log_level(LogLevel level) override { log_.set_level(level); }
  void set_log_format(LogFormat format) override {
    log_format_ = format;
    log_.set_format(format);
  }
  void set_log_observer(std::function<bool(std::string_view)> observer) override {
    log_.set_observer(std::move(observer));
  }
  // At the end: prints which lines were suppressed, and how often.
  void log_suppressed() { log_.suppressed(); }

  const volatile std::sig_atomic_t& stop_flag() const override { return stop_signal(); }
  bool stop_is_interruption() const override { return true; }
  bool stop_is_restart() const override { return restart_signal(); }
  bool report_requested() override { return report_signal(); }
  void set_unfinished(const Unfinished* work) override { report_at_forced_exit(work, log_format_); }

  Status change_user(const std::string& user) override;
  Status check_sandbox() override;
  Status confine(const Confinement& needs) override;
  Status notify_service(std::string_view lines) override;
  bool shows_progress() const override;
  std::string take_secret(const char* variable) override;

 private:
  Log log_;
  std::string user_;  // of change_user()
  LogFormat log_format_ = LogFormat::kText;
};

}  // namespace flowmeter
