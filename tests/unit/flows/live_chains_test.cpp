// SPDX-License-Identifier: BSD-3-Clause
// Which flows of a live run continue one flow after active time-outs, whatever records are lost and
// whichever daemon knows them. (features/flow_ids_test.cpp has those of a replay.)
#include "flows/active_chains.h"
#include "flows/flow_state_fixture.h"

namespace flowmeter {
namespace {

using namespace live_flows_testing;
using Starts = std::vector<std::pair<uint64_t, uint64_t>>;

// The active time-out is 1800 s; the packets of a flow are less than 240 s apart.
constexpr uint64_t kActive = 1801 * FM_SECOND_NS;
constexpr uint64_t kA = FM_SECOND_NS, kB = kA + kActive, kC = kB + kActive;

class LiveChains : public FlowStateTest {
 protected:
  // The kernel's record of the end of a flow. at_ns: when; after an active time-out that is when
  // the next flow begins.
  void ended(uint64_t id, uint16_t port, uint64_t first_ns, fm_end_reason end, uint64_t at_ns,
             bool announced = true) {
    fm_state_record record = state_of(id, port);
    record.head.time_ns = at_ns;
    record.head.what = FM_RECORD_CLOSED;
    record.end = static_cast<__u8>(end);
    record.announced = announced;
    tell(record, port, 9, first_ns);
  }
  void told(uint64_t id, uint16_t port, uint64_t first_ns) {
    fm_state_record record = state_of(id, port);
    record.head.what = FM_RECORD_STATE;
    tell(record, port, 9, first_ns);
  }
  // A flow with packets until just before at_ns.
  void begin_until(uint64_t id, uint16_t port, uint64_t first_ns, uint64_t at_ns,
                   uint8_t what = FM_RECORD_NEW_ENTRY) {
    open(id, packet(port, first_ns), what);
    send(id, packet(port, at_ns - FM_SECOND_NS));
    flows.settle();
  }

 private:
  static fm_state_record state_of(uint64_t id, uint16_t port) {
    fm_state_record record{};
    record.head.flow_id = id;
    record.key = key_of(port);
    record.events_lost = 1;
    return record;
  }
};

TEST_F(LiveChains, GoOnThroughActiveTimeouts) {
  begin_until(1, 5, kA, kB);
  ended(1, 5, kA, FM_END_ACTIVE, kB);
  begin_until(2, 5, kB, kC, 0);
  ended(2, 5, kB, FM_END_ACTIVE, kC);
  begin_until(3, 5, kC, kC + kActive, 0);
  ended(3, 5, kC, FM_END_IDLE, kC + 2 * kActive);
  begin_until(4, 5, kC + 2 * kActive, kC + 3 * kActive, 0);
  flows.finish(FM_END_INPUT);
  EXPECT_EQ(sink.starts,
            (Starts{{kA, kA}, {kB, kA}, {kC, kA}, {kC + 2 * kActive, kC + 2 * kActive}}));
}

TEST_F(LiveChains, AreOfOneKey) {
  begin_until(1, 5, kA, kB);
  ended(1, 5, kA, FM_END_ACTIVE, kB);
  begin_until(2, 6, kB, kC);
  begin_until(3, 5, kB, kC, 0);
  flows.finish(FM_END_INPUT);
  EXPECT_EQ(sink.starts, (Starts{{kA, kA}, {kB, kB}, {kB, kA}}));
}

// The flow is announced by a later packet; where it has begun, its end says.
TEST_F(LiveChains, TheRecordOfABeginningIsLost) {
  begin_until(1, 5, kA, kB);
  ended(1, 5, kA, FM_END_ACTIVE, kB);
  open(2, packet(5, kB + 7), 0);
  ended(2, 5, kB, FM_END_ACTIVE, kC);
  open(3, packet(5, kC), 0);
  flows.finish(FM_END_INPUT);
  EXPECT_EQ(sink.starts, (Starts{{kA, kA}, {kB, kA}, {kC, kA}}));
}

TEST_F(LiveChains, TheWholeFlowBetweenIsUnknown) {
  begin_until(1, 5, kA, kB);
  ended(1, 5, kA, FM_END_ACTIVE, kB);
  ended(2, 5, kB, FM_END_ACTIVE, kC, false);
  open(3, packet(5, kC), 0);
  flows.finish(FM_END_INPUT);
  EXPECT_EQ(sink.starts, (Starts{{kA, kA}, {kB, kA}, {kC, kA}}));
}

TEST_F(LiveChains, TheStateOfAFlowIsTheFirstRecordOfIt) {
  begin_until(1, 5, kA, kB);
  ended(1, 5, kA, FM_END_ACTIVE, kB);
  told(2, 5, kB);
  flows.finish(FM_END_INPUT);
  EXPECT_EQ(sink.starts, (Starts{{kA, kA}, {kB, kA}}));
}

// The map dropped the flow or the record of its end was lost: the daemon's own clock of it counts.
TEST_F(LiveChains, TheRecordOfAnEndIsLost) {
  begin_until(1, 5, kA, kB);
  open(2, packet(5, kB), 0);
  begin_until(3, 6, kA, kB);
  open(4, packet(6, kB));
  open(5, packet(7, kA));
  open(6, packet(7, kB));
  flows.finish(FM_END_INPUT);
  EXPECT_EQ(sink.starts, (Starts{{kA, kA}, {kA, kA}, {kA, kA}, {kB, kA}, {kB, kA}, {kB, kB}}))
      << "the last one was idle";
}

TEST_F(LiveChains, AFlowThatTheMapHasDroppedGoesOnInItsChain) {
  begin_until(1, 5, kA, kB);
  ended(1, 5, kA, FM_END_ACTIVE, kB);
  open(2, packet(5, kB), 0);
  open(3, packet(5, kB + FM_SECOND_NS));  // a new entry of the same flow
  flows.finish(FM_END_INPUT);
  EXPECT_EQ(sink.starts, (Starts{{kA, kA}, {kB, kA}}));
}

TEST_F(LiveChains, GoOnWithTheNextDaemon) {
  for (const bool exact : {true, false}) {
    SCOPED_TRACE(exact);
    begin_anew();
    sink.starts.clear();
    begin_until(1, 5, kA, kB);
    ended(1, 5, kA, FM_END_ACTIVE, kB);
    begin_until(2, 5, kB, kC, 0);
    save(1);
    restart(exact);
    told(2, 5, kB);
    ended(2, 5, kB, FM_END_ACTIVE, kC);
    open(3, packet(5, kC), 0);
    flows.finish(FM_END_INPUT);
    EXPECT_EQ(sink.starts, (Starts{{kA, kA}, {kB, kA}, {kC, kA}}));
  }
}

TEST_F(LiveChains, AnEndWithoutABeginningIsKeptForTheNextDaemon) {
  begin_until(1, 5, kA, kB);
  ended(1, 5, kA, FM_END_ACTIVE, kB);
  save(1);
  restart(true);
  told(2, 5, kB);
  flows.finish(FM_END_INPUT);
  EXPECT_EQ(sink.starts, (Starts{{kA, kA}, {kB, kA}}));
}

// The daemon that was killed had committed the end of flow 1 after its copy, so nothing but the
// copy and the kernel's map tells what flow 2 is.
TEST_F(LiveChains, ATimeoutBetweenTheCopyAndTheKill) {
  begin_until(1, 5, kA, kB);
  begin_until(3, 6, kA, kB - 300 * FM_SECOND_NS);
  save(1);
  restart(false);
  told(2, 5, kB);
  told(4, 6, kB);
  flows.finish(FM_END_INPUT);
  EXPECT_EQ(sink.starts, (Starts{{kB, kA}, {kB, kB}})) << "the second was idle by then";
}

// The same, and flow 2 has ended before the next daemon.
TEST_F(LiveChains, TwoTimeoutsBetweenTheCopyAndTheNextDaemon) {
  begin_until(1, 5, kA, kB);
  save(1);
  restart(false);
  flows.begin_resuming();
  ended(2, 5, kB, FM_END_ACTIVE, kC);
  open(3, packet(5, kC), 0);
  flows.end_resuming();
  flows.finish(FM_END_INPUT);
  EXPECT_EQ(sink.starts, (Starts{{kB, kA}, {kC, kA}})) << "the row of flow 1 was committed";
}

TEST_F(LiveChains, AfterAKillASynMayBeginAnotherConnection) {
  begin_until(1, 5, kA, kB);
  save(1);
  restart(false);
  open(2, packet(5, kB, FM_SYN), 0);
  flows.finish(FM_END_INPUT);
  EXPECT_EQ(sink.starts, (Starts{{kB, kB}}));
}

TEST(ActiveChains, ForgetOldEntriesIfTooManyWait) {
  ActiveChains chains;
  const auto link = [](uint64_t i) {
    return ActiveChains::Link{key_of(static_cast<uint16_t>(i)), 1000 + i, i};
  };
  const uint64_t many = 3 * ActiveChains::kMost;
  for (uint64_t i = 1; i <= many; i++) chains.continue_later(link(i));
  EXPECT_EQ(chains.waiting(), ActiveChains::kMost);
  size_t left = 0;
  chains.each([&](const ActiveChains::Link&) { left++; });
  EXPECT_EQ(left, ActiveChains::kMost);
  const uint64_t newest = many;
  EXPECT_EQ(chains.take(key_of(1), 1001), 0u) << "forgotten";
  EXPECT_EQ(chains.take(link(newest).key, 1000 + newest + 1), 0u) << "another time";
  EXPECT_EQ(chains.take(key_of(1), 1000 + newest), 0u) << "another key";
  EXPECT_EQ(chains.take(link(newest).key, 1000 + newest), newest);
  EXPECT_EQ(chains.take(link(newest).key, 1000 + newest), 0u) << "only once";
  for (uint64_t i = 1; i <= many; i++) chains.take(link(i).key, 1000 + i);
  EXPECT_EQ(chains.waiting(), 0u);
}

}  // namespace
}  // namespace flowmeter
