// SPDX-License-Identifier: BSD-3-Clause
// Options from three places: the command line takes precedence over the environment (FLOWMETER_ and
// the option's long name, FLOWMETER_IDLE_TIMEOUT), and that over the configuration file.
#pragma once

#include <string>
#include <vector>

#include "base/host.h"
#include "run/options.h"

namespace flowmeter {

// "idle-timeout" -> "FLOWMETER_IDLE_TIMEOUT"
std::string environment_name(const std::string& long_name);

class OptionSources {
 public:
  // Requires: the options outlive this object.
  explicit OptionSources(const std::vector<Option>& options) : options_(options) {}

  // Takes the command line's values, one entry per option, and reads the other sources. An error
  // names the variable, or file and line. Sets no option.
  Status read(std::vector<std::vector<std::string>> command_line);
  const GivenOptions& given() const { return given_; }

  // Warns about variables that name no option. They are not errors, because other programs may use
  // them.
  void warn_of_unknown(Host& host) const;

  // The values in force, each with its source, as a file for --config. Defaults are comments.
  // Passwords in URLs are left out.
  std::string text() const;

 private:
  std::string file_named() const;
  Status from_environment();
  Status from_file(const std::string& path);
  Status give(const Option& option, std::vector<std::string> values, const std::string& source);

  const std::vector<Option>& options_;
  std::string path_;
  GivenOptions given_;
  std::vector<std::string> unknown_;  // variables
};

}  // namespace flowmeter
