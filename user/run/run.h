// SPDX-License-Identifier: BSD-3-Clause
// A run, once its configuration is known.
#pragma once

#include "base/host.h"
#include "compat/compat_engine.h"
#include "flows/flow_applications.h"
#include "flows/flow_record.h"
#include "run/config.h"

namespace flowmeter {

// Meters captures.
ExitCode run_replay(const Config& config, RecordSink& sink, Host& host);

// Meters captures as another program does.
ExitCode run_compat_replay(const Config& config, CompatEngine& engine, Host& host);

// Meters interfaces until a signal, the duration or the number of packets.
ExitCode run_live(const Config& config, RecordSink& sink, Host& host);

// The same as another program does.
ExitCode run_compat_live(const Config& config, CompatEngine& engine, Host& host);

// What the parsers of payload met: a warning of what they had no memory for, with -v the counts.
// Nothing if payload is not looked into.
void report_application(const Config& config, const FlowApplications& applications, Host& host);

}  // namespace flowmeter
