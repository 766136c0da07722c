// SPDX-License-Identifier: BSD-3-Clause
// The command line, the environment and the configuration file become a Config.
#pragma once

#include "base/host.h"
#include "cli/command_line.h"
#include "run/config.h"

namespace flowmeter {

// host: gets the format and level of the log.
// Returns the requested run; or a text to print: help, a list of columns, the values in force.
Asked<Config> parse_options(int argc, const char* const* argv, Host& host);

}  // namespace flowmeter
