// SPDX-License-Identifier: BSD-3-Clause
// The options that say whose packets a flow has: --attribute and what belongs to it.
#pragma once

#include <string>
#include <vector>

#include "base/option.h"
#include "run/config.h"

namespace flowmeter {

std::vector<Option> attribution_options(Config& config);

// What is wrong with their values, or with columns that need them; "": nothing.
std::string check_attribution(const Config& config);

// The columns that config.attribute appends, comma-separated; "" if it is off.
std::string attribution_columns(const Config& config);

}  // namespace flowmeter
