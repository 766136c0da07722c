// SPDX-License-Identifier: BSD-3-Clause
// The table of all options, and how values from any source become a Config.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/option.h"
#include "run/config.h"

namespace flowmeter {

// All options, bound to this Config. Requires: config is not moved.
std::vector<Option> options_of(Config& config);

// The option with this long name, which may be a former one; null if there is none.
const Option* find_option(const std::vector<Option>& options, const std::string& long_name);

struct GivenOption {
  std::vector<std::string> values;
  std::string source;  // for messages: "flow.toml:3"; empty: not mentioned
};
using GivenOptions = std::map<const Option*, GivenOption>;

// Sets the given options, in the order of the table.
Status set_options(const std::vector<Option>& options, const GivenOptions& given);

// Whether the given options can be combined; otherwise a usage error.
Status check_options(const std::vector<Option>& options, const GivenOptions& given,
                     const Config& config);

// Sets members that depend on several options.
void settle_options(Config& config);

}  // namespace flowmeter
