// SPDX-License-Identifier: BSD-3-Clause
// A run, once its configuration is known: into our own flows, whose rows go to a sink, or into a
// compatibility mode, which has an output of its own.
#pragma once

#include "base/host.h"
#include "compat/compat_engine.h"
#include "flows/flow_record.h"
#include "run/config.h"

namespace flowmeter {

// Meters captures.
ExitCode run_replay(const Config& config, RecordSink& sink, Host& host);
ExitCode run_replay(const Config& config, CompatEngine& engine, Host& host);

// Meters interfaces until a signal, the duration or the number of packets.
ExitCode run_live(const Config& config, RecordSink& sink, Host& host);
ExitCode run_live(const Config& config, CompatEngine& engine, Host& host);

}  // namespace flowmeter
