// SPDX-License-Identifier: BSD-3-Clause
// The real-time columns: flows worked out by hand. Frames go through the parser, the tables and the
// features.
#include "features/columns_97.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <set>

#include "features/rows_97.h"
#include "support/conversation.h"

namespace flowmeter::testing {
namespace {

std::vector<std::string> names_with(std::initializer_list<const char*> parts) {
  std::vector<std::string> found;
  for (const std::string& name : column_names(columns_97()))
    for (const char* part : parts)
      if (name.find(part) != std::string::npos) {
        found.push_back(name);
        break;
      }
  return found;
}

TEST(Columns97, NamesAreUniqueAndInOrder) {
  const auto& names = column_names(columns_97());
  ASSERT_EQ(names.size(), 97u);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 97u);
  const std::map<size_t, std::string> expected = {{1, "Flow ID"},
                                                  {8, "Flow Duration"},
                                                  {13, "Fwd Packet Length Max"},
                                                  {20, "Bwd Packet Length Std"},
                                                  {26, "Flow IAT Min"},
                                                  {36, "Bwd IAT Min"},
                                                  {45, "Min Packet Length"},
                                                  {56, "CWR Flag Count"},
                                                  {57, "ECE Flag Count"},
                                                  {62, "Fwd Header Length.1"},
                                                  {68, "Bwd Avg Bulk Rate"},
                                                  {73, "Init_Win_bytes_forward"},
                                                  {76, "min_seg_size_forward"},
                                                  {80, "Active Min"},
                                                  {84, "Idle Min"},
                                                  {85, "HTTP Request Count"},
                                                  {97, "DNS Most Common Response Code"}};
  for (const auto& [number, name] : expected) EXPECT_EQ(names[number - 1], name);
  for (const Column& column : columns_97()) EXPECT_NE(column.get, nullptr) << column.name;
}

// Time, direction, payload, flags: 0 F 0 SYN | .25 B 0 SYN ACK ECE | .5 F 100 PSH | .55 B 46 PSH |
// .6 F 300 URG | 2.6 B 446 URG CWR | 2.65 B 46 PSH ECE | 2.7 F 50 PSH CWR | 6.7 F 0 FIN | 6.95 B 0
// FIN RST; TCP headers of 40, 40 and then 20 bytes, and ACK on all but the first and the last. The
// last forward frame is padded to 60.
//
// Lengths forward 74 154 354 104 60 (sum 746, Σ(x−149.2)² = 57620.8), backward 74 100 500 100 54
// (828, Σ(x−165.6)² = 141275.2), all: sum 1574, Σ(x−157.4)² = 199568.4. Headers 60 + 4·40 each.
// Gaps .25 .25 .05 .05 2 .05 .05 4 .25; forward .5 .1 2.1 4; backward .3 2.05 .05 4.3. Two above
// 1 s: 3 subflows; pieces .6, .1, .25; idle 2, 4. Bulks forward: 100 300 in .1 s (a gap of
// exactly the limit, and the other direction between), 50: rates 4000, 0. Backward: 46; 446 46 in
// .05 s: 0, 9840.
const Cells kEveryColumn = {
    {"Flow ID", "192.168.1.9-10.0.0.2-4242-80-TCP"},
    {"Src IP", "192.168.1.9"},
    {"Dst IP", "10.0.0.2"},
    {"Src Port", "4242"},
    {"Dst Port", "80"},
    {"Protocol", "TCP"},
    {"Flow Duration", "6950000"},
    {"Total Fwd Packets", "5"},
    {"Total Backward Packets", "5"},
    {"Total Length of Fwd Packets", "746"},
    {"Total Length of Bwd Packets", "828"},
    {"Fwd Packet Length Max", "354"},
    {"Fwd Packet Length Min", "60"},
    {"Fwd Packet Length Mean", "149.2"},
    {"Fwd Packet Length Std", "107.35064042659457"},
    {"Bwd Packet Length Max", "500"},
    {"Bwd Packet Length Min", "54"},
    {"Bwd Packet Length Mean", "165.6"},
    {"Bwd Packet Length Std", "168.09235556681332"},
    {"Flow Bytes/s", "226.4748201438849"},
    {"Flow Packets/s", "1.4388489208633093"},
    {"Flow IAT Mean", "0.7722222222222223"},
    {"Flow IAT Std", "1.2836820113146556"},
    {"Flow IAT Max", "4"},
    {"Flow IAT Min", "0.05"},
    {"Fwd IAT Total", "6.7"},
    {"Fwd IAT Mean", "1.675"},
    {"Fwd IAT Std", "1.5368392889303684"},
    {"Fwd IAT Max", "4"},
    {"Fwd IAT Min", "0.1"},
    {"Bwd IAT Total", "6.7"},
    {"Bwd IAT Mean", "1.675"},
    {"Bwd IAT Std", "1.7001838135919305"},
    {"Bwd IAT Max", "4.3"},
    {"Bwd IAT Min", "0.05"},
    {"Fwd PSH Flags", "2"},
    {"Bwd PSH Flags", "2"},
    {"Fwd URG Flags", "1"},
    {"Bwd URG Flags", "1"},
    {"Fwd Header Length", "220"},
    {"Bwd Header Length", "220"},
    {"Fwd Packets/s", "0.7194244604316546"},
    {"Bwd Packets/s", "0.7194244604316546"},
    {"Min Packet Length", "54"},
    {"Max Packet Length", "500"},
    {"Packet Length Mean", "157.4"},
    {"Packet Length Std", "141.26868018071096"},
    {"Packet Length Variance", "19956.84"},
    {"FIN Flag Count", "2"},
    {"SYN Flag Count", "2"},
    {"RST Flag Count", "1"},
    {"PSH Flag Count", "4"},
    {"ACK Flag Count", "8"},
    {"URG Flag Count", "2"},
    {"CWR Flag Count", "2"},
    {"ECE Flag Count", "2"},
    {"Down/Up Ratio", "1.1099195710455765"},
    {"Average Packet Size", "157.4"},
    {"Avg Fwd Segment Size", "90"},
    {"Avg Bwd Segment Size", "107.6"},
    {"Fwd Header Length.1", "220"},
    {"Fwd Avg Bytes/Bulk", "225"},
    {"Fwd Avg Packets/Bulk", "1.5"},
    {"Fwd Avg Bulk Rate", "2000"},
    {"Bwd Avg Bytes/Bulk", "269"},
    {"Bwd Avg Packets/Bulk", "1.5"},
    {"Bwd Avg Bulk Rate", "4920"},
    {"Subflow Fwd Packets", "1.6666666666666667"},
    {"Subflow Fwd Bytes", "248.66666666666666"},
    {"Subflow Bwd Packets", "1.6666666666666667"},
    {"Subflow Bwd Bytes", "276"},
    {"Init_Win_bytes_forward", "64240"},
    {"Init_Win_bytes_backward", "28960"},
    {"act_data_pkt_fwd", "3"},
    {"min_seg_size_forward", "0"},
    {"Active Mean", "0.31666666666666665"},
    {"Active Std", "0.20949675149960892"},
    {"Active Max", "0.6"},
    {"Active Min", "0.1"},
    {"Idle Mean", "3"},
    {"Idle Std", "1"},
    {"Idle Max", "4"},
    {"Idle Min", "2"},
};

TEST(Columns97, EveryColumn) {
  const uint64_t start = 1'700'000'000'250'000'999;
  std::vector<TimedFrame> frames = {
      F(0, FM_SYN, 64240).tcp_options(20).at(0),
      B(0, FM_SYN | FM_ACK | FM_ECE, 28960).tcp_options(20).at(0.25),
      F(100, FM_ACK | FM_PSH).at(0.5),
      B(46, FM_ACK | FM_PSH).at(0.55),
      F(300, FM_ACK | FM_URG).at(0.6),
      B(446, FM_ACK | FM_URG | FM_CWR).at(2.6),
      B(46, FM_ACK | FM_PSH | FM_ECE).at(2.65),
      F(50, FM_ACK | FM_PSH | FM_CWR).at(2.7),
      F(0, FM_FIN | FM_ACK).pad_to(60).at(6.7),
      B(0, FM_FIN | FM_RST).at(6.95),
  };
  for (TimedFrame& f : frames) f.time_ns += start;
  const auto rows = rows_of(frames);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(kEveryColumn.size() + kNoApplication.size(), 97u - 1);
  expect_cells(rows[0], kEveryColumn);
  expect_cells(rows[0], kNoApplication);
  EXPECT_EQ(rows[0].text("Timestamp"), "1700000000.250000999");
}

// ---- what the flow above does not show ----

TEST(Columns97, TimestampIsExactAndSigned) {
  fm_flow_key key{};
  key.ip_version = 4;
  key.protocol = FM_UDP;
  fm_flow flow{};
  constexpr __int128 kSecond = 1'000'000'000;
  const struct {
    __int128 origin_ns;
    uint64_t first_ns;
    const char* text;
  } cases[] = {
      {0, 0, "0.000000000"},
      {0, 1, "0.000000001"},
      {0, 1'700'000'000'123'456'789, "1700000000.123456789"},
      {0, UINT64_MAX, "18446744073.709551615"},
      {static_cast<__int128>(1) << 64, 0, "18446744073.709551616"},
      {-1, 0, "-0.000000001"},
      {-kSecond, 250'000'000, "-0.750000000"},
      {-kSecond * 3 / 2, 0, "-1.500000000"},
      {-kSecond, 1'000'000'000, "0.000000000"},
      {-kSecond * 2'208'988'800, 5, "-2208988799.999999995"},
  };
  for (const auto& c : cases) {
    flow.counters.first_ns = flow.counters.last_ns = c.first_ns;
    const FlowRecord record{key, flow, clock_origin(c.origin_ns), FM_END_INPUT};
    EXPECT_EQ(cells_of(record)["Timestamp"], c.text);
  }
}

TEST(Columns97, DurationHasAtMostThreeDecimals) {
  for (const auto& [ns, text] : std::map<uint64_t, const char*>{
           {0, "0"},
           {1, "0.001"},
           {10, "0.01"},
           {1'000, "1"},
           {1'234'567, "1234.567"},
           {1'800'000'000'001, "1800000000.001"},
           {1'799'999'999'999, "1799999999.999"},
           {864'000'000'000'003, "864000000000.003"},  // ten days
       }) {
    fm_settings settings = settings_97();
    settings.idle_timeout_ns = settings.active_timeout_ns = UINT64_MAX;
    const auto rows = rows_of({F(0).at_ns(7), F(0).at_ns(7 + ns)}, settings);
    EXPECT_EQ(rows[0].text("Flow Duration"), text);
  }
}

TEST(Columns97, OnePacket) {
  const auto rows = rows_of({F(100).at(1)});
  ASSERT_EQ(rows.size(), 1u);
  expect_zero(rows[0], names_with({"IAT", "/s", "Rate", "Std", "Variance", "Active", "Idle"}));
  EXPECT_EQ(rows[0].text("Timestamp"), "1.000000000");
  expect_cells(rows[0], {{"Flow Duration", "0"},
                         {"Total Fwd Packets", "1"},
                         {"Subflow Fwd Packets", "1"},
                         {"Subflow Fwd Bytes", "154"},
                         {"Fwd Avg Bytes/Bulk", "100"},
                         {"Fwd Avg Packets/Bulk", "1"},
                         {"min_seg_size_forward", "100"},
                         {"Avg Fwd Segment Size", "100"}});
  expect_cells(rows[0], kNoApplication);
}

TEST(Columns97, OneDirection) {
  const auto rows = rows_of(forward_at({0, .5}, 10));
  expect_zero(rows[0], names_with({"Bwd", "Backward", "backward", "Down/Up"}));
}

TEST(Columns97, OnlyBackwardPackets) {
  // After an active time-out, which keeps the orientation.
  fm_settings settings = settings_97();
  settings.active_timeout_ns = 4 * FM_SECOND_NS;
  const auto rows = rows_of({F(10).at(0), B(20).at(4), B(30).at(4.000001)}, settings);
  ASSERT_EQ(rows.size(), 2u);
  expect_cells(rows[1], {{"Src IP", "192.168.1.9"},
                         {"Total Fwd Packets", "0"},
                         {"Total Backward Packets", "1"},
                         {"Down/Up Ratio", "0"},
                         {"Bwd Avg Bytes/Bulk", "30"},
                         {"Subflow Bwd Packets", "1"}});
  expect_zero(rows[1], names_with({"Fwd", "_fwd", "forward"}));
}

TEST(Columns97, Udp) {
  const auto rows = rows_of({ipv6("fe80::1", "2001:db8::2").udp(5000, 5001).payload(12).at(0),
                             ipv6("2001:db8::2", "fe80::1").udp(5001, 5000).payload(30).at(.5)});
  ASSERT_EQ(rows.size(), 1u);
  expect_zero(rows[0], names_with({"Flag", "Init_Win"}));
  expect_cells(rows[0], {{"Flow ID", "fe80::1-2001:db8::2-5000-5001-UDP"},
                         {"Protocol", "UDP"},
                         {"Fwd Header Length", "48"},
                         {"min_seg_size_forward", "12"},
                         {"Avg Bwd Segment Size", "30"}});
  expect_cells(rows[0], kNoApplication);
}

TEST(Columns97, IcmpHasPortsFlagsAndWindowsOfZero) {
  const auto rows = rows_of({ipv4("10.0.0.1", "10.0.0.2").icmp(8, 0, 77).payload(56).at(0),
                             ipv6("fe80::1", "ff02::1").icmp(135, 0).payload(16).at(1)});
  ASSERT_EQ(rows.size(), 2u);
  expect_cells(rows[0], {{"Flow ID", "10.0.0.1-10.0.0.2-0-0-ICMP"}, {"Protocol", "ICMP"}});
  expect_cells(rows[1], {{"Flow ID", "fe80::1-ff02::1-0-0-ICMPv6"}, {"Protocol", "ICMPv6"}});
  for (const Row& row : rows) {
    expect_zero(row, names_with({"Port", "Flag", "Init_Win"}));
    expect_cells(row, kNoApplication);
    for (const std::string& cell : row.cells()) EXPECT_NE(cell, "-1");
  }
}

TEST(Columns97, LongestFlowId) {
  fm_flow_key key{};
  key.ip_version = 6;
  key.protocol = FM_TCP;
  for (fm_address& address : key.address) std::memset(&address, 0xfe, sizeof(address));
  key.port[0] = key.port[1] = 65535;
  fm_flow flow{};
  const FlowRecord record{key, flow, {}, FM_END_INPUT};
  const std::string address = "fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe";
  const std::string id = cells_of(record)["Flow ID"];
  EXPECT_EQ(id, address + "-" + address + "-65535-65535-TCP");
  EXPECT_LE(id.size() + 3 + 2 * (INET6_ADDRSTRLEN - 1 - address.size()), Cell::kMaxText)
      << "with ICMPv6 and the longest addresses";
}

// ---- bulks: payload by direction and time ----

TEST(Columns97, BulksEndAtGapsOnly) {
  // 100 bytes at 0, .05, .1 and .5: (300 / .1 + 0) / 2.
  expect_cells(rows_of(forward_at({0, .05, .1, .5}, 100))[0], {{"Fwd Avg Packets/Bulk", "2"},
                                                               {"Fwd Avg Bytes/Bulk", "200"},
                                                               {"Fwd Avg Bulk Rate", "1500"}});
  expect_cells(rows_of({F(10).at(0), B(20).at(.05), F(30).at(.1), B(40).at(.3)})[0],
               {{"Fwd Avg Bytes/Bulk", "40"},
                {"Fwd Avg Packets/Bulk", "2"},
                {"Fwd Avg Bulk Rate", "400"},
                {"Bwd Avg Bytes/Bulk", "30"},
                {"Bwd Avg Packets/Bulk", "1"},
                {"Bwd Avg Bulk Rate", "0"}});
  expect_cells(
      rows_of({F(10).at(0), F(30).at(.100001)})[0],
      {{"Fwd Avg Bytes/Bulk", "20"}, {"Fwd Avg Packets/Bulk", "1"}, {"Fwd Avg Bulk Rate", "0"}});
}

TEST(Columns97, BareAcksAreNoneOfABulk) {
  expect_cells(
      rows_of({F(10).at(0), F(0).at(.05), F(30).at(.1), F(0).at(.15)})[0],
      {{"Fwd Avg Bytes/Bulk", "40"}, {"Fwd Avg Packets/Bulk", "2"}, {"Fwd Avg Bulk Rate", "400"}});
  expect_zero(rows_of(forward_at({0, 1}))[0], names_with({"/Bulk", "Bulk Rate"}));
}

TEST(Columns97, BulkParametersAreOptions) {
  fm_settings settings = settings_97();
  settings.bulk_min_packets = 2;
  settings.bulk_max_gap_ns = FM_SECOND_NS / 5;
  // Runs of 1, 2 and 3; the last is open at the end.
  expect_cells(rows_of(forward_at({0, 1, 1.2, 2, 2.2, 2.4}, 10), settings)[0],
               {{"Fwd Avg Bytes/Bulk", "25"},
                {"Fwd Avg Packets/Bulk", "2.5"},
                {"Fwd Avg Bulk Rate", "87.5"}});  // (20 / .2 + 30 / .4) / 2
}

TEST(Columns97, BulksDoNotSeeTheClockStepBack) {
  // The third packet counts as one at .05: the second bulk starts .15 later.
  expect_cells(rows_of({F(10).at(1), F(10).at(1.05), F(10).at(.5), F(10).at(1.2)})[0],
               {{"Fwd Avg Packets/Bulk", "2"}, {"Fwd Avg Bulk Rate", "300"}});
}

TEST(Columns97, BulksOfAFlowAreNotThoseOfTheOneBeforeIt) {
  const auto rows = rows_of({F(10).at(0), B(20).at(0), F(30).at(5.1), F(40).at(10.2)});
  ASSERT_EQ(rows.size(), 3u);
  expect_cells(rows[1], {{"Fwd Avg Bytes/Bulk", "30"}, {"Bwd Avg Bytes/Bulk", "0"}});
  expect_cells(rows[2], {{"Fwd Avg Bytes/Bulk", "40"}, {"Fwd Avg Packets/Bulk", "1"}});
}

TEST(DirectionBulks, SegmentsOfABufferArePacketsOfOneTime) {
  const fm_settings settings = settings_97();
  fm_packet packet{};
  packet.payload_bytes = 3000;
  packet.segment_bytes = 1400;
  DirectionBulks bulks;
  bulks.add(packet, FM_SECOND_NS, settings);
  bulks.add(packet, FM_SECOND_NS + FM_SECOND_NS / 20, settings);
  EXPECT_EQ(bulks.totals.count, 0u);
  const DirectionBulks::Totals all = bulks.finished(settings).totals;
  EXPECT_EQ(all.count, 1u);
  EXPECT_EQ(all.packets, 6u);
  EXPECT_EQ(all.bytes, 6000u);
  EXPECT_DOUBLE_EQ(all.rate_sum, 120'000);
  EXPECT_EQ(bulks.totals.count, 0u) << "finished() looks only";
}

// ---- subflows, active and idle ----

TEST(Columns97, SubflowsAreThePieces) {
  const auto rows = rows_of({F(0).at(0), B(0).at(.5), F(0).at(3), B(0).at(3.5)});
  expect_cells(rows[0], {{"Subflow Fwd Packets", "1"},
                         {"Subflow Fwd Bytes", "54"},
                         {"Active Mean", "0.5"},
                         {"Active Max", "0.5"},
                         {"Active Min", "0.5"},
                         {"Active Std", "0"},
                         {"Idle Mean", "2.5"}});
  // A gap of exactly the limit does not count.
  expect_cells(rows_of(forward_at({0, 1}))[0],
               {{"Subflow Fwd Packets", "2"}, {"Active Max", "1"}, {"Idle Max", "0"}});
}

TEST(Columns97, PiecesOfLengthZeroAreNoActiveSamples) {
  const auto rows = rows_of(forward_at({0, 2, 4}));
  expect_zero(rows[0], names_with({"Active", "Idle Std"}));
  expect_cells(rows[0], {{"Idle Mean", "2"}, {"Idle Max", "2"}, {"Idle Min", "2"}});
}

TEST(Columns97, GapOfExactlyTheTimeoutIsNone) {
  EXPECT_EQ(rows_of(forward_at({0, 5, 10})).size(), 1u);
  EXPECT_EQ(rows_of(forward_at({0, 5, 10.000001})).size(), 2u);
}

TEST(Columns97, ShortConversation) {
  // F0@0 SYN, B0@.1 SYN-ACK and F0@.2, padded to 60; F100@.3 PSH; B46@2 PSH.
  const auto rows = rows_of({F(0, FM_SYN).pad_to(60).at(0), B(0, FM_SYN | FM_ACK).pad_to(60).at(.1),
                             F(0).pad_to(60).at(.2), F(100, FM_ACK | FM_PSH).at(.3),
                             B(46, FM_ACK | FM_PSH).at(2)});
  expect_cells(rows[0], {{"Flow Duration", "2000000"},
                         {"Flow Bytes/s", "217"},
                         {"Flow IAT Mean", "0.5"},
                         {"Fwd IAT Total", "0.3"},
                         {"Fwd Header Length", "120"},
                         {"Packet Length Variance", "1368.96"},
                         {"Avg Bwd Segment Size", "23"},
                         {"Subflow Fwd Packets", "1.5"},
                         {"Active Mean", "0.3"},
                         {"Idle Mean", "1.7"}});
}

}  // namespace
}  // namespace flowmeter::testing
