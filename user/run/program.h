// SPDX-License-Identifier: BSD-3-Clause
// A run of the program: checks, outputs, then replay or live. It handles the process's signals.
#pragma once

#include "base/host.h"
#include "run/config.h"

namespace flowmeter {

ExitCode run_program(const Config& config, Host& host);

}  // namespace flowmeter
