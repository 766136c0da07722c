// SPDX-License-Identifier: BSD-3-Clause
// Reads a configuration file: the part of TOML that a list of options needs. A line is
// `name = value`, with a string, number, true or false, or an array of those; # starts a comment.
// Tables, dates, multi-line strings, and everything that TOML would read differently are errors
// that name the line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flowmeter {

struct ConfigurationEntry {
  std::string name;
  std::vector<std::string> values;  // as written on a command line: 1_000 is "1000"
  bool is_array = false;
  unsigned line = 0;
};

// The entries of a file's text; path is for errors, which start with "path:line: ".
Result<std::vector<ConfigurationEntry>> parse_configuration(std::string_view text,
                                                            const std::string& path);

// The entries of a file.
Result<std::vector<ConfigurationEntry>> read_configuration(const std::string& path);

// A TOML string of these bytes.
std::string toml_string(std::string_view text);

}  // namespace flowmeter
