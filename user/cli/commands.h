// SPDX-License-Identifier: BSD-3-Clause
// The subcommands of the command line.
#pragma once

#include "run/config.h"

namespace flowmeter {

class Host;

// `flowmeter-ebpf doctor ...`: what kernel, capabilities and interfaces allow. argv[0] is "doctor".
ExitCode run_doctor(int argc, const char* const* argv, Host& host);

// `flowmeter-ebpf features ...`: the feature sets and their columns. argv[0] is "features".
ExitCode run_features(int argc, const char* const* argv, Host& host);

}  // namespace flowmeter
