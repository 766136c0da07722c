// SPDX-License-Identifier: BSD-3-Clause
// SIGINT and SIGTERM: the first asks to stop, the second ends the process at once. SIGUSR1 asks for
// the account. SIGPIPE is ignored: a closed output is an error of write(2), reported like any
// other.
#pragma once

#include <csignal>

namespace flowmeter {

void handle_signals();
// Set once a stop was asked for (within another program: of this thread's run).
const volatile std::sig_atomic_t& stop_requested();
// Whether the account was asked for since the last call.
bool report_requested();

// What the second signal is to do before it ends the process; null: nothing. Requires:
// async-signal-safe.
void call_before_forced_exit(void (*restore)());

}  // namespace flowmeter
