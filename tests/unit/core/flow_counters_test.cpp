// SPDX-License-Identifier: BSD-3-Clause
#include "flowmeter/flow_counters.h"

#include <gtest/gtest.h>

#include "flowmeter/flow.h"

namespace {

fm_packet packet(uint64_t time_ns, uint8_t direction, uint32_t length, uint32_t payload) {
  fm_packet p{};
  p.time_ns = time_ns;
  p.direction = direction;
  p.wire_length = length;
  p.payload_bytes = payload;
  p.header_bytes = 40;
  return p;
}

fm_packet tcp(uint64_t time_ns, uint8_t direction, uint8_t flags, uint16_t window = 1) {
  fm_packet p = packet(time_ns, direction, 54, 0);
  p.key.protocol = FM_TCP;
  p.transport_header_bytes = 20;
  p.flags = flags;
  p.window = window;
  return p;
}

fm_flow_counters counters(std::initializer_list<fm_packet> packets) {
  fm_flow_counters c{};
  bool first = true;
  for (const fm_packet& p : packets) {
    if (first) fm_flow_counters_begin(&c, &p, {p.direction, 0, 0});
    first = false;
    fm_flow_counters_update(&c, &p);
  }
  return c;
}

TEST(FlowCounters, CountsByTheEndThatSent) {
  const auto c = counters({packet(10, 1, 100, 40), packet(20, 0, 60, 0), packet(30, 1, 80, 20)});
  EXPECT_EQ(fm_flow_packets(&c), 3u);
  EXPECT_EQ(c.direction[1].length.count, 2u);
  EXPECT_EQ(c.direction[1].length.sum, 180u);
  EXPECT_EQ(c.direction[1].length.sum_of_squares.low, 100u * 100 + 80u * 80);
  EXPECT_EQ(c.direction[1].length.min, 80u);
  EXPECT_EQ(c.direction[1].length.max, 100u);
  EXPECT_EQ(c.direction[1].header_bytes, 80u);
  EXPECT_EQ(c.direction[1].payload_bytes, 60u);
  EXPECT_EQ(c.direction[1].payload_min, 20u);
  EXPECT_EQ(c.direction[1].data_packets, 2u);
  EXPECT_EQ(c.direction[0].length.count, 1u);
  EXPECT_EQ(c.direction[0].payload_min, 0u);
  EXPECT_EQ(c.direction[0].data_packets, 0u);
  EXPECT_EQ(c.forward_direction, 1);
  EXPECT_EQ(c.first_ns, 10u);
  EXPECT_EQ(c.last_ns, 30u);
}

TEST(FlowCounters, LatestTimeNeverRunsBack) {
  const auto c = counters({packet(50, 0, 60, 0), packet(70, 0, 60, 0), packet(40, 1, 60, 0)});
  EXPECT_EQ(c.first_ns, 50u);
  EXPECT_EQ(c.last_ns, 70u);
  EXPECT_EQ(fm_flow_time(&c, 60), 70u);
  EXPECT_EQ(fm_flow_time(&c, 80), 80u);
}

TEST(FlowCounters, LeastPayloadOfAFirstPacketWithPayload) {
  const auto c = counters({packet(0, 0, 60, 9), packet(0, 0, 60, 12)});
  EXPECT_EQ(c.direction[0].payload_min, 9u);
}

TEST(FlowCounters, EachFlagBitHasItsCounter) {
  for (unsigned bit = 0; bit < 8; bit++) {
    SCOPED_TRACE(bit);
    const auto flag = static_cast<uint8_t>(1u << bit);
    const auto c = counters({tcp(0, 1, flag), tcp(0, 1, flag), tcp(0, 0, 0)});
    for (unsigned n = 0; n < FM_COMMON_FLAGS; n++)
      EXPECT_EQ(c.direction[1].flag_packets[n], n == bit ? 2u : 0u);
    EXPECT_EQ(c.ece_packets[1], bit == 6 ? 2u : 0u);
    EXPECT_EQ(c.cwr_packets[1], bit == 7 ? 2u : 0u);
    EXPECT_EQ(c.direction[0].flag_packets[bit % FM_COMMON_FLAGS], 0u);
    EXPECT_EQ(c.ece_packets[0] + c.cwr_packets[0], 0u);
  }
}

TEST(FlowCounters, AllFlagsOfOnePacket) {
  const auto c = counters({tcp(0, 0, 0xff)});
  for (unsigned n = 0; n < FM_COMMON_FLAGS; n++) EXPECT_EQ(c.direction[0].flag_packets[n], 1u);
  EXPECT_EQ(c.ece_packets[0], 1u);
  EXPECT_EQ(c.cwr_packets[0], 1u);
}

TEST(FlowCounters, WindowOfTheFirstPacketWithATcpHeader) {
  auto c = counters({tcp(0, 0, FM_SYN, 0), tcp(0, 0, FM_ACK, 500), tcp(0, 1, FM_ACK, 700)});
  EXPECT_EQ(c.direction[0].initial_window, 0) << "a window of 0 is a window";
  EXPECT_EQ(c.direction[1].initial_window, 700);
  fm_packet later_fragment = packet(0, 0, 60, 26);
  c = counters({later_fragment, tcp(0, 0, FM_ACK, 500)});
  EXPECT_EQ(c.direction[0].initial_window, 500) << "a later fragment has no window";
}

TEST(FlowCounters, Closed) {
  struct Case {
    const char* claim;
    std::initializer_list<fm_packet> packets;
    bool closed;
  };
  const Case cases[] = {
      {"open", {tcp(0, 0, FM_SYN), tcp(1, 1, FM_SYN | FM_ACK)}, false},
      {"one FIN", {tcp(0, 0, FM_FIN)}, false},
      {"FIN twice from one end", {tcp(0, 0, FM_FIN), tcp(1, 0, FM_FIN)}, false},
      {"FIN from both", {tcp(0, 0, FM_FIN), tcp(1, 1, FM_FIN | FM_ACK)}, true},
      {"RST from end 0", {tcp(0, 0, FM_RST)}, true},
      {"RST from end 1", {tcp(0, 0, 0), tcp(1, 1, FM_RST)}, true},
  };
  for (const Case& c : cases) {
    const auto state = counters(c.packets);
    EXPECT_EQ(fm_flow_closed(&state) != 0, c.closed) << c.claim;
  }
}

TEST(FlowCounters, LargeLengths) {
  const auto c = counters({packet(0, 0, 0xffffffff, 0xffffffff), packet(0, 0, 0xffffffff, 0)});
  EXPECT_EQ(c.direction[0].length.sum, 2 * uint64_t{0xffffffff});
  EXPECT_EQ(c.direction[0].payload_bytes, uint64_t{0xffffffff});
}

}  // namespace
