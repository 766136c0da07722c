// SPDX-License-Identifier: BSD-3-Clause
// Replay as a whole: the account of packets, fragments, batches, eras, and captures read from
// files.
#include "flows/replay.h"

#include <gtest/gtest.h>

#include "support/capture_writer.h"
#include "support/replay_rows.h"

namespace flowmeter::testing {
namespace {

Packet udp(uint16_t port) {
  return ipv4("10.0.0.1", "10.0.0.2").udp(port, 53).payload(5);
}
Packet first(uint32_t id, uint16_t port = 7) {
  return udp(port).payload(16).first_fragment(id);
}
Packet later(uint32_t id) {
  return ipv4("10.0.0.1", "10.0.0.2").protocol(17).payload(9).last_fragment(3, id);
}

TEST(Replay, EveryPacketIsInOneClass) {
  const Replayed r = replay({
      udp(1).at(0), udp(1).reversed().at(1), udp(1).network_type(0x0806).at(2),
      ipv4("10.0.0.1", "10.0.0.2").protocol(47).at(3), udp(1).ip_length(999).at(4), later(1).at(5),
      TimedFrame{6, {{}, 60, 1}},  // nothing captured
  });
  EXPECT_EQ(r.account.seen, 7u);
  EXPECT_TRUE(r.account.balanced());
  EXPECT_EQ(account_text(r.account),
            "seen=7 metered=2 not_ip=2 other_protocol=1 malformed=1 unattributed_fragment=1 "
            "seen_before=0 "
            "unrecorded=0");
  EXPECT_EQ(r.packets_written, 2u);
}

TEST(Replay, AnUnbalancedAccountIsSeen) {
  Account account;
  EXPECT_TRUE(account.balanced());
  account.count(FM_METERED);
  account.count(FM_NOT_IP);
  EXPECT_TRUE(account.balanced());
  account.seen++;
  EXPECT_FALSE(account.balanced());
}

TEST(Replay, FragmentsJoinTheirFlow) {
  const Replayed r = replay({first(1, 7).at(0), first(2, 8).at(0), later(2).at(1), later(1).at(2),
                             later(3).at(3), later(1).reversed().at(4)});
  EXPECT_EQ(r.account.by_class[FM_UNATTRIBUTED_FRAGMENT], 2u);
  ASSERT_EQ(r.rows.size(), 2u);
  EXPECT_EQ(r.rows[0].text("src_port"), "7");
  EXPECT_EQ(r.rows[0].text("tot_fwd_pkts"), "2");
  EXPECT_EQ(r.rows[0].text("flow_duration"), "2");
  EXPECT_EQ(r.rows[1].text("tot_fwd_pkts"), "2");
}

TEST(Replay, AMalformedFirstFragmentIsNotRemembered) {
  const Replayed r = replay({first(1).ip_length(24).at(0), later(1).at(1)});
  EXPECT_EQ(r.account.by_class[FM_MALFORMED], 1u);
  EXPECT_EQ(r.account.by_class[FM_UNATTRIBUTED_FRAGMENT], 1u);
}

TEST(Replay, FragmentMemoryIsNotRenewed) {
  const Replayed r = replay({first(1).at(0), later(1).at(20), later(1).at(30), later(1).at(31)});
  EXPECT_EQ(r.account.metered(), 3u);
  EXPECT_EQ(r.account.by_class[FM_UNATTRIBUTED_FRAGMENT], 1u);
  // A new first fragment of the same identity does renew it.
  EXPECT_EQ(replay({first(1).at(0), first(1).at(20), later(1).at(50)}).account.metered(), 3u);
}

TEST(Replay, ABoundedFragmentTableForgets) {
  const Replayed r = replay({first(1).at(0), first(2).at(0), first(3).at(0), later(1).at(1),
                             later(2).at(1), later(3).at(1)},
                            fm_default_settings(), {16, 2});
  EXPECT_EQ(r.account.metered(), 5u);
  EXPECT_EQ(r.account.by_class[FM_UNATTRIBUTED_FRAGMENT], 1u);
}

TEST(Replay, Ipv6LaterFragmentInAnExtensionChain) {
  const Packet six = ipv6("2001:db8::1", "2001:db8::2").tcp(1, 2, FM_ACK).payload(16);
  const auto part = [](uint8_t next) {
    return ipv6("2001:db8::1", "2001:db8::2").protocol(next).last_fragment(4, 5).payload(8);
  };
  const Replayed r = replay({Packet(six).first_fragment(5).at(0), part(60).at(1), part(6).at(2)});
  ASSERT_EQ(r.rows.size(), 1u);
  EXPECT_EQ(r.rows[0].text("protocol"), "6");
  EXPECT_EQ(r.rows[0].text("tot_fwd_pkts"), "3");
  EXPECT_EQ(r.rows[0].text("ack_flag_cnt"), "1");
}

TEST(Replay, BatchesAreInvisible) {
  // Around the size of a batch, account and flows agree after settle(), no matter how many packets
  // wait.
  for (unsigned count = 0; count < 100; count++) {
    RowCollector sink;
    Replay replay(fm_default_settings(), {100, 1}, sink);
    const Frame f = udp(1);
    for (unsigned i = 0; i < count; i++)
      replay.add({i, 0, f.bytes.data(), static_cast<uint32_t>(f.bytes.size()), f.wire_length, 1});
    EXPECT_EQ(replay.account().seen, count);
    replay.settle();
    EXPECT_EQ(replay.flows().open_flows(), count > 0 ? 1u : 0u);
    replay.finish();
    EXPECT_EQ(replay.flows().packets_written(), count);
  }
}

TEST(Replay, FullTableInsideABatch) {
  std::vector<TimedFrame> frames;
  for (uint16_t i = 0; i < 100; i++) frames.push_back(udp(i % 10).at(i));
  const Replayed r = replay(frames, fm_default_settings(), {3, 1});
  EXPECT_EQ(r.packets_written, 100u);
  EXPECT_GT(r.forced_out, 0u);
}

// Seconds as unit: stamps far beyond 64 bits of nanoseconds, hundreds of thousands of years on, and
// back.
TEST(Replay, YearsBeyondTheFirstEra) {
  const uint64_t far = 18'446'744'073'800;  // 584554 years after the epoch
  Pcapng file;
  file.interface(1, 0)
      .enhanced(udp(1), 1'700'000'000)
      .enhanced(udp(1), far)
      .enhanced(udp(1), far + 1)
      .enhanced(udp(1), 1'700'000'001)
      .enhanced(udp(2), 1'700'000'002);
  TemporaryFile capture(file.bytes());
  const Replayed r = replay_file(capture.path());
  EXPECT_EQ(r.account.metered(), 5u);
  EXPECT_EQ(r.packets_written, 5u);
  ASSERT_EQ(r.rows.size(), 3u);
  EXPECT_EQ(r.rows[0].text("timestamp"), "2023-11-14 22:13:20.000000");
  EXPECT_EQ(r.rows[0].packets(), 1u);
  EXPECT_EQ(r.rows[1].text("timestamp"), "18446744073800.000000");
  EXPECT_EQ(r.rows[1].packets(), 3u) << "the step back counts as of the latest time";
  EXPECT_EQ(r.rows[1].text("flow_duration"), "1");
  EXPECT_EQ(r.rows[2].text("timestamp"), "2023-11-14 22:13:22.000000");
}

TEST(Replay, BeforeTheEpoch) {
  Pcapng file;
  file.interface(1, 9, -1).enhanced(udp(1), 250'000'000).enhanced(udp(1), 500'000'000);
  TemporaryFile capture(file.bytes());
  const Replayed r = replay_file(capture.path());
  ASSERT_EQ(r.rows.size(), 1u);
  EXPECT_EQ(r.rows[0].text("timestamp"), "1969-12-31 23:59:59.250000");
  EXPECT_EQ(r.rows[0].text("flow_duration"), "0.25");
}

TEST(Replay, AcrossTheEpoch) {
  Pcapng file;
  file.interface(1, 9, -1)
      .enhanced(first(1), 250'000'000)
      .enhanced(later(1), 1'500'000'000)
      .enhanced(first(2), 1'750'000'000)
      .enhanced(later(2), 500'000'000);
  TemporaryFile capture(file.bytes());
  const Replayed r = replay_file(capture.path());
  ASSERT_EQ(r.rows.size(), 1u);
  EXPECT_EQ(r.rows[0].text("timestamp"), "1969-12-31 23:59:59.250000");
  EXPECT_EQ(r.rows[0].text("flow_duration"), "1.5");
  EXPECT_EQ(r.rows[0].packets(), 4u);
}

// The last second before 2^63 and 2^64 ns, and the first after them.
TEST(Replay, AcrossPowersOfTwo) {
  for (const uint64_t second : {9'223'372'036u, 18'446'744'073u}) {
    Pcapng file;
    file.interface(1, 0).enhanced(udp(1), second).enhanced(udp(1), second + 1);
    TemporaryFile capture(file.bytes());
    EXPECT_EQ(replay_file(capture.path()).rows.size(), 1u) << second;
  }
}

// A known limit (docs/design.md): stamps have 64 bits, and a flow ends where a later era of them
// begins.
TEST(Replay, AFlowEndsAtTheBorderOfTwoEras) {
  Pcapng file;
  file.interface(1, 0).enhanced(udp(1), 13'835'058'055).enhanced(udp(1), 13'835'058'056);
  TemporaryFile capture(file.bytes());
  const Replayed r = replay_file(capture.path());
  EXPECT_EQ(r.rows.size(), 2u);
  EXPECT_EQ(r.account.metered(), 2u);
}

TEST(Replay, InterfacesOfDifferentLinkTypesShareFlows) {
  Pcapng file;
  const Packet raw = ipv4("10.0.0.2", "10.0.0.1").udp(53, 1).payload(5).link(101);
  file.interface(1).interface(101).enhanced(udp(1), 1, 0).enhanced(raw, 2, 1);
  TemporaryFile capture(file.bytes());
  const Replayed r = replay_file(capture.path());
  ASSERT_EQ(r.rows.size(), 1u);
  EXPECT_EQ(r.rows[0].text("tot_bwd_pkts"), "1");
}

}  // namespace
}  // namespace flowmeter::testing
