// SPDX-License-Identifier: BSD-3-Clause
#include "features/feature_sets.h"

#include <array>

#include "features/columns_114.h"
#include "features/columns_82.h"

namespace flowmeter {
namespace {

fm_settings netflowmeter114_settings() {
  fm_settings s = fm_default_settings();
  s.activity_gap_ns = 100 * FM_SECOND_NS;
  s.with_sizes = 1;
  return s;
}

}  // namespace

std::span<const NamedFeatureSet> feature_sets() {
  static const std::array kSets = {
      NamedFeatureSet{"cic82", "the 82 columns of the Python cicflowmeter", columns_82(),
                      fm_default_settings()},
      NamedFeatureSet{"netflowmeter114",
                      "the 114 features of NetFlowMeter, behind 7 columns that "
                      "identify the flow",
                      columns_114(), netflowmeter114_settings()},
  };
  return kSets;
}

const NamedFeatureSet* find_feature_set(std::string_view name) {
  for (const NamedFeatureSet& set : feature_sets())
    if (set.name == name) return &set;
  return nullptr;
}

std::string feature_set_names() {
  std::string names;
  for (const NamedFeatureSet& set : feature_sets())
    names += (names.empty() ? "" : ", ") + std::string(set.name);
  return names;
}

}  // namespace flowmeter
