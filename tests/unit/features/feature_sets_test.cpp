// SPDX-License-Identifier: BSD-3-Clause
#include "features/feature_sets.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "features/listing.h"

namespace flowmeter {
namespace {

TEST(FeatureSets, AreFoundByNameAndTheFirstIsTheDefault) {
  ASSERT_FALSE(feature_sets().empty());
  EXPECT_EQ(feature_sets().front().name, "cic82");
  for (const NamedFeatureSet& set : feature_sets()) EXPECT_EQ(find_feature_set(set.name), &set);
  EXPECT_EQ(find_feature_set(""), nullptr);
  EXPECT_EQ(find_feature_set("cic8"), nullptr);
}

TEST(FeatureSets, BringTheirOwnDefaults) {
  const fm_settings usual = fm_default_settings();
  EXPECT_EQ(std::memcmp(&find_feature_set("cic82")->settings, &usual, sizeof(usual)), 0);
  fm_settings expected = usual;
  expected.activity_gap_ns = 100 * FM_SECOND_NS;
  expected.with_sizes = 1;
  EXPECT_EQ(
      std::memcmp(&find_feature_set("netflowmeter114")->settings, &expected, sizeof(expected)), 0);
  expected = usual;
  expected.idle_timeout_ns = expected.icmp_idle_timeout_ns = 5 * FM_SECOND_NS;
  expected.activity_gap_ns = FM_SECOND_NS;
  expected.bulk_max_gap_ns = FM_SECOND_NS / 10;
  expected.bulk_min_packets = 1;
  expected.with_application = 1;
  EXPECT_EQ(std::memcmp(&find_feature_set("realtime97")->settings, &expected, sizeof(expected)), 0);
}

// The listings neither quote (CSV) nor escape (JSON) these texts.
TEST(FeatureSets, NamesAndDefinitionsNeedNoEscapes) {
  for (const NamedFeatureSet& set : feature_sets()) {
    std::set<std::string_view> names;
    for (const Column& column : set.columns) {
      EXPECT_TRUE(names.insert(column.name).second) << column.name;
      EXPECT_EQ(column.name.find_first_of(",\"\\"), std::string_view::npos) << column.name;
      EXPECT_EQ(column.definition().find_first_of("\"\\|\n"), std::string::npos) << column.name;
      EXPECT_FALSE(column.definition().empty()) << column.name;
    }
  }
}

}  // namespace
}  // namespace flowmeter
