// SPDX-License-Identifier: BSD-3-Clause
#include "ops/signals.h"

#include <unistd.h>

namespace flowmeter {
namespace {

volatile std::sig_atomic_t stop = 0;

volatile std::sig_atomic_t report = 0;

extern "C" void on_report_signal(int) {
  report = 1;
}

void (*volatile before_forced_exit)() = nullptr;

extern "C" void on_stop_signal(int) {
  if (stop) {
    if (before_forced_exit) before_forced_exit();
    ::_exit(1);
  }
  stop = 1;
}

}  // namespace

void handle_signals() {
  struct sigaction action {};
  action.sa_handler = on_stop_signal;  // without SA_RESTART: a read or a sleep must return
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
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

bool report_signal() {
  const bool requested = report != 0;
  report = 0;
  return requested;
}

void call_before_forced_exit(void (*restore)()) {
  before_forced_exit = restore;
}

}  // namespace flowmeter
