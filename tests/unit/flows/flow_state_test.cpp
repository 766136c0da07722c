// SPDX-License-Identifier: BSD-3-Clause
// Flows pass from one daemon to the next by a file: as if nothing had happened if the first one
// was stopped, with exact counts if it was killed.
#include "flows/flow_state.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "flows/flow_state_fixture.h"

namespace flowmeter::live_flows_testing {
namespace {

class RestartedFlows : public FlowStateTest {
 public:
  // What a kernel and its packets do at random, the same for the same seed.
  template <typename Pause>
  std::vector<Row> rows_of(uint64_t seed, Pause&& pause) {
    std::mt19937_64 random(seed);
    const auto pick = [&](uint64_t below) { return random() % below; };
    std::vector<std::pair<uint64_t, uint64_t>> entries(20);  // [port]: id, packets
    uint64_t next_id = 1, now = kSecond;
    begin_anew();
    for (int step = 0; step < 400; step++) {
      now += 1 + pick(kSecond);
      if (pick(10) == 0) clock_ = clock_origin(static_cast<__int128>(pick(1000) * kSecond));
      flows.set_clock(clock_);
      const auto port = static_cast<uint16_t>(pick(entries.size()));
      auto& [id, packets] = entries[port];
      const fm_packet p = packet(port, now);
      switch (pick(8)) {
        case 0:
          uncounted(p);
          break;
        case 1:
          if (id) close(std::exchange(id, 0), port, packets, FM_END_IDLE);
          break;
        case 2:
          if (id) state(id, port, packets);
          break;
        default:
          if (id) {
            packets++;
            send(id, p);
          } else {
            id = next_id++;
            packets = 1;
            open(id, p);
          }
      }
      pause(static_cast<uint64_t>(step + 1), pick(4) == 0);
    }
    flows.settle();
    flows.finish(FM_END_INPUT);
    return sink.rows;
  }
};

TEST_F(RestartedFlows, NobodyNoticesAPlannedRestart) {
  for (uint64_t seed = 1; seed <= 50; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::vector<Row> expected = rows_of(seed, [](uint64_t, bool) {});
    uint64_t restarts = 0;
    const std::vector<Row> found = rows_of(seed, [&](uint64_t step, bool now) {
      if (step % 7 == 0) save(step);
      if (!now) return;
      restarts++;
      save(step, LiveFlows::Copied::kAll);
      restart(true);
    });
    EXPECT_GT(restarts, 50u);
    ASSERT_EQ(found.size(), expected.size());
    // finish() writes them in the order of their slots.
    EXPECT_TRUE(std::is_permutation(found.begin(), found.end(), expected.begin()));
  }
}

TEST_F(FlowStateTest, AfterAKillCountsAreTheKernelsAndTimesOfTheLastSecondAreMissing) {
  open(1, packet(1000, 1 * kSecond));
  for (uint64_t i = 1; i < 4; i++) send(1, packet(1000, (1 + i) * kSecond));
  uncounted(packet(1000, 5 * kSecond));
  uncounted(packet(2000, 5 * kSecond));  // nobody else knows this flow
  save(1);
  send(1, packet(1000, 6 * kSecond));  // and is killed
  restart(false);
  EXPECT_EQ(flows.open_flows(), 1u);
  send(1, packet(1000, 7 * kSecond));
  close_announced(1, 1000, 6, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 6u);
  EXPECT_EQ(sink.rows[0].gaps, 5u) << "of five packets in the copy and one after it";
  EXPECT_EQ(flows.packets_without_timing(), 0u) << "six have times, though not the same ones";
}

TEST_F(FlowStateTest, AFlowThatHasARowIsForgotten) {
  open(1, packet(1000, 1 * kSecond));
  open(2, packet(1001, 1 * kSecond));
  save(1);
  close(1, 1000, 1, FM_END_IDLE);  // its row is committed
  restart(false);
  std::vector<fm_close_request> requests;
  flows.request_stale(requests);
  EXPECT_EQ(requests.size(), 2u);
  flows.forget_absent([](uint64_t id) { return id == 2; });
  EXPECT_EQ(flows.open_flows(), 1u);
  EXPECT_EQ(sink.rows.size(), 1u);
  state(2, 1001, 1);
  requests.clear();
  flows.request_stale(requests);
  EXPECT_TRUE(requests.empty());
}

TEST_F(FlowStateTest, SoIsOneWhoseKeyAnotherFlowHas) {
  open(1, packet(1000, 1 * kSecond));
  open(2, packet(1001, 1 * kSecond));
  save(1);
  close(1, 1000, 1, FM_END_IDLE);  // both rows are committed
  close(2, 1001, 1, FM_END_IDLE);
  restart(false);
  open(3, packet(1000, 9 * kSecond));
  state(4, 1001, 5);
  EXPECT_EQ(sink.rows.size(), 2u);
  EXPECT_EQ(flows.open_packets(), 6u);
  EXPECT_EQ(flows.evicted(), 0u);
}

TEST_F(FlowStateTest, OfTwoCopiesOfOneKeyTheLaterFlowCounts) {
  open(1, packet(1000, 1 * kSecond));
  open(2, packet(1001, 1 * kSecond));
  save(1);
  close(1, 1000, 1, FM_END_IDLE);
  open(3, packet(1000, 9 * kSecond));  // in the slot of flow 1
  flows.settle();
  const fm_flow_sizes none{};
  ASSERT_TRUE(state_file().begin(8, false));
  LiveFlow old{};
  old.key = key_of(1000);
  old.id = 1;
  old.flow.counters.first_ns = kSecond;
  state_file().put(7, old, none, nullptr);
  save(2);
  state_file().put(7, old, none, nullptr);
  restart(false);
  EXPECT_EQ(flows.open_flows(), 2u);
  EXPECT_TRUE(flows.knows(3));
  EXPECT_FALSE(flows.knows(1));
}

TEST_F(FlowStateTest, WhatBelongsToOthersIsNotTakenOver) {
  open(1, packet(1000, 1 * kSecond));
  save(1);
  EXPECT_EQ(state_file().commits(), 1u);
  auto second = open_state();
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message().find("in use by another"), std::string::npos);
  state_.reset();
  {
    auto same = open_state();
    ASSERT_TRUE(same);
    EXPECT_EQ((*same)->commits(), 1u);
  }
  auto other = open_state(kJournal + 1);
  ASSERT_TRUE(other);
  EXPECT_EQ((*other)->commits(), 0u);
  EXPECT_EQ((*other)->slots(), 0u);
}

TEST_F(FlowStateTest, AnIncompleteCopyIsNotTheWholeTruth) {
  open(1, packet(1000, 1 * kSecond));
  save(1);
  ASSERT_TRUE(state_file().begin(2, false));  // and is killed
  state_.reset();
  EXPECT_EQ(state_file().commits(), 0u);
  EXPECT_NE(state_file().flow(0), nullptr) << "but what is there is whole";
}

TEST_F(FlowStateTest, AnythingElseIsReplaced) {
  std::ofstream(path()) << std::string(100'000, 'x');
  EXPECT_EQ(state_file().commits(), 0u);
  EXPECT_EQ(state_file().slots(), 0u);
}

TEST_F(FlowStateTest, WhatCannotBeRemovedIsAnError) {
  (void)state_file();
  ASSERT_TRUE(state_file().remove());
  EXPECT_FALSE(std::filesystem::exists(path()));
  EXPECT_TRUE(state_file().remove()) << "it is not there";
  std::filesystem::create_directory(path());
  const Status removed = state_file().remove();
  ASSERT_FALSE(removed);
  EXPECT_NE(removed.error().message().find("cannot remove " + path()), std::string::npos);
}

}  // namespace
}  // namespace flowmeter::live_flows_testing
