// SPDX-License-Identifier: BSD-3-Clause
#include "ops/signals.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "base/clock.h"

namespace flowmeter {
namespace {

volatile std::sig_atomic_t stop = 0;
volatile std::sig_atomic_t restart = 0;
volatile std::sig_atomic_t report = 0;

extern "C" void on_report_signal(int) {
  report = 1;
}

void (*volatile before_forced_exit)() = nullptr;
const Unfinished* volatile unfinished = nullptr;
volatile LogFormat log_format = LogFormat::kText;

// Only the metering thread receives signals (output/queued_sink.cpp), so its work stands still.
void log_forced_exit() {
  char message[200];
  char* at = message;
  const auto put = [&at](std::string_view text) { at = std::copy(text.begin(), text.end(), at); };
  const auto put_number = [&at](uint64_t number) { at = std::to_chars(at, at + 20, number).ptr; };
  put("ended by a second signal");
  if (const Unfinished* const work = unfinished) {
    put(": ");
    put_number(work->open_flows());
    put(" open flows and up to ");
    put_number(work->rows_unwritten());
    put(" rows of the outputs were given up");
  }
  char line[sizeof(message) + kLogFrameBytes + 1];
  const std::string_view text(message, static_cast<size_t>(at - message));
  at = put_log_line(line, log_format, LogLevel::kError, wall_ns(), text);
  *at++ = '\n';
  (void)!::write(STDERR_FILENO, line, static_cast<size_t>(at - line));
}

extern "C" void on_stop_signal(int) {
  if (stop) {
    if (before_forced_exit) before_forced_exit();
    log_forced_exit();
    ::_exit(1);
  }
  stop = 1;
}

// What the first signal has begun stays an end or a restart.
extern "C" void on_restart_signal(int number) {
  if (!stop) restart = 1;
  on_stop_signal(number);
}

}  // namespace

void handle_signals() {
  struct sigaction action {};
  action.sa_handler = on_stop_signal;  // without SA_RESTART: a read or a sleep must return
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = on_restart_signal;
  ::sigaction(SIGUSR2, &action, nullptr);
  action.sa_handler = on_report_signal;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR1, &action, nullptr);
  action.sa_flags = 0;
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, nullptr);
  ::sigaction(SIGXFSZ, &action, nullptr);
}

const volatile std::sig_atomic_t& stop_signal() {
  return stop;
}

bool restart_signal() {
  return restart != 0;
}

bool report_signal() {
  const bool requested = report != 0;
  report = 0;
  return requested;
}

void report_at_forced_exit(const Unfinished* work, LogFormat format) {
  log_format = format;
  unfinished = work;
}

void call_before_forced_exit(void (*restore)()) {
  before_forced_exit = restore;
}

}  // namespace flowmeter
