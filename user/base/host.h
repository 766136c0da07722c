// SPDX-License-Identifier: BSD-3-Clause
// What a run may do to its process. It is passed as an argument and never global, because two runs
// in one process have different hosts. The program's host (ops/program_host.h) owns the process. A
// host inside another program receives the log lines, can request a stop, and does not change
// anything else in the process: these are the defaults of the functions here.
//
// Output threads log, too: log() and log_account() must be safe to call from several threads.
#pragma once

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>

#include "base/confinement.h"
#include "base/log.h"
#include "base/result.h"

namespace flowmeter {

// What is lost if the process ends at once. A signal handler asks: no locks and no allocation.
class Unfinished {
 public:
  virtual uint64_t open_flows() const = 0;
  // Rows that may not have left the process. One that several outputs lack counts for each of them.
  virtual uint64_t rows_unwritten() const = 0;

 protected:
  ~Unfinished() = default;
};

class Host {
 public:
  virtual ~Host() = default;

  // Not for the packet path: events that can repeat per packet are counted instead.
  virtual void log(LogLevel level, std::string_view message) = 0;
  void log_error(std::string_view message) { log(LogLevel::kError, message); }
  void log_warning(std::string_view message) { log(LogLevel::kWarning, message); }
  void log_info(std::string_view message) { log(LogLevel::kInfo, message); }

  // Counters, as "name=number name=number", at level info. of: their owner, if not the run.
  virtual void log_account(std::string_view counters, std::string_view of = "") {
    log_info(std::string(of).append(of.empty() ? "" : ": ").append(counters));
  }

  virtual void set_log_level(LogLevel) {}
  virtual void set_log_format(LogFormat) {}
  // Like Log::set_observer().
  virtual void set_log_observer(std::function<bool(std::string_view line)>) {}

  // Becomes non-zero when the run has to stop. Loops over packets keep the reference.
  virtual const volatile std::sig_atomic_t& stop_flag() const = 0;
  bool stop_requested() const { return stop_flag() != 0; }
  // Whether a stop means that the run was cut short, which is then an error.
  virtual bool stop_is_interruption() const { return false; }
  // Whether another run follows, which goes on with what this one can leave to it. No locks and no
  // allocation, as a signal handler asks, too.
  virtual bool stop_is_restart() const { return false; }
  // Whether the account was requested since the last call.
  virtual bool report_requested() { return false; }
  // What to report if the process is forced to end; null: nothing.
  virtual void set_unfinished(const Unfinished*) {}

  // Makes the process another user's, who then owns what it creates. Its capabilities stay until
  // confine() (ops/privileges.h).
  virtual Status change_user(const std::string& /*user*/) { return Done{}; }
  // Whether the system offers every part of the sandbox.
  virtual Status check_sandbox() { return Done{}; }
  // Permanently gives up everything else: capabilities, files, system calls (ops/sandbox.h).
  virtual Status confine(const Confinement& /*needs*/) { return Done{}; }
  // Tells the service manager (ops/service_notification.h).
  virtual Status notify_service(std::string_view /*lines*/) { return Done{}; }
  // How much of the captures a replay has read. Called every few thousand packets.
  virtual void note_progress(uint64_t /*packets*/, uint64_t /*bytes*/) {}
  // Whether standard error is a terminal on which a line can be updated in place.
  virtual bool shows_progress() const { return false; }
  // The value of an environment variable that holds a secret, or "". The program's host removes it
  // from the environment.
  virtual std::string take_secret(const char* variable) {
    const char* const value = std::getenv(variable);
    return value ? value : "";
  }
};

// The host's Unfinished while this object lives.
class UnfinishedWork {
 public:
  UnfinishedWork(Host& host, const Unfinished& work) : host_(host) { host_.set_unfinished(&work); }
  ~UnfinishedWork() { host_.set_unfinished(nullptr); }
  UnfinishedWork(const UnfinishedWork&) = delete;
  UnfinishedWork& operator=(const UnfinishedWork&) = delete;

 private:
  Host& host_;
};

}  // namespace flowmeter
