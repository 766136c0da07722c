// SPDX-License-Identifier: BSD-3-Clause
// The conditions that end a flow, on each limit and 1 ns beyond it; and what the next flow
// inherits.
#include "flowmeter/flow.h"

#include <gtest/gtest.h>

namespace {

constexpr uint64_t kS = FM_SECOND_NS;
const fm_settings kDefaults = fm_default_settings();

struct State {
  uint64_t first_ns = 0;
  uint64_t last_ns = 0;
  uint8_t fin_seen = 0;
  uint8_t rst_seen = 0;
};

struct RowOfFate {
  const char* claim;
  uint8_t protocol;
  State state;
  uint64_t time_ns;
  uint8_t flags;
  fm_end_reason expected;
};

fm_flow_counters counters(const State& s) {
  fm_flow_counters c{};
  c.first_ns = s.first_ns;
  c.last_ns = s.last_ns;
  c.fin_seen = s.fin_seen;
  c.rst_seen = s.rst_seen;
  return c;
}

fm_packet packet(uint8_t protocol, uint64_t time_ns, uint8_t flags) {
  fm_packet p{};
  p.key.protocol = protocol;
  p.time_ns = time_ns;
  p.flags = flags;
  p.transport_header_bytes = protocol == FM_TCP ? 20 : 8;
  return p;
}

constexpr fm_end_reason kBelongs = FM_END_NONE;

TEST(Flow, Fate) {
  const uint64_t active = 1800 * kS;
  const RowOfFate rows[] = {
      {"TCP: on the idle time-out", FM_TCP, {0, 9}, 9 + 240 * kS, FM_ACK, kBelongs},
      {"TCP: beyond it", FM_TCP, {0, 9}, 10 + 240 * kS, FM_ACK, FM_END_IDLE},
      {"UDP: on it", FM_UDP, {0, 9}, 9 + 240 * kS, 0, kBelongs},
      {"UDP: beyond it", FM_UDP, {0, 9}, 10 + 240 * kS, 0, FM_END_IDLE},
      {"ICMP: on it", FM_ICMP, {0, 9}, 9 + 60 * kS, 0, kBelongs},
      {"ICMP: beyond it", FM_ICMP, {0, 9}, 10 + 60 * kS, 0, FM_END_IDLE},
      {"ICMPv6: on it", FM_ICMPV6, {0, 9}, 9 + 60 * kS, 0, kBelongs},
      {"ICMPv6: beyond it", FM_ICMPV6, {0, 9}, 10 + 60 * kS, 0, FM_END_IDLE},
      {"reset: on the linger time", FM_TCP, {0, 9, 0, 1}, 9 + 5 * kS, FM_ACK, kBelongs},
      {"reset: beyond it", FM_TCP, {0, 9, 0, 1}, 10 + 5 * kS, FM_ACK, FM_END_IDLE},
      {"both FINs: on it", FM_TCP, {0, 9, 3}, 9 + 5 * kS, FM_ACK, kBelongs},
      {"both FINs: beyond it", FM_TCP, {0, 9, 3}, 10 + 5 * kS, FM_ACK, FM_END_IDLE},
      {"one FIN has the long time-out", FM_TCP, {0, 9, 1}, 9 + 240 * kS, FM_ACK, kBelongs},
      {"one FIN: beyond it", FM_TCP, {0, 9, 2}, 10 + 240 * kS, FM_ACK, FM_END_IDLE},
      {"SYN on a closed flow", FM_TCP, {0, 9, 3}, 9, FM_SYN, FM_END_REOPENED},
      {"SYN with ECE and CWR on a closed flow",
       FM_TCP,
       {0, 9, 3},
       9,
       FM_SYN | FM_ECE | FM_CWR,
       FM_END_REOPENED},
      {"SYN with RST on a reset flow", FM_TCP, {0, 9, 0, 1}, 9, FM_SYN | FM_RST, FM_END_REOPENED},
      {"SYN-ACK on a closed flow belongs to it", FM_TCP, {0, 9, 3}, 9, FM_SYN | FM_ACK, kBelongs},
      {"SYN stamped before the closed flow's latest",
       FM_TCP,
       {5, 9, 3},
       3,
       FM_SYN,
       FM_END_REOPENED},
      {"SYN on an open flow belongs to it", FM_TCP, {0, 9}, 9, FM_SYN, kBelongs},
      {"SYN on a half closed flow belongs to it", FM_TCP, {0, 9, 1}, 9, FM_SYN, kBelongs},
      {"on the active time-out", FM_TCP, {7, active}, 7 + active, FM_ACK, kBelongs},
      {"beyond it", FM_TCP, {7, active}, 8 + active, FM_ACK, FM_END_ACTIVE},
      {"UDP: beyond it", FM_UDP, {7, active}, 8 + active, 0, FM_END_ACTIVE},
      {"idle before active", FM_UDP, {0, active}, active + 240 * kS + 1, 0, FM_END_IDLE},
      {"idle before SYN", FM_TCP, {0, 9, 3}, 10 + 5 * kS, FM_SYN, FM_END_IDLE},
      {"SYN before active", FM_TCP, {0, active, 3}, active + 1, FM_SYN, FM_END_REOPENED},
      {"active of a closed flow", FM_TCP, {0, active, 3}, active + 1, FM_ACK, FM_END_ACTIVE},
      {"a stamp before the flow's first belongs to it",
       FM_UDP,
       {900 * kS, 901 * kS},
       0,
       0,
       kBelongs},
      {"stamps beyond 2^63", FM_UDP, {~0ull - 10, ~0ull - 5}, ~0ull, 0, kBelongs},
  };
  for (const RowOfFate& row : rows) {
    const fm_flow_counters c = counters(row.state);
    const fm_packet p = packet(row.protocol, row.time_ns, row.flags);
    EXPECT_EQ(fm_flow_ended(&c, &p, &kDefaults), row.expected) << row.claim;
  }
}

TEST(Flow, SettingsAreTheLimits) {
  fm_settings s = kDefaults;
  s.idle_timeout_ns = 10;
  s.icmp_idle_timeout_ns = 20;
  s.tcp_linger_ns = 30;
  s.active_timeout_ns = 40;
  const auto ended = [&](uint8_t protocol, State state, uint64_t time_ns) {
    const fm_flow_counters c = counters(state);
    const fm_packet p = packet(protocol, time_ns, 0);
    return fm_flow_ended(&c, &p, &s);
  };
  EXPECT_EQ(ended(FM_UDP, {0, 0}, 10), kBelongs);
  EXPECT_EQ(ended(FM_UDP, {0, 0}, 11), FM_END_IDLE);
  EXPECT_EQ(ended(FM_ICMP, {0, 0}, 20), kBelongs);
  EXPECT_EQ(ended(FM_ICMP, {0, 0}, 21), FM_END_IDLE);
  EXPECT_EQ(ended(FM_TCP, {0, 0, 3}, 30), kBelongs);
  EXPECT_EQ(ended(FM_TCP, {0, 0, 3}, 31), FM_END_IDLE);
  EXPECT_EQ(ended(FM_UDP, {0, 35}, 40), kBelongs);
  EXPECT_EQ(ended(FM_UDP, {0, 35}, 41), FM_END_ACTIVE);
}

TEST(Flow, Inheritance) {
  fm_flow_counters c = counters({0, 9, 2, 1});
  c.forward_direction = 1;
  fm_packet p = packet(FM_TCP, 10, 0);
  p.direction = 0;
  for (const fm_end_reason ended : {FM_END_IDLE, FM_END_REOPENED, FM_END_NONE}) {
    const fm_inheritance i = fm_flow_inheritance(&c, &p, ended);
    EXPECT_EQ(i.forward_direction, 0) << "oriented by this packet";
    EXPECT_EQ(i.fin_seen, 0);
    EXPECT_EQ(i.rst_seen, 0);
  }
  const fm_inheritance i = fm_flow_inheritance(&c, &p, FM_END_ACTIVE);
  EXPECT_EQ(i.forward_direction, 1);
  EXPECT_EQ(i.fin_seen, 2);
  EXPECT_EQ(i.rst_seen, 1);
}

TEST(Flow, ThePacketThatClosesBelongs) {
  fm_flow f{};
  fm_packet p = packet(FM_TCP, 5, FM_RST);
  fm_flow_counters_begin(&f.counters, &p, fm_flow_inheritance(nullptr, &p, FM_END_NONE));
  fm_flow_update(&f, &p, &kDefaults);
  EXPECT_TRUE(fm_flow_closed(&f.counters));
  EXPECT_EQ(fm_flow_packets(&f.counters), 1u);
  EXPECT_EQ(f.timing.packets, 1u);
  EXPECT_EQ(f.counters.first_ns, 5u);
}

}  // namespace
