// SPDX-License-Identifier: BSD-3-Clause
#include "flowmeter/flow_timing.h"

#include <gtest/gtest.h>

#include <vector>

namespace {

constexpr uint64_t kS = FM_SECOND_NS;

struct Step {
  uint64_t time_ns;
  uint8_t direction;
  uint32_t payload;
};

fm_flow_timing timing(const std::vector<Step>& steps) {
  const fm_settings settings = fm_default_settings();
  fm_flow_timing t{};
  for (const Step& s : steps) {
    fm_packet p{};
    p.time_ns = s.time_ns;
    p.direction = s.direction;
    p.payload_bytes = s.payload;
    fm_flow_timing_update(&t, &p, &settings);
  }
  return t;
}

TEST(FlowTiming, GapsByDirection) {
  const auto t = timing({{0, 0, 0}, {100, 1, 0}, {300, 0, 0}, {600, 1, 0}, {1000, 0, 0}});
  EXPECT_EQ(t.gaps.count, 4u);
  EXPECT_EQ(t.gaps.sum, 1000u);
  EXPECT_EQ(t.gaps.min, 100u);
  EXPECT_EQ(t.gaps.max, 400u);
  EXPECT_EQ(t.direction[0].gaps.count, 2u);
  EXPECT_EQ(t.direction[0].gaps.min, 300u);
  EXPECT_EQ(t.direction[0].gaps.max, 700u);
  EXPECT_EQ(t.direction[1].gaps.count, 1u);
  EXPECT_EQ(t.direction[1].gaps.sum, 500u);
}

TEST(FlowTiming, OnePacketHasNoGap) {
  const auto t = timing({{5 * kS, 1, 10}});
  EXPECT_EQ(t.packets, 1u);
  EXPECT_EQ(t.gaps.count, 0u);
  EXPECT_EQ(t.direction[1].gaps.count, 0u);
  EXPECT_EQ(t.active.count, 0u);
  EXPECT_EQ(t.idle.count, 0u);
  EXPECT_EQ(t.subflow_gaps, 0u);
}

TEST(FlowTiming, AStampThatStepsBackCountsAsTheLatest) {
  const auto t = timing({{5 * kS, 0, 0}, {6 * kS, 1, 0}, {4 * kS, 0, 0}, {6 * kS + 1, 0, 0}});
  EXPECT_EQ(t.gaps.min, 0u);
  EXPECT_EQ(t.gaps.sum, kS + 1);
  EXPECT_EQ(t.direction[0].gaps.sum, kS + 1);
  EXPECT_EQ(t.last_ns, 6 * kS + 1);
}

TEST(FlowTiming, SubflowGapIsStrict) {
  EXPECT_EQ(timing({{0, 0, 0}, {kS, 1, 0}}).subflow_gaps, 0u);
  EXPECT_EQ(timing({{0, 0, 0}, {kS + 1, 1, 0}}).subflow_gaps, 1u);
}

TEST(FlowTiming, ActivityGapIsStrict) {
  const auto on = timing({{0, 0, 0}, {5 * kS, 1, 0}});
  EXPECT_EQ(on.idle.count, 0u);
  const auto above = timing({{0, 0, 0}, {5 * kS + 1, 1, 0}});
  EXPECT_EQ(above.idle.count, 1u);
  EXPECT_EQ(above.idle.sum, 5 * kS + 1);
  EXPECT_EQ(above.active.count, 0u) << "a piece of length 0 is no sample";
  EXPECT_EQ(above.period_start_ns, 5 * kS + 1);
}

TEST(FlowTiming, ActivePeriods) {
  const auto t = timing({{0, 0, 0},
                         {3 * kS, 0, 0},
                         {10 * kS, 1, 0},
                         {20 * kS, 0, 0},
                         {22 * kS, 0, 0},
                         {30 * kS, 0, 0}});
  EXPECT_EQ(t.active.count, 2u);
  EXPECT_EQ(t.active.sum, 5 * kS);
  EXPECT_EQ(t.active.max, 3 * kS);
  EXPECT_EQ(t.active.min, 2 * kS);
  EXPECT_EQ(t.idle.count, 3u);
  EXPECT_EQ(t.idle.sum, 25 * kS);
}

struct BulkRow {
  const char* claim;
  std::vector<Step> steps;
  uint64_t count, packets, bytes, duration_ns;  // of direction 0
};

TEST(FlowTiming, Bulks) {
  const BulkRow rows[] = {
      {"three packets are no bulk", {{0, 0, 9}, {1, 0, 9}, {2, 0, 9}}, 0, 0, 0, 0},
      {"four are", {{0, 0, 9}, {1, 0, 9}, {2, 0, 9}, {5, 0, 9}}, 1, 4, 36, 5},
      {"further ones join",
       {{0, 0, 9}, {1, 0, 9}, {2, 0, 9}, {5, 0, 9}, {7, 0, 1}, {8, 0, 2}},
       1,
       6,
       39,
       8},
      {"a gap of 1 s joins",
       {{0, 0, 9}, {kS, 0, 9}, {2 * kS, 0, 9}, {3 * kS, 0, 9}, {4 * kS, 0, 9}},
       1,
       5,
       45,
       4 * kS},
      {"a gap above 1 s splits",
       {{0, 0, 9}, {1, 0, 9}, {2, 0, 9}, {2 + kS + 1, 0, 9}, {3 + kS, 0, 9}, {4 + kS, 0, 9}},
       0,
       0,
       0,
       0},
      {"a gap above 1 s ends a bulk; the next needs four again",
       {{0, 0, 9}, {0, 0, 9}, {0, 0, 9}, {0, 0, 9}, {kS + 1, 0, 9}, {kS + 1, 0, 9}, {kS + 1, 0, 9}},
       1,
       4,
       36,
       0},
      {"payload of the other direction ends it",
       {{0, 0, 9}, {0, 0, 9}, {0, 0, 9}, {0, 1, 1}, {0, 0, 9}, {0, 0, 9}, {0, 0, 9}},
       0,
       0,
       0,
       0},
      {"a bare ACK of the other direction does not",
       {{0, 0, 9}, {0, 0, 9}, {0, 1, 0}, {0, 0, 9}, {0, 0, 9}},
       1,
       4,
       36,
       0},
      {"a bare ACK does not bridge a gap",
       {{0, 0, 9}, {0, 0, 9}, {0, 0, 9}, {kS, 0, 0}, {kS + 1, 0, 9}},
       0,
       0,
       0,
       0},
      {"two bulks",
       {{0, 0, 1},
        {1, 0, 1},
        {2, 0, 1},
        {3, 0, 1},
        {4, 1, 1},
        {5, 0, 2},
        {6, 0, 2},
        {7, 0, 2},
        {9, 0, 2}},
       2,
       8,
       12,
       7},
      {"a clock that steps back makes no negative time",
       {{9, 0, 1}, {8, 0, 1}, {7, 0, 1}, {6, 0, 1}},
       1,
       4,
       4,
       0},
  };
  for (const BulkRow& row : rows) {
    SCOPED_TRACE(row.claim);
    for (const uint8_t flip : {uint8_t{0}, uint8_t{1}}) {  // both ends are treated alike
      std::vector<Step> steps = row.steps;
      for (Step& s : steps) s.direction ^= flip;
      const auto t = timing(steps);
      EXPECT_EQ(t.bulks[flip].count, row.count);
      EXPECT_EQ(t.bulks[flip].packets, row.packets);
      EXPECT_EQ(t.bulks[flip].bytes, row.bytes);
      EXPECT_EQ(t.bulks[flip].duration_ns, row.duration_ns);
      EXPECT_EQ(t.bulks[!flip].count, 0u);
    }
  }
}

}  // namespace
