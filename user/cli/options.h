// SPDX-License-Identifier: BSD-3-Clause
// The command line, the environment and the configuration file become a Config.
#pragma once

#include <variant>

#include "run/config.h"

namespace flowmeter {

class Host;

// kArgumentsOnly: neither the environment nor a configuration file is read.
enum class OptionsFrom { kAnywhere, kArgumentsOnly };

// The configuration, or the exit code if there is nothing to run: help was printed, or an error was
// reported to host.
std::variant<Config, ExitCode> parse_options(int argc, const char* const* argv, OptionsFrom from,
                                             Host& host);

}  // namespace flowmeter
