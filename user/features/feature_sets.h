// SPDX-License-Identifier: BSD-3-Clause
// The list of feature sets that --features can name. A set is a list of columns with its defaults
// for the parameters of the flow state.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "features/column.h"
#include "flowmeter/settings.h"

namespace flowmeter {

struct NamedFeatureSet {
  std::string_view name;
  std::string_view description;
  FeatureSet columns;
  fm_settings settings;
  std::string_view default_output = "-";  // where rows go if no output is named
  // Gaps above the activity gap are idle periods, so the idle time-out should be longer.
  bool has_idle_periods = true;
};

// The default set is the first.
std::span<const NamedFeatureSet> feature_sets();

// Null if no set has this name.
const NamedFeatureSet* find_feature_set(std::string_view name);

// "cic82, netflowmeter114, …".
std::string feature_set_names();

}  // namespace flowmeter
