// SPDX-License-Identifier: BSD-3-Clause
// Options from three places: what the command line does not give comes from the environment
// (FLOWMETER_ and the option's long name, FLOWMETER_IDLE_TIMEOUT), else from the configuration
// file. Not CLI11's own way, which has the file before the environment and runs a file's options in
// its order.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <vector>

#include "cli/options.h"

namespace flowmeter {

// "--idle-timeout" -> "FLOWMETER_IDLE_TIMEOUT"
std::string environment_name(const std::string& long_name);

class OptionSources {
 public:
  // Requires: outlives app's parsing.
  OptionSources(CLI::App& app, OptionsFrom from, Host& host)
      : app_(app), from_(from), host_(host) {}

  // The callback of --config, which must be the first of app's options and forced: the command line
  // is read by then, and no other callback has run. Gives the options not on the command line their
  // values, and runs all callbacks; throws a CLI::ParseError that names variable, or file and line.
  // Options that are not configurable are left alone.
  void complete(std::string path);

  // What is in force, as a file that --config takes, each value with its source. Defaults are
  // comments. Passwords in URLs are left out.
  std::string text() const;

 private:
  struct Given {
    std::vector<std::string> values;  // as given
    std::string source;
  };

  void from_environment();
  void from_file(const std::string& path);
  void give(CLI::Option* option, std::vector<std::string> values, const std::string& source);

  CLI::App& app_;
  const OptionsFrom from_;
  Host& host_;
  std::string path_;
  std::map<const CLI::Option*, Given> given_;
  std::vector<std::string> unknown_;  // variables
};

}  // namespace flowmeter
