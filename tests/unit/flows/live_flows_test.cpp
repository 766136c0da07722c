// SPDX-License-Identifier: BSD-3-Clause
// LiveFlows against a kernel made of records: the order of records, losses, evictions, and who asks
// for what.
#include "flows/live_flows.h"

#include <gtest/gtest.h>

#include <vector>

namespace flowmeter {
namespace {

struct Row {
  uint64_t packets;
  uint64_t gaps;
  fm_end_reason end;
  int64_t start_s;
  uint64_t duration_ns;
};

// Of every packet here.
constexpr uint32_t kPayload = 7, kHeader = 20;

class Rows final : public RecordSink {
 public:
  void write(const FlowRecord& record) override {
    // Whatever became of records: a row's sizes are of the packets that its counters have.
    for (int end = 0; end < 2; end++) {
      const uint64_t packets = record.flow.counters.direction[end].length.count;
      const fm_direction_sizes& sizes = record.sizes->direction[end];
      EXPECT_EQ(sizes.header_bytes, packets * kHeader);
      EXPECT_EQ(sizes.payload_squares_low, packets * kPayload * kPayload);
      EXPECT_EQ(sizes.payload_max, packets ? kPayload : 0);
      EXPECT_EQ(record.flow.counters.transport_header_min[end], packets ? kHeader : 0);
    }
    rows.push_back({fm_flow_packets(&record.flow.counters), record.flow.timing.gaps.count,
                    record.end,
                    static_cast<int64_t>(record.clock.unix_s) +
                        static_cast<int64_t>(record.flow.counters.first_ns / FM_SECOND_NS),
                    record.duration_ns()});
    initial_window = record.flow.counters.direction[0].initial_window;
  }
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }
  std::vector<Row> rows;
  uint16_t initial_window = 0;  // of the last row
};

fm_flow_key key_of(uint16_t port) {
  fm_flow_key key{{fm_address_ipv4(1), fm_address_ipv4(2)}, {}, 0, 0, 0, 0};
  fm_key_set_ports(&key, port, 80, FM_TCP, 4);
  return key;
}

class LiveFlowsTest : public ::testing::Test {
 protected:
  fm_packet packet(uint16_t port, uint64_t time_ns, uint8_t flags = FM_ACK,
                   uint16_t window = kWindow) {
    fm_packet p{};
    p.window = window;
    p.key = key_of(port);
    p.time_ns = time_ns;
    p.wire_length = 61;
    p.header_bytes = 40;
    p.payload_bytes = kPayload;
    p.flags = flags;
    p.transport_header_bytes = kHeader;
    return p;
  }

  // what: FM_RECORD_NEW_ENTRY, unless the map's entry of this key goes on with another flow.
  void open(uint64_t id, const fm_packet& p, uint8_t what = FM_RECORD_NEW_ENTRY) {
    fm_open_record record{};
    fm_packet_to_record(&record.packet, &p, id, static_cast<uint8_t>(FM_RECORD_OPEN | what));
    record.key = p.key;
    record.inherited.forward_direction = p.direction;
    flows.take(&record, sizeof(record));
  }
  void send(uint64_t id, const fm_packet& p) {
    fm_packet_record record{};
    fm_packet_to_record(&record, &p, id, FM_RECORD_PACKET);
    flows.take(&record, sizeof(record));
  }
  void uncounted(const fm_packet& p) {
    fm_open_record record{};
    fm_packet_to_record(&record.packet, &p, 0, FM_RECORD_UNCOUNTED);
    record.key = p.key;
    flows.take(&record, sizeof(record));
  }
  // packets: what the kernel counted.
  void close(uint64_t id, uint16_t port, uint64_t packets, fm_end_reason end,
             bool announced = false) {
    tell(FM_RECORD_CLOSED, id, port, packets, end, announced);
  }
  void state(uint64_t id, uint16_t port, uint64_t packets, bool announced = true) {
    tell(FM_RECORD_STATE, id, port, packets, FM_END_NONE, announced);
  }
  void tell(uint8_t what, uint64_t id, uint16_t port, uint64_t packets, fm_end_reason end,
            bool announced) {
    fm_state_record record{};
    record.head.flow_id = id;
    record.head.what = what;
    record.key = key_of(port);
    record.end = static_cast<__u8>(end);
    record.announced = announced;
    record.events_lost = 1;  // if the counts differ
    for (uint64_t i = 0; i < packets; i++) {
      const fm_packet p = packet(port, kSecond + i);
      if (i == 0) fm_flow_counters_begin(&record.counters, &p, {p.direction, 0, 0});
      fm_flow_sizes_update(&record.sizes_only, &record.counters, &p);
      fm_flow_counters_update(&record.counters, &p);
    }
    flows.take(&record, sizeof(record));
    flows.settle();
  }
  std::vector<fm_close_request> due(uint64_t now_ns) {
    std::vector<fm_close_request> requests;
    flows.settle();
    flows.request_due(now_ns, requests);
    return requests;
  }

  static constexpr uint64_t kSecond = FM_SECOND_NS;
  static constexpr uint16_t kWindow = 100;
  Rows sink;
  static fm_settings settings() {
    fm_settings s = fm_default_settings();
    s.with_sizes = 1;
    return s;
  }
  LiveFlows flows{settings(), 64, sink};
};

// Of packets that the kernel could not count, and those that it could, with some records lost.
TEST_F(LiveFlowsTest, TheFirstWindowIsTheFirstPackets) {
  open(1, packet(1000, 1 * kSecond));
  uncounted(packet(1000, 2 * kSecond, FM_ACK, 9));
  close(1, 1000, 3, FM_END_INPUT, true);
  EXPECT_EQ(sink.rows.back().packets, 4u);
  EXPECT_EQ(sink.initial_window, kWindow) << "the other came later";

  uncounted(packet(2000, 1 * kSecond, FM_ACK, 9));
  open(2, packet(2000, 2 * kSecond));
  close(2, 2000, 3, FM_END_INPUT, true);
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
  EXPECT_EQ(flows.unplaced(), 1u);
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
  state(1, 1000, 3, false);
  EXPECT_EQ(flows.open_packets(), 3u);
  send(1, packet(1000, 2 * kSecond));
  close(1, 1000, 4, FM_END_IDLE, true);
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
  close(1, 1000, 3, FM_END_RESOURCES, true);
  EXPECT_EQ(sink.rows.size(), 1u);
  EXPECT_FALSE(flows.knows(1));
}

TEST_F(LiveFlowsTest, AFlowWhoseOpeningWasLostIsTakenOver) {
  state(1, 1000, 3);
  EXPECT_EQ(flows.open_packets(), 3u);
  close(1, 1000, 4, FM_END_IDLE, true);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].packets, 4u);
  EXPECT_EQ(flows.packets_without_timing(), 4u);
}

TEST_F(LiveFlowsTest, AnotherDaemonsFlowsGoOn) {
  flows.set_resuming(true);
  send(1, packet(1000, 1 * kSecond));  // of a flow whose state comes below: it has it
  close(2, 1001, 7, FM_END_REOPENED, true);
  state(1, 1000, 3);
  flows.set_resuming(false);
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

TEST_F(LiveFlowsTest, AsksForAFlowAfterItsIdleTimeoutAndAgainUntilItIsAnswered) {
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

TEST_F(LiveFlowsTest, AClosedTcpFlowIsAskedForAfterItsLinger) {
  open(1, packet(1000, 1 * kSecond));
  due(2 * kSecond);
  send(1, packet(1000, 2 * kSecond, FM_RST));
  EXPECT_TRUE(due(7 * kSecond).empty());
  EXPECT_EQ(due(7 * kSecond + kSecond / 2).size(), 1u);
}

TEST_F(LiveFlowsTest, ATableBelowItsLimitIsLeftAlone) {
  for (uint16_t i = 0; i < 64; i++) open(i + 1u, packet(static_cast<uint16_t>(1000 + i), kSecond));
  EXPECT_TRUE(due(2 * kSecond).empty());
}

TEST_F(LiveFlowsTest, AboveTheLimitAsManyAsAreTooManyAreAskedForTheLongestSilentFirst) {
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

TEST_F(LiveFlowsTest, PacketsSpareAFlowForOnesThatCameLaterAndHaveFewer) {
  open(1, packet(1000, kSecond));
  for (int i = 0; i < 20; i++) send(1, packet(1000, kSecond));
  for (uint16_t i = 1; i < 80; i++)
    open(i + 1u, packet(static_cast<uint16_t>(1000 + i), 10 * kSecond));
  for (const fm_close_request& request : due(11 * kSecond)) EXPECT_NE(request.flow_id, 1u);
  EXPECT_EQ(due(11 * kSecond + 1).size(), 0u) << "as many as are too many are asked for";
}

TEST_F(LiveFlowsTest, AFlowSilentForLongerThanItsCreditMakesRoom) {
  open(1, packet(1000, kSecond));
  for (int i = 0; i < 1000; i++) send(1, packet(1000, kSecond));
  for (uint16_t i = 1; i < 65; i++)
    open(i + 1u, packet(static_cast<uint16_t>(1000 + i), 100 * kSecond));
  const auto requests = due(101 * kSecond);
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].flow_id, 1u);
}

// With datapath "kernel" nothing is heard of a flow but its first packet: whether it is busy is
// asked first, and nobody is closed in its place while the answer is on its way.
TEST_F(LiveFlowsTest, WhatTheKernelKnowsAloneIsAskedForBeforeAFlowMakesRoom) {
  LiveFlows kernel{fm_default_settings(), 64, sink, true};
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

TEST_F(LiveFlowsTest, AFullTableWritesAFlowForANewOneAndHasTheKernelForgetIt) {
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

TEST_F(LiveFlowsTest, AFullTableKeepsTheFlowsThatTheKernelCounts) {
  open(1, packet(1000, kSecond));
  for (uint32_t i = 1; i <= flows.capacity(); i++)
    uncounted(packet(static_cast<uint16_t>(1000 + i), 100 * kSecond + i));
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].end, FM_END_RESOURCES);
  // The older one, but the kernel goes on counting it: what comes of it until it is closed there
  // would be in no row.
  EXPECT_TRUE(flows.knows(1));
  send(1, packet(1000, 101 * kSecond));
  close(1, 1000, 2, FM_END_INPUT);
  ASSERT_EQ(sink.rows.size(), 2u);
  EXPECT_EQ(sink.rows[1].packets, 2u);
  EXPECT_EQ(flows.unplaced(), 0u);
}

TEST_F(LiveFlowsTest, AnUncountedPacketOfNoKnownFlowIsAFlow) {
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

TEST_F(LiveFlowsTest, AtTheEndEveryFlowIsAskedForByForce) {
  open(1, packet(1000, kSecond));
  open(2, packet(1001, kSecond));
  std::vector<fm_close_request> requests;
  flows.request_all(FM_END_INPUT, requests);
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[1].action, fm_close_force(FM_END_INPUT));
}

}  // namespace
}  // namespace flowmeter
