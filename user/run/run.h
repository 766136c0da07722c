// SPDX-License-Identifier: BSD-3-Clause
// Starts a run with a given configuration: with our own flows, whose rows go to a sink, or with a
// compatibility mode, which has its own output.
#pragma once

#include "base/host.h"
#include "compat/compat_engine.h"
#include "flows/flow_record.h"
#include "run/config.h"

namespace flowmeter {

// A run of the program: checks, outputs, then replay or live. It handles the process's signals.
ExitCode run_program(const Config& config, Host& host);

// Logs the error; returns the exit code that it means.
ExitCode fail(Host& host, const Error& error);

// Meters captures.
ExitCode run_replay(const Config& config, RecordSink& sink, Host& host);
ExitCode run_replay(const Config& config, CompatEngine& engine, Host& host);

class LiveMetrics;

// Meters interfaces until a signal, or until the duration or the number of packets is reached.
// metrics: where they are shown; null: nowhere.
ExitCode run_live(const Config& config, RecordSink& sink, Host& host,
                  LiveMetrics* metrics = nullptr);
ExitCode run_live(const Config& config, CompatEngine& engine, Host& host,
                  LiveMetrics* metrics = nullptr);

}  // namespace flowmeter
