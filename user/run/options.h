// SPDX-License-Identifier: BSD-3-Clause
// The table of all options, and how values from anywhere become a Config.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/option.h"
#include "run/config.h"

namespace flowmeter {

// All options, bound to this Config. Requires: config stays where it is.
std::vector<Option> options_of(Config& config);

// Null if there is none of this long name, which may be a former one.
const Option* find_option(const std::vector<Option>& options, const std::string& long_name);

struct GivenOption {
  std::vector<std::string> values;
  std::string source;  // for messages: "flow.toml:3"; empty: it needs no mention
};
using GivenOptions = std::map<const Option*, GivenOption>;

// Sets what was given, in the order of the table.
Status set_options(const std::vector<Option>& options, const GivenOptions& given);

// Whether what was given goes together: a usage error says what does not.
Status check_options(const std::vector<Option>& options, const GivenOptions& given,
                     const Config& config);

// Fills in what depends on several options.
void settle_options(Config& config);

}  // namespace flowmeter
