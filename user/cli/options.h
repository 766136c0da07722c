// SPDX-License-Identifier: BSD-3-Clause
// The command line, as one struct.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "flowmeter/settings.h"

namespace flowmeter {

// Exit codes of the program.
enum ExitCode : int { kOk = 0, kRunFailed = 1, kUsage = 2 };

// Do what another program does, cell for cell (docs/compat.md).
enum class Compat { kNone, kPython, kJava, kJavaFixed };

struct Config {
  std::vector<std::string> captures;  // replay these, in order; "-" is standard input
  std::string interface;              // or meter this one
  std::string csv = "-";              // "-" is standard output
  std::string fields;                 // empty: all

  Compat compat = Compat::kNone;

  fm_settings settings = fm_default_settings();

  uint32_t max_flows = 0;
  uint32_t max_fragments = 0;
  uint32_t ring_mib = 0;

  std::optional<double> duration_s;
  std::optional<uint64_t> packets;

  bool strict = false;
  bool verbose = false;
  bool quiet = false;
};

// The configuration, or the exit code if there is nothing to run: help was printed, or an error was
// reported.
std::variant<Config, ExitCode> parse_options(int argc, const char* const* argv);

}  // namespace flowmeter
