// SPDX-License-Identifier: BSD-3-Clause
#include "features/feature_sets.h"

#include <array>

#include "features/columns_114.h"
#include "features/columns_82.h"
#include "features/columns_97.h"

namespace flowmeter {
namespace {

fm_settings netflowmeter114_settings() {
  fm_settings s = fm_default_settings();
  s.activity_gap_ns = 100 * FM_SECOND_NS;
  s.with_sizes = 1;
  return s;
}

fm_settings realtime97_settings() {
  fm_settings s = fm_default_settings();
  s.idle_timeout_ns = 5 * FM_SECOND_NS;
  s.icmp_idle_timeout_ns = 5 * FM_SECOND_NS;
  s.activity_gap_ns = 1 * FM_SECOND_NS;
  s.bulk_max_gap_ns = FM_SECOND_NS / 10;
  s.bulk_min_packets = 1;
  s.with_application = 1;
  return s;
}

}  // namespace

std::span<const NamedFeatureSet> feature_sets() {
  static const std::array kSets = {
      NamedFeatureSet{"cic82", "the 82 columns of the Python cicflowmeter", columns_82(),
                      fm_default_settings(), "-", /*has_idle_periods=*/false},
      NamedFeatureSet{"netflowmeter114",
                      "the 114 features of NetFlowMeter, after 7 columns that "
                      "identify the flow",
                      columns_114(), netflowmeter114_settings()},
      NamedFeatureSet{"realtime97",
                      "the 97 columns of the real-time CICFlowMeter, with HTTP, TLS and DNS",
                      columns_97(), realtime97_settings(), "output/live_flow_features.csv"},
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
