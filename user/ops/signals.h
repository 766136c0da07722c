// SPDX-License-Identifier: BSD-3-Clause
// Signals of the program. The first SIGINT or SIGTERM asks to stop, the second ends the process at
// once. SIGUSR1 asks for the account. SIGPIPE is ignored: a closed output is an error of write(2),
// reported like any other.
//
// A process has one set of signal handlers, so they write to global variables, which only the
// program's host (program_host.h) reads.
#pragma once

#include <csignal>

namespace flowmeter {

void handle_signals();
// Becomes 1 with the first signal that asks to stop.
const volatile std::sig_atomic_t& stop_signal();
// Whether the account was asked for since the last call.
bool report_signal();

// What the second signal does before it ends the process; null: nothing. Requires:
// async-signal-safe.
void call_before_forced_exit(void (*restore)());

}  // namespace flowmeter
