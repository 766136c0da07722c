// SPDX-License-Identifier: BSD-3-Clause
// The program's commands: metering, and the commands that its first argument can name instead.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/host.h"
#include "cli/command_line.h"
#include "run/config.h"

namespace flowmeter {

// Runs the command line.
ExitCode run_command(int argc, const char* const* argv, Host& host);

struct Command {
  std::string_view name;
  ExitCode (*run)(int argc, const char* const* argv, Host& host);  // argv[0] is the name
  std::string (*words)();  // its arguments, for shell completion
};
std::span<const Command> commands();

// Returns the run that command line, environment and configuration file ask for; or a text to
// print: help, a list of columns, the values in force. host: gets the format and level of the log.
Asked<Config> parse_options(int argc, const char* const* argv, Host& host);

// Reports what kernel, capabilities and interfaces allow.
ExitCode run_doctor(int argc, const char* const* argv, Host& host);
// Prints the feature sets and their columns.
ExitCode run_features(int argc, const char* const* argv, Host& host);

// Prints a completion script for a shell.
ExitCode run_completion(int argc, const char* const* argv, Host& host);

// Prints to standard output. Returns kOk; or, if the text could not be written, reports that on
// standard error and returns kRunFailed.
ExitCode print_out(Host& host, const std::string& text);

// Prints the text, or logs the error.
ExitCode answer(Host& host, const Answer& answer);

}  // namespace flowmeter
