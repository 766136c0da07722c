// SPDX-License-Identifier: BSD-3-Clause
// The screen's text at any size, and the largest flows of a table.
#include "view/live_view.h"

#include <gtest/gtest.h>

#include <set>

namespace flowmeter {
namespace {

class NoRows final : public RecordSink {
 public:
  void write(const FlowRecord&) override {}
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }
};

class TopFlowsTest : public ::testing::Test {
 protected:
  // A packet that opens a flow; later ones of the same port are of that flow.
  void packet(uint16_t port, uint32_t wire_length, bool ipv6 = false) {
    fm_packet p{};
    fm_address a = fm_address_ipv4(port), b = fm_address_ipv4(0);
    if (ipv6) a.words[0] = a.words[1] = b.words[1] = ~uint64_t{0};
    p.key = {{a, b}, {}, 0, 0, 0, 0};
    p.direction = fm_key_set_ports(&p.key, port, 80, FM_TCP, ipv6 ? 6 : 4);
    p.time_ns = ++now_ns;
    p.wire_length = wire_length;
    const bool first = opened_.insert(port).second;
    if (!first) {
      fm_packet_record record;
      fm_packet_to_record(&record, &p, port, FM_RECORD_PACKET);
      flows.take(&record, sizeof(record));
    } else {
      fm_open_record record{};
      fm_packet_to_record(&record.packet, &p, port, FM_RECORD_OPEN_NEW);
      record.inherited.forward_direction = p.direction;
      record.key = p.key;
      flows.take(&record, sizeof(record));
    }
    flows.settle();
  }
  std::vector<uint64_t> pass() {
    while (!top.step(flows, ++now_ns)) {
    }
    std::vector<uint64_t> ids;
    for (const TopFlow& flow : top.flows()) ids.push_back(flow.id);
    return ids;
  }

  uint64_t now_ns = 0;
  NoRows sink;
  LiveFlows flows{fm_default_settings(), 100'000, sink};
  TopFlows top;

 private:
  std::set<uint16_t> opened_;
};

TEST_F(TopFlowsTest, AreByBytesOrPackets) {
  packet(1, 100), packet(2, 300), packet(3, 200), packet(4, 50);
  packet(1, 20), packet(1, 20);
  top.set_count(3);
  EXPECT_EQ(pass(), (std::vector<uint64_t>{2, 3, 1}));
  EXPECT_EQ(top.flows()[2].bytes, 140u);
  EXPECT_EQ(top.flows()[2].packets, 3u);
  top.set_order(TopOrder::kPackets);
  EXPECT_EQ(top.flows()[0].id, 1u) << "what is shown is sorted at once";
  EXPECT_EQ(pass(), (std::vector<uint64_t>{1, 2, 3}));
  top.set_count(0);
  EXPECT_TRUE(pass().empty());
}

TEST_F(TopFlowsTest, HaveTheRateSinceThePassBefore) {
  packet(1, 100);
  now_ns = FM_SECOND_NS;
  pass();
  EXPECT_FALSE(top.flows()[0].bits_per_s) << "met for the first time";
  packet(1, 1000);
  now_ns += 2 * FM_SECOND_NS - 2;
  pass();
  ASSERT_TRUE(top.flows()[0].bits_per_s);
  EXPECT_NEAR(*top.flows()[0].bits_per_s, 4000, 1);
}

TEST_F(TopFlowsTest, APassLooksAtEveryFlowInBoundedSteps) {
  constexpr unsigned kFlows = 3 * TopFlows::kStep + 7;
  for (unsigned i = 1; i <= kFlows; i++) packet(static_cast<uint16_t>(i), 60 + i);
  top.set_count(5);
  for (int turn = 0; turn < 2; turn++) {
    unsigned steps = 1;
    while (!top.step(flows, now_ns)) steps++;
    EXPECT_EQ(steps, 4u);
    ASSERT_EQ(top.flows().size(), 5u);
    for (unsigned i = 0; i < 5; i++) EXPECT_EQ(top.flows()[i].id, kFlows - i);
  }
  top.step(flows, now_ns);
  top.set_order(TopOrder::kPackets);
  EXPECT_FALSE(top.step(flows, now_ns)) << "another order starts a new pass";
}

TEST(ShortNumber, HasThreeDigits) {
  struct Row {
    double value;
    const char* text;
  };
  for (const Row& row :
       {Row{0, "0"}, Row{999, "999"}, Row{999.4, "999"}, Row{999.5, "1.00k"}, Row{1234, "1.23k"},
        Row{9994, "9.99k"}, Row{9996, "10.0k"}, Row{99'949, "99.9k"}, Row{99'951, "100k"},
        Row{999'499, "999k"}, Row{999'501, "1.00M"}, Row{1.8e19, "18.0E"}})
    EXPECT_EQ(short_number(row.value), row.text) << row.value;
}

class ViewLines : public TopFlowsTest {
 protected:
  ViewLines() {
    before.now_ns = FM_SECOND_NS;
    now.now_ns = 2 * FM_SECOND_NS;
    now.interfaces.push_back({"eth0", {{2'000, 3'000'000}, {10, 1'000}}});
    before.interfaces.push_back({"eth0", {{1'000, 1'000'000}, {10, 500}}});
    now.interfaces.push_back({"veth-with-a-\033[31mname", {{5, 500}, {0, 0}}});
    now.account.seen = 2'015;
    now.account.by_class[FM_METERED] = 2'000;
    now.account.by_class[FM_MALFORMED] = 15;
    now.losses = {{"events_lost", 3}, {"evicted", 0}};
    now.flows_open = 2;
    packet(1, 1500), packet(2, 100, /*ipv6=*/true);
    pass();
  }
  std::string text(TerminalSize size) {
    std::string joined;
    for (const std::string& line : view_lines(now, before, 0, top, log, size))
      joined += line + '\n';
    return joined;
  }

  ViewCounters now, before;
  std::deque<std::string> log;
};

TEST_F(ViewLines, ShowRatesAccountAndFlows) {
  const std::string shown = text({24, 100});
  for (const char* part : {"eth0 ", "     1.00k     16.0M         0     4.00k\n", "open=2",
                           "seen=2015", "metered=2000", "malformed=15", "not_ip=0", "events_lost=3",
                           "evicted=0", "1.0.0.0:1 ", "[ffff:ffff:ffff", "1.50k", "q quit"})
    EXPECT_NE(shown.find(part), std::string::npos) << part << "\n" << shown;
}

TEST_F(ViewLines, LogStandsAtTheFoot) {
  log = {"one", "two", "three", "four"};
  const auto lines = view_lines(now, before, 0, top, log, {24, 80});
  ASSERT_EQ(lines.size(), 24u);
  EXPECT_EQ(lines[23], "four");
  EXPECT_EQ(lines[21], "two");
}

// Both ends of every flow are of the same container.
class OneContainer final : public OwnerNames {
 public:
  void note_sender(uint32_t, uint64_t, uint64_t) override {}
  EndOwner name(const EndTrace&) override {
    EndOwner owner;
    owner.pod_name = "web-1";
    owner.pod_namespace = "shop";
    return owner;
  }
};

TEST_F(TopFlowsTest, NamesOfOwnersStandForAddresses) {
  const auto shown = [&] {
    ViewCounters now;
    std::string joined;
    for (const std::string& line : view_lines(now, now, 0, top, {}, {24, 100}))
      joined += line + '\n';
    return joined;
  };
  OneContainer names;
  flows.set_owner_names(&names);
  packet(3, 700), packet(4, 300);
  pass();
  EXPECT_NE(shown().find(" shop/web-1:3 "), std::string::npos) << shown();
  EXPECT_NE(shown().find("c containers"), std::string::npos) << shown();
  top.set_by_owner(true);
  pass();
  EXPECT_NE(shown().find("\nshop/web-1 "), std::string::npos) << shown();
  EXPECT_NE(shown().find("c flows"), std::string::npos) << shown();
  ASSERT_EQ(top.owners().size(), 1u);
  EXPECT_EQ(top.owners()[0].flows, 4u);  // both ends of two
  EXPECT_EQ(top.owners()[0].sent_bytes, 1000u);
  EXPECT_EQ(top.owners()[0].received_bytes, 1000u);
}

TEST_F(ViewLines, FitAnyScreen) {
  log = {std::string(300, 'x'), "two"};
  for (int i = 0; i < 50; i++) now.interfaces.push_back({"veth" + std::to_string(i), {}});
  for (unsigned rows = 1; rows < 60; rows++)
    for (unsigned columns = 1; columns < 140; columns++) {
      const auto lines = view_lines(now, before, 0, top, log, {rows, columns});
      ASSERT_LE(lines.size(), rows) << columns;
      for (const std::string& line : lines) {
        const size_t shown =
            line.size() - (line.starts_with(Terminal::kInverse) ? Terminal::kInverse.size() : 0);
        ASSERT_LE(shown, columns) << rows << ": " << line;
      }
    }
}

TEST_F(ViewLines, ANarrowScreenLeavesOutWhatIsZero) {
  const std::string shown = text({20, 20});
  EXPECT_NE(shown.find("malformed=15"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("not_ip"), std::string::npos) << shown;
  EXPECT_NE(shown.find("1.50k"), std::string::npos) << shown;
}

}  // namespace
}  // namespace flowmeter
