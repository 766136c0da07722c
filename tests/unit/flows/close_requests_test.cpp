// SPDX-License-Identifier: BSD-3-Clause
// Which flows the kernel is asked to close and when, and the behaviour of a full table.
#include "flows/close_requests.h"

#include <gtest/gtest.h>

#include <vector>

#include "flows/live_flows_fixture.h"

namespace flowmeter::live_flows_testing {
namespace {

using CloseRequestsTest = LiveFlowsTest;

TEST_F(CloseRequestsTest, AsksForAFlowAfterItsIdleTimeoutAndAgainUntilItIsAnswered) {
  open(1, packet(1000, 1 * kSecond));
  EXPECT_TRUE(due(240 * kSecond).empty());
  send(1, packet(1000, 100 * kSecond));
  EXPECT_TRUE(due(242 * kSecond).empty()) << "the second packet has moved the deadline";
  auto requests = due(341 * kSecond);
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].flow_id, 1u);
  EXPECT_EQ(requests[0].action, FM_CLOSE_IF_IDLE) << "the kernel decides";
  EXPECT_TRUE(due(341 * kSecond + 1).empty());
  EXPECT_EQ(due(342 * kSecond).size(), 1u) << "no answer came";
  close(1, 1000, 2, FM_END_IDLE);
  EXPECT_TRUE(due(400 * kSecond).empty());
}

TEST_F(CloseRequestsTest, AClosedTcpFlowIsAskedForAfterItsLinger) {
  open(1, packet(1000, 1 * kSecond));
  due(2 * kSecond);
  send(1, packet(1000, 2 * kSecond, FM_RST));
  EXPECT_TRUE(due(7 * kSecond).empty());
  EXPECT_EQ(due(7 * kSecond + kSecond / 2).size(), 1u);
}

TEST_F(CloseRequestsTest, ATableBelowItsLimitIsLeftAlone) {
  for (uint16_t i = 0; i < 64; i++) open(i + 1u, packet(static_cast<uint16_t>(1000 + i), kSecond));
  EXPECT_TRUE(due(2 * kSecond).empty());
}

TEST_F(CloseRequestsTest, AboveTheLimitAsManyAsAreTooManyAreAskedForTheLongestSilentFirst) {
  for (uint16_t i = 0; i < 66; i++)
    open(i + 1u, packet(static_cast<uint16_t>(1000 + i), (1u + i) * kSecond));
  const auto requests = due(67 * kSecond);
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].flow_id, 1u);
  EXPECT_EQ(requests[0].action, fm_close_force(FM_END_RESOURCES));
  close(1, 1000, 1, FM_END_RESOURCES);
  close(requests[1].flow_id, static_cast<uint16_t>(999 + requests[1].flow_id), 1, FM_END_RESOURCES);
  EXPECT_EQ(flows.open_flows(), 64u);
  EXPECT_TRUE(due(67 * kSecond + 1).empty());
}

TEST_F(CloseRequestsTest, PacketsSpareAFlowForOnesThatCameLaterAndHaveFewer) {
  open(1, packet(1000, kSecond));
  for (int i = 0; i < 20; i++) send(1, packet(1000, kSecond));
  for (uint16_t i = 1; i < 80; i++)
    open(i + 1u, packet(static_cast<uint16_t>(1000 + i), 10 * kSecond));
  for (const fm_close_request& request : due(11 * kSecond)) EXPECT_NE(request.flow_id, 1u);
  EXPECT_EQ(due(11 * kSecond + 1).size(), 0u) << "as many as are too many are asked for";
}

TEST_F(CloseRequestsTest, AFlowSilentForLongerThanItsCreditMakesRoom) {
  open(1, packet(1000, kSecond));
  for (int i = 0; i < 1000; i++) send(1, packet(1000, kSecond));
  for (uint16_t i = 1; i < 65; i++)
    open(i + 1u, packet(static_cast<uint16_t>(1000 + i), 100 * kSecond));
  const auto requests = due(101 * kSecond);
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].flow_id, 1u);
}

// With datapath "kernel" only a flow's first packet sends a record. So the kernel is asked first
// whether the flow is busy, and no other flow is closed in its place while the answer is pending.
TEST_F(CloseRequestsTest, WhatTheKernelKnowsAloneIsAskedForBeforeAFlowMakesRoom) {
  LiveFlows kernel{fm_default_settings(), 64, sink, TimingIn::kKernel};
  for (uint16_t i = 0; i < 66; i++) {
    fm_open_record record{};
    const fm_packet p = packet(static_cast<uint16_t>(1000 + i), (1u + i) * kSecond);
    fm_packet_to_record(&record.packet, &p, i + 1u, FM_RECORD_OPEN);
    record.key = p.key;
    kernel.take(&record, sizeof(record));
  }
  const auto due = [&](uint64_t now_ns) {
    std::vector<fm_close_request> requests;
    kernel.request_due(now_ns, requests);
    return requests;
  };
  const auto asked = due(70 * kSecond);
  ASSERT_EQ(asked.size(), 2u);
  for (const fm_close_request& request : asked) EXPECT_EQ(request.action, FM_REPORT_STATE);
  EXPECT_TRUE(due(70 * kSecond + 1).empty()) << "before the answer";
  EXPECT_EQ(asked[0].flow_id, 1u);
  fm_state_record busy{};
  busy.head.time_ns = 70 * kSecond;
  busy.head.flow_id = 1;
  busy.head.what = FM_RECORD_STATE;
  busy.key = asked[0].key;
  const fm_packet p = packet(1000, 70 * kSecond);
  fm_flow_counters_begin(&busy.counters, &p, {p.direction, 0, 0});
  for (int i = 0; i < 100; i++) fm_flow_counters_update(&busy.counters, &p);
  kernel.take(&busy, sizeof(busy));
  const auto next = due(70 * kSecond + 2);
  ASSERT_EQ(next.size(), 1u) << "in place of the busy one";
  EXPECT_NE(next[0].flow_id, 1u);
  EXPECT_EQ(next[0].action, FM_REPORT_STATE);
}

TEST_F(CloseRequestsTest, AFullTableWritesAFlowForANewOneAndHasTheKernelForgetIt) {
  const uint32_t room = flows.capacity();
  ASSERT_LT(room, 60'000u) << "a port for each";
  for (uint32_t i = 0; i <= room; i++)
    open(i + 1, packet(static_cast<uint16_t>(1000 + i), kSecond + i));
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 1u);
  EXPECT_EQ(sink.rows[0].end, FM_END_RESOURCES);
  EXPECT_EQ(flows.forced_out(), 1u);
  EXPECT_EQ(flows.open_flows(), room);
  const auto requests = due(2 * kSecond);
  ASSERT_FALSE(requests.empty());
  EXPECT_EQ(requests[0].flow_id, 1u);
  EXPECT_EQ(requests[0].action, fm_close_force(FM_END_RESOURCES));
  // The kernel's answer must not become a second row of the same packets.
  fm_state_record record{};
  record.head.flow_id = 1;
  record.head.what = FM_RECORD_CLOSED;
  record.announced = 1;
  const fm_packet p = packet(1000, kSecond);
  fm_flow_counters_begin(&record.counters, &p, {p.direction, 0, 0});
  fm_flow_counters_update(&record.counters, &p);
  flows.take(&record, sizeof(record));
  EXPECT_EQ(sink.rows.size(), 1u);
}

TEST_F(CloseRequestsTest, AFullTableKeepsTheFlowsThatTheKernelCounts) {
  open(1, packet(1000, kSecond));
  for (uint32_t i = 1; i <= flows.capacity(); i++)
    uncounted(packet(static_cast<uint16_t>(1000 + i), 100 * kSecond + i));
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].end, FM_END_RESOURCES);
  // It is the older one, but the kernel still counts it. Its packets until the close would be in no
  // row.
  EXPECT_TRUE(flows.knows(1));
  send(1, packet(1000, 101 * kSecond));
  close(1, 1000, 2, FM_END_INPUT);
  ASSERT_EQ(sink.rows.size(), 2u);
  EXPECT_EQ(sink.rows[1].packets, 2u);
  EXPECT_EQ(flows.packets_without_timing(), 0u);
}

TEST_F(CloseRequestsTest, AnUncountedPacketOfNoKnownFlowIsAFlow) {
  uncounted(packet(1000, 1 * kSecond));
  uncounted(packet(1000, 2 * kSecond));
  EXPECT_EQ(flows.open_flows(), 1u);
  const auto requests = due(300 * kSecond);
  ASSERT_EQ(requests.size(), 1u);
  close(requests[0].flow_id, 1000, 0, FM_END_EVICTED);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 2u);
  EXPECT_EQ(flows.evicted(), 0u) << "the kernel never had it";
}

TEST_F(CloseRequestsTest, AtTheEndEveryFlowIsAskedForByForce) {
  open(1, packet(1000, kSecond));
  open(2, packet(1001, kSecond));
  std::vector<fm_close_request> requests;
  flows.request_close(FM_END_INPUT, requests);
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[1].action, fm_close_force(FM_END_INPUT));
}

}  // namespace
}  // namespace flowmeter::live_flows_testing
