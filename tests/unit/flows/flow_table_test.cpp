// SPDX-License-Identifier: BSD-3-Clause
// Where flows start and end in the table of a replay, and what happens when it is full.
#include "flows/flow_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "support/replay_rows.h"

namespace flowmeter {
namespace {

struct Written {
  uint16_t port;
  fm_end_reason end;
  uint64_t packets;
  ClockOrigin clock;
  uint64_t first_ns;
};

class Rows final : public RecordSink {
 public:
  void write(const FlowRecord& r) override {
    rows.push_back({r.key.port[0], r.end, fm_flow_packets(&r.flow.counters), r.clock,
                    r.flow.counters.first_ns});
  }
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }

  std::vector<Written> rows;
};

// A UDP packet of flow number `port`.
fm_packet packet(uint16_t port, uint64_t time_ns, uint8_t direction = 0) {
  fm_packet p{};
  p.key.address[0].words[0] = 1;
  p.key.address[1].words[0] = 2;
  p.key.port[0] = port;
  p.key.protocol = FM_UDP;
  p.key.ip_version = 4;
  p.time_ns = time_ns;
  p.direction = direction;
  p.wire_length = 60;
  return p;
}

void add(FlowTable& table, const fm_packet& p) {
  table.add(p, table.hash(p));
}

constexpr uint64_t kS = FM_SECOND_NS;
const fm_settings kDefaults = fm_default_settings();

TEST(FlowTable, OneFlowPerKey) {
  Rows sink;
  FlowTable table(kDefaults, 10, sink);
  for (uint16_t port = 1; port <= 3; port++) {
    add(table, packet(port, port));
    add(table, packet(port, 10, 1));
  }
  EXPECT_EQ(table.open_flows(), 3u);
  EXPECT_TRUE(sink.rows.empty()) << "a row is written when no further packet can belong to it";
  table.finish(FM_END_INPUT);
  ASSERT_EQ(sink.rows.size(), 3u);
  for (size_t i = 0; i < 3; i++) {
    EXPECT_EQ(sink.rows[i].port, i + 1) << "in the order of first packets";
    EXPECT_EQ(sink.rows[i].packets, 2u);
    EXPECT_EQ(sink.rows[i].end, FM_END_INPUT);
  }
  EXPECT_EQ(table.flows_written(), 3u);
  EXPECT_EQ(table.packets_written(), 6u);
  EXPECT_EQ(table.forced_out(), 0u);
}

TEST(FlowTable, IdleSplits) {
  Rows sink;
  FlowTable table(kDefaults, 10, sink);
  add(table, packet(1, 0));
  add(table, packet(1, 240 * kS));
  EXPECT_TRUE(sink.rows.empty());
  add(table, packet(1, 480 * kS + 1));
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].end, FM_END_IDLE);
  EXPECT_EQ(sink.rows[0].packets, 2u);
  EXPECT_EQ(table.open_flows(), 1u);
  table.finish(FM_END_INPUT);
  EXPECT_EQ(sink.rows[1].packets, 1u);
  EXPECT_EQ(sink.rows[1].first_ns, 480 * kS + 1);
}

TEST(FlowTable, ASplitFlowStartsFromZero) {
  Rows sink;
  FlowTable table(kDefaults, 10, sink);
  for (int flow = 0; flow < 3; flow++)
    for (int i = 0; i < 4; i++) add(table, packet(1, static_cast<uint64_t>(flow) * 1000 * kS));
  table.finish(FM_END_INPUT);
  ASSERT_EQ(sink.rows.size(), 3u);
  for (const Written& row : sink.rows) EXPECT_EQ(row.packets, 4u);
}

TEST(FlowTable, FullTableForcesOneOut) {
  Rows sink;
  FlowTable table(kDefaults, 4, sink);
  for (uint16_t port = 1; port <= 4; port++) add(table, packet(port, port));
  add(table, packet(1, 100));  // now 2 is silent for longest
  add(table, packet(5, 101));
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].port, 2) << "the one silent for longest";
  EXPECT_EQ(sink.rows[0].end, FM_END_RESOURCES);
  EXPECT_EQ(table.forced_out(), 1u);
  EXPECT_EQ(table.open_flows(), 4u);
  add(table, packet(2, 102));  // a new flow on the key of the one forced out
  EXPECT_EQ(table.forced_out(), 2u);
  table.finish(FM_END_INPUT);
  EXPECT_EQ(table.packets_written(), 7u) << "nothing is lost";
}

TEST(FlowTable, FullTableTakesAnIdleOneFirst) {
  Rows sink;
  FlowTable table(kDefaults, 40, sink);
  for (uint16_t port = 1; port <= 40; port++)
    add(table, packet(port, port == 7 ? 0 : 200 * kS + port));
  add(table, packet(41, 300 * kS));
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].port, 7);
}

TEST(FlowTable, NothingIsLostHoweverSmallTheTable) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (const uint32_t capacity : {1u, 2u, 7u, 16u, 17u, 100u}) {
    Rows sink;
    FlowTable table(kDefaults, capacity, sink);
    std::map<uint16_t, uint64_t> sent, written;
    uint64_t now = 0;
    for (int i = 0; i < 20000; i++) {
      const auto port = static_cast<uint16_t>(random() % 150);
      now += random() % (2 * kS);
      add(table, packet(port, now - random() % kS % (now + 1), random() % 2));
      sent[port]++;
      ASSERT_LE(table.open_flows(), capacity);
    }
    table.finish(FM_END_INPUT);
    for (const Written& row : sink.rows) written[row.port] += row.packets;
    EXPECT_EQ(written, sent) << "capacity " << capacity;
    EXPECT_EQ(table.packets_written(), 20000u);
    EXPECT_EQ(table.flows_written(), sink.rows.size());
    uint64_t forced = 0;
    for (const Written& row : sink.rows) forced += row.end == FM_END_RESOURCES;
    EXPECT_EQ(forced, table.forced_out());
    EXPECT_GT(forced, 0u);
  }
}

TEST(FlowTable, Eras) {
  Rows sink;
  FlowTable table(kDefaults, 10, sink);
  table.set_era(0);
  add(table, packet(1, 5));
  table.set_era(1);
  add(table, packet(1, 5));  // 584 years later, with the same 64 bits
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].end, FM_END_IDLE);
  table.set_era(0);
  add(table,
      packet(1, 9));  // back: the clock steps back, and the packet belongs to the flow of era 1
  add(table, packet(2, 9));
  table.finish(FM_END_INPUT);
  ASSERT_EQ(sink.rows.size(), 3u);
  EXPECT_EQ(sink.rows[1].port, 1);
  EXPECT_EQ(sink.rows[1].packets, 2u);
  EXPECT_EQ(sink.rows[1].clock.unix_s, 13'835'058'055);
  EXPECT_EQ(sink.rows[1].clock.unix_ns, 282'163'712u);
  EXPECT_EQ(sink.rows[2].clock.unix_s, -4'611'686'019);
  EXPECT_EQ(sink.rows[2].clock.unix_ns, 572'612'096u);
}

TEST(FlowTable, EraBeforeTheFirst) {
  Rows sink;
  FlowTable table(kDefaults, 10, sink);
  table.set_era(-1);
  add(table, packet(1, ~uint64_t{0}));
  table.finish(FM_END_INPUT);
  EXPECT_EQ(sink.rows[0].clock.unix_s, -23'058'430'093);
  EXPECT_EQ(sink.rows[0].clock.unix_ns, 863'060'480u);
}

TEST(FlowTable, SettingAnEraOfAnEmptyTable) {
  Rows sink;
  FlowTable table(kDefaults, 10, sink);
  table.set_era(7);
  add(table, packet(1, 5));
  add(table, packet(1, 6));
  table.finish(FM_END_INPUT);
  ASSERT_EQ(sink.rows.size(), 1u);
}

}  // namespace
}  // namespace flowmeter
