// SPDX-License-Identifier: BSD-3-Clause
// Signals of the program. The first SIGINT or SIGTERM requests a stop, and so does SIGUSR2, which
// says that another run follows. The second one ends the process at once, with one line that says
// what is lost and exit status 1. SIGUSR1 requests the account. SIGPIPE is ignored, so that a
// closed output is an error of write(2) like any other.
//
// A process has one set of signal handlers, so they write to global variables, which only the
// program's host (program_host.h) reads.
#pragma once

#include <csignal>

#include "base/host.h"

namespace flowmeter {

void handle_signals();
// Becomes 1 with the first signal that requests a stop.
const volatile std::sig_atomic_t& stop_signal();
// Whether that signal said that another run follows.
bool restart_signal();
// Whether the account was requested since the last call.
bool report_signal();

// Sets what the second signal reports (null: nothing is lost), and the format of its line.
void report_at_forced_exit(const Unfinished* work, LogFormat format);
// Sets what the second signal does before it ends the process; null: nothing. Requires: the
// function is async-signal-safe.
void call_before_forced_exit(void (*restore)());

}  // namespace flowmeter
