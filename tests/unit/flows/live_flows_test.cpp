// SPDX-License-Identifier: BSD-3-Clause
// The order of records, losses and evictions.
#include "flows/live_flows.h"

#include <gtest/gtest.h>

#include <vector>

#include "flows/live_flows_fixture.h"

namespace flowmeter::live_flows_testing {
namespace {

// The kernel could not count some packets, and records of others were lost.
TEST_F(LiveFlowsTest, TheFirstWindowIsTheFirstPackets) {
  open(1, packet(1000, 1 * kSecond));
  uncounted(packet(1000, 2 * kSecond, FM_ACK, 9));
  close_announced(1, 1000, 3, FM_END_INPUT);
  EXPECT_EQ(sink.rows.back().packets, 4u);
  EXPECT_EQ(sink.initial_window, kWindow) << "the other came later";

  uncounted(packet(2000, 1 * kSecond, FM_ACK, 9));
  open(2, packet(2000, 2 * kSecond));
  close_announced(2, 2000, 3, FM_END_INPUT);
  EXPECT_EQ(sink.rows.back().packets, 4u);
  EXPECT_EQ(sink.initial_window, 9) << "the other came first";
}

TEST_F(LiveFlowsTest, ARowHasAllPacketsThatCameBeforeItsClose) {
  open(1, packet(1000, 1 * kSecond));
  for (uint64_t i = 1; i < 5; i++) send(1, packet(1000, (1 + i) * kSecond));
  close(1, 1000, 5, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 5u);
  EXPECT_EQ(sink.rows[0].gaps, 4u);
  EXPECT_EQ(sink.rows[0].end, FM_END_IDLE);
  EXPECT_EQ(flows.packets_written(), 5u);
  EXPECT_EQ(flows.flows_with_losses(), 0u);
  EXPECT_EQ(flows.open_flows(), 0u);
}

TEST_F(LiveFlowsTest, LostRecordsLeaveTheKernelsCountAndAreTold) {
  open(1, packet(1000, 1 * kSecond));
  send(1, packet(1000, 2 * kSecond));
  close(1, 1000, 7, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 7u);
  EXPECT_EQ(sink.rows[0].gaps, 1u);
  EXPECT_EQ(flows.flows_with_losses(), 1u);
  EXPECT_EQ(flows.packets_without_timing(), 5u);
}

TEST_F(LiveFlowsTest, AFlowOfWhichOnlyTheEndIsHeardIsWrittenFromTheKernelsCounters) {
  send(9, packet(1000, 1 * kSecond));
  close(9, 1000, 3, FM_END_REOPENED);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 3u);
  EXPECT_EQ(flows.packets_without_timing(), 3u);
}

TEST_F(LiveFlowsTest, AnUncountedPacketIsInTheRowAndIsNoLoss) {
  open(1, packet(1000, 1 * kSecond));
  uncounted(packet(1000, 2 * kSecond));
  close(1, 1000, 1, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 2u);
  EXPECT_EQ(flows.flows_with_losses(), 0u);
}

TEST_F(LiveFlowsTest, AnEvictedFlowIsWrittenFromItsRecordsWhenTheKernelHasNoneLeft) {
  open(1, packet(1000, 1 * kSecond));
  send(1, packet(1000, 2 * kSecond));
  close(1, 1000, 0, FM_END_EVICTED);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 2u);
  EXPECT_EQ(sink.rows[0].end, FM_END_EVICTED);
  EXPECT_EQ(flows.evicted(), 1u);
}

TEST_F(LiveFlowsTest, AFlowThatTheKernelDroppedAndMeetsAgainGoesOn) {
  open(1, packet(1000, 1 * kSecond));
  send(1, packet(1000, 2 * kSecond));
  open(2, packet(1000, 3 * kSecond));
  send(2, packet(1000, 4 * kSecond));
  EXPECT_TRUE(sink.rows.empty());
  EXPECT_EQ(flows.open_flows(), 1u);
  EXPECT_EQ(flows.evicted(), 1u);
  EXPECT_EQ(flows.recreated(), 1u);
  close(2, 1000, 2, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 4u) << "two before and two after";
  EXPECT_EQ(sink.rows[0].gaps, 3u);
  EXPECT_EQ(flows.flows_with_losses(), 0u);
}

TEST_F(LiveFlowsTest, LossesOfAFlowThatWentOnAreFoundInItsSecondLife) {
  open(1, packet(1000, 1 * kSecond));
  open(2, packet(1000, 2 * kSecond));
  close(2, 1000, 5, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 6u);
  EXPECT_EQ(flows.packets_without_timing(), 4u);
}

TEST_F(LiveFlowsTest, ADroppedFlowDoesNotGoOnAfterItsIdleTimeout) {
  open(1, packet(1000, 1 * kSecond));
  open(2, packet(1000, 300 * kSecond));
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].end, FM_END_IDLE);
  EXPECT_EQ(flows.recreated(), 0u);
  close(2, 1000, 1, FM_END_IDLE);
  EXPECT_EQ(sink.rows.size(), 2u);
}

TEST_F(LiveFlowsTest, TheKernelsNextFlowOnAnEntryEndsTheOneWhoseEndWasNotHeard) {
  open(1, packet(1000, 1 * kSecond));
  open(2, packet(1000, 2 * kSecond), 0);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 1u);
  close(2, 1000, 1, FM_END_IDLE);
  EXPECT_EQ(sink.rows.size(), 2u);
}

TEST_F(LiveFlowsTest, UncountedPacketsStayInTheRowWhenTheKernelsCountersAreTaken) {
  open(1, packet(1000, 1 * kSecond));
  uncounted(packet(1000, 2 * kSecond));
  uncounted(packet(1000, 3 * kSecond));
  close(1, 1000, 4, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 6u);
  EXPECT_EQ(flows.packets_without_timing(), 3u);
}

TEST_F(LiveFlowsTest, AFlowThatTheKernelHadNoRoomForGoesOnWhenItHas) {
  uncounted(packet(1000, 1 * kSecond));
  open(1, packet(1000, 2 * kSecond));
  send(1, packet(1000, 3 * kSecond));
  close(1, 1000, 2, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 3u);
  EXPECT_EQ(flows.evicted(), 0u);
  EXPECT_EQ(flows.flows_with_losses(), 0u);
}

TEST_F(LiveFlowsTest, TheKernelsStateOfAFlowBringsItsCountsUpToDate) {
  open(1, packet(1000, 1 * kSecond));
  EXPECT_EQ(flows.open_packets(), 1u);
  state(1, 1000, 3);
  EXPECT_EQ(flows.open_packets(), 3u);
  send(1, packet(1000, 9 * kSecond));
  close(1, 1000, 4, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 4u);
  EXPECT_EQ(flows.packets_without_timing(), 2u);
}

TEST_F(LiveFlowsTest, AFlowWhoseOpeningRecordWasLostIsTakenOverFromTheKernelsState) {
  state_not_announced(1, 1000, 3);
  EXPECT_EQ(flows.open_packets(), 3u);
  send(1, packet(1000, 2 * kSecond));
  close_announced(1, 1000, 4, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 4u);
  EXPECT_EQ(flows.packets_without_timing(), 3u);
}

TEST_F(LiveFlowsTest, TheStateOfAFlowThatWasForcedOutBeginsNoOther) {
  const uint32_t room = flows.capacity();
  for (uint32_t i = 0; i <= room; i++)
    open(i + 1, packet(static_cast<uint16_t>(1000 + i), kSecond + i));
  ASSERT_EQ(sink.rows.size(), 1u) << "of flow 1";
  EXPECT_TRUE(flows.knows(1)) << "or it would be asked for as unknown";
  state(1, 1000, 3);
  EXPECT_EQ(flows.open_flows(), room);
  close_announced(1, 1000, 3, FM_END_RESOURCES);
  EXPECT_EQ(sink.rows.size(), 1u);
  EXPECT_FALSE(flows.knows(1));
}

TEST_F(LiveFlowsTest, AFlowWhoseOpeningWasLostIsTakenOver) {
  state(1, 1000, 3);
  EXPECT_EQ(flows.open_packets(), 3u);
  close_announced(1, 1000, 4, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 4u);
  EXPECT_EQ(flows.packets_without_timing(), 4u);
}

TEST_F(LiveFlowsTest, AnotherDaemonsFlowsGoOn) {
  flows.begin_resuming();
  send(1, packet(1000, 1 * kSecond));  // the state below includes it
  close_announced(2, 1001, 7, FM_END_REOPENED);
  state(1, 1000, 3);
  flows.end_resuming();
  ASSERT_EQ(sink.rows.size(), 1u) << "what ended while there was no daemon";
  EXPECT_EQ(sink.rows[0].packets, 7u);
  send(1, packet(1000, 2 * kSecond));
  send(1, packet(1000, 3 * kSecond));
  close(1, 1000, 5, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 2u);
  EXPECT_EQ(sink.rows[1].packets, 5u);
  EXPECT_EQ(sink.rows[1].gaps, 1u);
  EXPECT_EQ(flows.packets_without_timing(), 7u + 3u);
}

TEST_F(LiveFlowsTest, AStepOfTheWallClockMovesNoDuration) {
  flows.set_clock(clock_origin(1'000 * static_cast<__int128>(kSecond)));
  open(1, packet(1000, 1 * kSecond));
  flows.set_clock(clock_origin(5'000 * static_cast<__int128>(kSecond)));
  send(1, packet(1000, 3 * kSecond));
  open(2, packet(1001, 4 * kSecond));
  close(1, 1000, 2, FM_END_IDLE);
  close(2, 1001, 1, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 2u);
  EXPECT_EQ(sink.rows[0].start_s, 1'001);
  EXPECT_EQ(sink.rows[0].duration_ns, 2 * kSecond);
  EXPECT_EQ(sink.rows[1].start_s, 5'004);
}

TEST_F(LiveFlowsTest, ASecondAnswerToARepeatedRequestChangesNothing) {
  open(1, packet(1000, 1 * kSecond));
  close(1, 1000, 1, FM_END_IDLE);
  close(1, 1000, 0, FM_END_EVICTED);
  EXPECT_EQ(sink.rows.size(), 1u);
}

}  // namespace
}  // namespace flowmeter::live_flows_testing
