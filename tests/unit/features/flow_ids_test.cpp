// SPDX-License-Identifier: BSD-3-Clause
// flow_id and flow_key of a replay. (flows/live_chains_test.cpp has those of a live run.)
#include "features/flow_ids.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <regex>
#include <set>

#include "features/columns_extra.h"
#include "support/random_traffic.h"
#include "support/replay_rows.h"

namespace flowmeter {
namespace {

using testing::ipv4;
using testing::Row;
using testing::TimedFrame;

const MeterIdentity kMeter("meter-1", 0, MeterIdentity::kReplay);

std::vector<Row> rows_of(const std::vector<TimedFrame>& frames, const MeterIdentity& meter = kMeter,
                         Replay::Limits limits = testing::kRoomyLimits,
                         const fm_settings& settings = fm_default_settings()) {
  return testing::replay(frames, settings, limits, columns_extra(), &meter).rows;
}

std::vector<std::string> column(const std::vector<Row>& rows, const char* name) {
  std::vector<std::string> texts;
  for (const Row& row : rows) texts.push_back(row.text(name));
  return texts;
}

TimedFrame udp_at(uint64_t time_ns, uint16_t port = 1000) {
  return ipv4("10.0.0.1", "10.0.0.2").udp(port, 53).payload(10).at_ns(time_ns);
}

TEST(FlowIds, AreUuidsOfVersion8) {
  const std::regex uuid("[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}");
  std::vector<TimedFrame> frames;
  for (uint16_t port = 1; port < 100; port++) frames.push_back(udp_at(port, port));
  for (const Row& row : rows_of(frames)) {
    EXPECT_TRUE(std::regex_match(row.text("flow_id"), uuid)) << row.text("flow_id");
    EXPECT_TRUE(std::regex_match(row.text("flow_key"), uuid)) << row.text("flow_key");
    EXPECT_NE(row.text("flow_id"), row.text("flow_key"));
  }
}

// What they depend on must stay the same over versions, or rows that are made again after an
// upgrade would be others. Python's hashlib made these from the description in flow_ids.cpp.
TEST(FlowIds, StayTheSameOverVersions) {
  const std::vector<Row> rows = rows_of({udp_at(5), udp_at(6)});
  EXPECT_EQ(rows.at(0).text("meter_id"), "meter-1");
  EXPECT_EQ(rows.at(0).text("flow_id"), "c12a2c02-17c5-899b-b02e-d3c739204925");
  EXPECT_EQ(rows.at(0).text("flow_key"), "a3b15d4d-06d2-86ce-b146-652f09cc5f02");
}

// Frames at equal times, at the time 0, and backwards; table sizes at which flows are forced out.
TEST(FlowIds, AreUniqueWhateverTheTimes) {
  std::mt19937_64 random(20240607);
  size_t rows_in_all = 0;
  for (int round = 0; round < 60; round++) {
    std::vector<TimedFrame> frames = testing::random_traffic(random, 400).frames();
    if (round % 3 == 1)
      for (TimedFrame& frame : frames) frame.time_ns = 0;
    if (round % 3 == 2)
      for (TimedFrame& frame : frames) frame.time_ns = random() % 3 * 10'000 * FM_SECOND_NS;
    const Replay::Limits limits{round % 2 ? 4u : 4096u, 16};
    const std::vector<Row> rows = rows_of(frames, kMeter, limits);
    const std::vector<std::string> ids = column(rows, "flow_id");
    EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), rows.size()) << round;
    EXPECT_EQ(column(rows_of(frames, kMeter, limits), "flow_id"), ids) << "the same again";
    EXPECT_EQ(column(rows_of(frames, kMeter, limits), "flow_key"), column(rows, "flow_key"));
    rows_in_all += rows.size();
  }
  EXPECT_GT(rows_in_all, 2000u);
}

TEST(FlowIds, AreOthersForAnotherMeterOrRun) {
  const std::vector<TimedFrame> frames = {udp_at(5)};
  std::set<std::string> ids;
  const std::pair<const char*, uint64_t> kMeters[] = {
      {"meter-1", 0}, {"meter-2", 0}, {"meter-1", 1}, {"meter-1", 2}, {"meter-", 0}};
  for (const auto& [id, run] : kMeters) {
    const Row row = rows_of(frames, MeterIdentity(id, 0, run)).at(0);
    ids.insert({row.text("flow_id"), row.text("flow_key")});
  }
  EXPECT_EQ(ids.size(), 2 * std::size(kMeters));
  EXPECT_EQ(column(rows_of(frames, MeterIdentity("meter-1", 7, 0)), "flow_id"),
            column(rows_of(frames), "flow_id"))
      << "the seed is that of the Community ID";
}

TEST(FlowIds, ALongerCaptureChangesTheFlowsThatAreLongerInIt) {
  std::vector<TimedFrame> frames = {udp_at(0, 1), udp_at(1, 2), udp_at(2, 1)};
  const std::vector<Row> before = rows_of(frames);
  frames.push_back(udp_at(3, 2));
  frames.push_back(udp_at(4, 3));
  const std::vector<Row> after = rows_of(frames);
  ASSERT_EQ(before.size(), 2u);
  ASSERT_EQ(after.size(), 3u);
  EXPECT_EQ(before[0].text("flow_id"), after[0].text("flow_id"));
  EXPECT_NE(before[1].text("flow_id"), after[1].text("flow_id")) << "another row";
  EXPECT_EQ(before[1].text("flow_key"), after[1].text("flow_key")) << "of the same flow";
}

TEST(FlowIds, ActiveTimeoutsKeepTheFlowKey) {
  fm_settings settings = fm_default_settings();
  settings.active_timeout_ns = 10 * FM_SECOND_NS;
  std::vector<TimedFrame> frames;
  for (uint64_t s = 0; s < 40; s++) frames.push_back(udp_at(s * FM_SECOND_NS));
  frames.push_back(udp_at(1000 * FM_SECOND_NS));  // after an idle time-out
  frames.push_back(udp_at(1011 * FM_SECOND_NS));
  const std::vector<Row> rows = rows_of(frames, kMeter, testing::kRoomyLimits, settings);
  ASSERT_EQ(rows.size(), 6u);
  std::map<std::string, int> keys;
  std::set<std::string> ids;
  for (const Row& row : rows) {
    keys[row.text("flow_key")]++;
    ids.insert(row.text("flow_id"));
  }
  EXPECT_EQ(ids.size(), 6u);
  EXPECT_EQ(keys.size(), 2u);
  for (size_t i = 0; i < 6; i++)
    EXPECT_EQ(rows[i].text("flow_key"), rows[i < 4 ? 0 : 4].text("flow_key")) << i;
  EXPECT_EQ(rows[3].end(), FM_END_IDLE);
}

// When a flow is forced out, the next packet of its key begins another flow.
TEST(FlowIds, AFlowThatWasForcedOutDoesNotGoOn) {
  const std::vector<Row> rows = rows_of({udp_at(0, 1), udp_at(0, 2), udp_at(0, 1)}, kMeter, {1, 1});
  ASSERT_EQ(rows.size(), 3u);
  const std::vector<std::string> keys = column(rows, "flow_key");
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), 3u);
}

TEST(MeterIdentity, IdsThatAMeterCanHave) {
  for (const char* id : {"a", "3d1219c7c4c5404aaa1f6d2a48adfda4", "rack-7.example:eth0_A"})
    EXPECT_TRUE(MeterIdentity::valid_id(id)) << id;
  EXPECT_TRUE(MeterIdentity::valid_id(std::string(64, 'x')));
  for (const char* id : {"", "a b", "a,b", "a\"", "a\n", "\xc3\xa4", "a/b", "-,", "a\t"})
    EXPECT_FALSE(MeterIdentity::valid_id(id)) << id;
  EXPECT_FALSE(MeterIdentity::valid_id(std::string(65, 'x')));
}

}  // namespace
}  // namespace flowmeter
