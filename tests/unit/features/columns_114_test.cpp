// SPDX-License-Identifier: BSD-3-Clause
// The NetFlowMeter columns: flows worked out by hand. Frames go through the parser, the tables and
// the features.
#include "features/columns_114.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <set>

#include "features/feature_sets.h"
#include "support/conversation.h"
#include "support/expect_cells.h"
#include "support/replay_rows.h"

namespace flowmeter::testing {
namespace {

fm_settings settings_114() {
  return find_feature_set("netflowmeter114")->settings;
}

std::vector<Row> rows_of(const std::vector<TimedFrame>& frames,
                         const fm_settings& settings = settings_114()) {
  return replay(frames, settings, kRoomyLimits, columns_114()).rows;
}

const std::vector<std::string> kActiveAndIdle = {"active_min", "active_max", "active_mean",
                                                 "active_std", "idle_min",   "idle_max",
                                                 "idle_mean",  "idle_std"};

TEST(Columns114, NamesAreUniqueAndInOrder) {
  const auto& names = column_names(columns_114());
  ASSERT_EQ(names.size(), 121u);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 121u);
  // About one feature in ten, by its number in the set, after the 7 columns of identity.
  const std::map<size_t, std::string> expected = {{1, "duration"},
                                                  {10, "payload_bytes_mean"},
                                                  {17, "fwd_payload_bytes_variance"},
                                                  {30, "fwd_min_header_bytes"},
                                                  {37, "bwd_std_header_bytes"},
                                                  {46, "active_std"},
                                                  {55, "bwd_packets_rate"},
                                                  {62, "avg_bwd_packets_bulk_rate"},
                                                  {66, "fwd_bulk_per_packet"},
                                                  {79, "rst_flag_counts"},
                                                  {87, "fwd_rst_flag_counts"},
                                                  {96, "packets_IAT_mean"},
                                                  {97, "packet_IAT_std"},
                                                  {110, "bwd_packets_IAT_total"},
                                                  {114, "subflow_bwd_bytes"}};
  for (const auto& [number, name] : expected) EXPECT_EQ(names[6 + number], name);
  for (const Column& column : columns_114()) {
    EXPECT_NE(column.get, nullptr) << column.name;
    EXPECT_FALSE(column.definition().empty()) << column.name;
  }
}

// Time, direction, payload, transport header, flags: 0 F 0 40 SYN | .5 B 0 40 SYN ACK ECE | 1 F 100
// PSH | 1.25 F 200 URG | 1.5 F 300 ECE | 1.75 F 200 PSH | 2 B 400 PSH ECE | 2.5 B 400 URG | 3 B 400
// URG CWR | 3.5 B 100 PSH CWR | 4 B 200 PSH | 124 F 0 SYN ACK | 126 B 0 FIN | 276 F 0 FIN CWR | 278
// F 0 FIN RST; all other headers 20, and ACK on all but the first and the last.
//
// Payload forward (8): sum 800, Σx² 180000: variance 22500 − 10000. Backward (7): 1500, 530000:
// (7·530000 − 1500²)/49 = 1460000/49. All (15): 2300, 710000: 5360000/225. Headers forward: 40 +
// 7·20, Σx² 4400: 550 − 22.5² = 43.75. Backward: 40 + 6·20, 4000: 2400/49. All: 340, 8400:
// 10400/225. Pieces 0–4 and 124–126 (276–278 is the last one): 4, 2; idle 120, 150. Gaps .5 .5
// .25 .25 .25 .25 .5 .5 .5 .5 120 2 150 2 (14, sum 278, Σx² 36909.75), four of them above 1 s.
// Forward 1 .25 .25 .25 122.25 152 2 (7, 278, 38054.25). Backward 1.5 .5 .5 .5 .5 122 (6, 125.5,
// 14887.25). Bulks: forward 100 200 300 200 in .75 s; backward 400 400 400 100 200 in 2 s.
const Cells kEveryColumn = {
    {"flow_id", "192.168.1.9_4242_10.0.0.2_80_TCP_2023-11-14 22:13:20.250000"},
    {"timestamp", "2023-11-14 22:13:20.250000"},
    {"src_ip", "192.168.1.9"},
    {"src_port", "4242"},
    {"dst_ip", "10.0.0.2"},
    {"dst_port", "80"},
    {"protocol", "TCP"},
    {"duration", "278"},
    {"packets_count", "15"},
    {"fwd_packets_count", "8"},
    {"bwd_packets_count", "7"},
    {"total_payload_bytes", "2300"},
    {"fwd_total_payload_bytes", "800"},
    {"bwd_total_payload_bytes", "1500"},
    {"payload_bytes_max", "400"},
    {"payload_bytes_min", "0"},
    {"payload_bytes_mean", "153.33333333333334"},
    {"payload_bytes_std", "154.344492037203"},
    {"payload_bytes_variance", "23822.222222222223"},
    {"fwd_payload_bytes_max", "300"},
    {"fwd_payload_bytes_min", "0"},
    {"fwd_payload_bytes_mean", "100"},
    {"fwd_payload_bytes_std", "111.80339887498948"},
    {"fwd_payload_bytes_variance", "12500"},
    {"bwd_payload_bytes_max", "400"},
    {"bwd_payload_bytes_min", "0"},
    {"bwd_payload_bytes_mean", "214.28571428571428"},
    {"bwd_payload_bytes_std", "172.61494247992246"},
    {"bwd_payload_bytes_variance", "29795.918367346938"},
    {"total_header_bytes", "340"},
    {"max_header_bytes", "40"},
    {"min_header_bytes", "20"},
    {"mean_header_bytes", "22.666666666666668"},
    {"std_header_bytes", "6.79869268479038"},
    {"fwd_total_header_bytes", "180"},
    {"fwd_max_header_bytes", "40"},
    {"fwd_min_header_bytes", "20"},
    {"fwd_mean_header_bytes", "22.5"},
    {"fwd_std_header_bytes", "6.614378277661476"},
    {"bwd_total_header_bytes", "160"},
    {"bwd_max_header_bytes", "40"},
    {"bwd_min_header_bytes", "20"},
    {"bwd_mean_header_bytes", "22.857142857142858"},
    {"bwd_std_header_bytes", "6.998542122237652"},
    {"fwd_avg_segment_size", "100"},
    {"bwd_avg_segment_size", "214.28571428571428"},
    {"avg_segment_size", "153.33333333333334"},
    {"fwd_init_win_bytes", "64240"},
    {"bwd_init_win_bytes", "28960"},
    {"active_min", "2"},
    {"active_max", "4"},
    {"active_mean", "3"},
    {"active_std", "1"},
    {"idle_min", "120"},
    {"idle_max", "150"},
    {"idle_mean", "135"},
    {"idle_std", "15"},
    {"bytes_rate", "8.273381294964029"},
    {"fwd_bytes_rate", "2.8776978417266186"},
    {"bwd_bytes_rate", "5.39568345323741"},
    {"packets_rate", "0.0539568345323741"},
    {"bwd_packets_rate", "0.025179856115107913"},
    {"fwd_packets_rate", "0.02877697841726619"},
    {"down_up_rate", "0.875"},
    {"avg_fwd_bytes_per_bulk", "800"},
    {"avg_fwd_packets_per_bulk", "4"},
    {"avg_fwd_bulk_rate", "1066.6666666666667"},
    {"avg_bwd_bytes_per_bulk", "1500"},
    {"avg_bwd_packets_bulk_rate", "5"},
    {"avg_bwd_bulk_rate", "750"},
    {"fwd_bulk_state_count", "1"},
    {"fwd_bulk_total_size", "800"},
    {"fwd_bulk_per_packet", "4"},
    {"fwd_bulk_duration", "0.75"},
    {"bwd_bulk_state_count", "1"},
    {"bwd_bulk_total_size", "1500"},
    {"bwd_bulk_per_packet", "5"},
    {"bwd_bulk_duration", "2"},
    {"fin_flag_counts", "3"},
    {"psh_flag_counts", "5"},
    {"urg_flag_counts", "3"},
    {"ece_flag_counts", "3"},
    {"syn_flag_counts", "3"},
    {"ack_flag_counts", "13"},
    {"cwr_flag_counts", "3"},
    {"rst_flag_counts", "1"},
    {"fwd_fin_flag_counts", "2"},
    {"fwd_psh_flag_counts", "2"},
    {"fwd_urg_flag_counts", "1"},
    {"fwd_ece_flag_counts", "1"},
    {"fwd_syn_flag_counts", "2"},
    {"fwd_ack_flag_counts", "6"},
    {"fwd_cwr_flag_counts", "1"},
    {"fwd_rst_flag_counts", "1"},
    {"bwd_fin_flag_counts", "1"},
    {"bwd_psh_flag_counts", "3"},
    {"bwd_urg_flag_counts", "2"},
    {"bwd_ece_flag_counts", "2"},
    {"bwd_syn_flag_counts", "1"},
    {"bwd_ack_flag_counts", "7"},
    {"bwd_cwr_flag_counts", "2"},
    {"bwd_rst_flag_counts", "0"},
    {"packets_IAT_mean", "19.857142857142858"},
    {"packet_IAT_std", "47.35086685412142"},
    {"packet_IAT_max", "150"},
    {"packet_IAT_min", "0.25"},
    {"packet_IAT_total", "278"},
    {"fwd_packets_IAT_mean", "39.714285714285715"},
    {"fwd_packets_IAT_std", "62.121630200563075"},
    {"fwd_packets_IAT_max", "152"},
    {"fwd_packets_IAT_min", "0.25"},
    {"fwd_packets_IAT_total", "278"},
    {"bwd_packets_IAT_mean", "20.916666666666668"},
    {"bwd_packets_IAT_std", "45.2073156567484"},
    {"bwd_packets_IAT_max", "122"},
    {"bwd_packets_IAT_min", "0.5"},
    {"bwd_packets_IAT_total", "125.5"},
    {"subflow_fwd_packets", "2"},
    {"subflow_bwd_packets", "1.75"},
    {"subflow_fwd_bytes", "200"},
    {"subflow_bwd_bytes", "375"},
};

TEST(Columns114, EveryColumn) {
  const uint64_t start = 1'700'000'000'250'000'999;
  std::vector<TimedFrame> frames = {
      F(0, FM_SYN, 64240).tcp_options(20).at(0),
      B(0, FM_SYN | FM_ACK | FM_ECE, 28960).tcp_options(20).at(0.5),
      F(100, FM_ACK | FM_PSH).at(1),
      F(200, FM_ACK | FM_URG).at(1.25),
      F(300, FM_ACK | FM_ECE).at(1.5),
      F(200, FM_ACK | FM_PSH).at(1.75),
      B(400, FM_ACK | FM_PSH | FM_ECE).at(2),
      B(400, FM_ACK | FM_URG).at(2.5),
      B(400, FM_ACK | FM_URG | FM_CWR).at(3),
      B(100, FM_ACK | FM_PSH | FM_CWR).at(3.5),
      B(200, FM_ACK | FM_PSH).at(4),
      F(0, FM_SYN | FM_ACK).pad_to(60).at(124),
      B(0, FM_FIN | FM_ACK).pad_to(60).at(126),
      F(0, FM_FIN | FM_ACK | FM_CWR).at(276),
      F(0, FM_FIN | FM_RST).at(278),
  };
  for (TimedFrame& f : frames) f.time_ns += start;
  const auto rows = rows_of(frames);
  ASSERT_EQ(rows.size(), 1u);
  ASSERT_EQ(kEveryColumn.size(), 121u);
  expect_cells(rows[0], kEveryColumn);
}

// ---- what the flow above does not show ----

TEST(Columns114, LeastPayloadAboveZeroAndHeadersOfEachDirection) {
  const auto rows = rows_of({F(30).tcp_options(12).at(0), F(10).tcp_options(40).at(1),
                             B(7).tcp_options(8).at(2), B(9).tcp_options(4).at(3)});
  ASSERT_EQ(rows.size(), 1u);
  expect_cells(rows[0], {{"payload_bytes_min", "7"},
                         {"payload_bytes_max", "30"},
                         {"fwd_payload_bytes_min", "10"},
                         {"bwd_payload_bytes_min", "7"},
                         {"bwd_payload_bytes_max", "9"},
                         {"bwd_payload_bytes_variance", "1"},
                         {"min_header_bytes", "24"},
                         {"max_header_bytes", "60"},
                         {"fwd_min_header_bytes", "32"},
                         {"fwd_max_header_bytes", "60"},
                         {"fwd_std_header_bytes", "14"},
                         {"bwd_min_header_bytes", "24"},
                         {"bwd_max_header_bytes", "28"},
                         {"bwd_std_header_bytes", "2"}});
}

TEST(Columns114, OnePacket) {
  const auto rows = rows_of({F(100).at(0)});
  ASSERT_EQ(rows.size(), 1u);
  expect_zero(rows[0], kActiveAndIdle);
  for (const std::string& name : column_names(columns_114()))
    if (name.find("IAT") != std::string::npos || name.find("rate") != std::string::npos ||
        name.find("_std") != std::string::npos || name.find("std_") == 0 ||
        name.find("variance") != std::string::npos || name.find("bulk") != std::string::npos ||
        name.find("subflow") == 0 || name.find("bwd_") == 0 || name == "duration") {
      EXPECT_EQ(rows[0].text(name), "0") << name;
    }
  expect_cells(rows[0], {{"packets_count", "1"},
                         {"payload_bytes_max", "100"},
                         {"payload_bytes_min", "100"},
                         {"payload_bytes_mean", "100"},
                         {"fwd_avg_segment_size", "100"},
                         {"total_header_bytes", "20"},
                         {"min_header_bytes", "20"},
                         {"fwd_init_win_bytes", "8192"},
                         {"ack_flag_counts", "1"}});
}

TEST(Columns114, Udp) {
  const auto there = ipv4("10.0.0.1", "10.0.0.2").udp(1000, 53).payload(30);
  const auto back = ipv4("10.0.0.2", "10.0.0.1").udp(53, 1000).payload(60);
  const auto rows = rows_of({there.at(0), back.at(0.1)});
  ASSERT_EQ(rows.size(), 1u);
  expect_cells(rows[0], {{"protocol", "UDP"},
                         {"flow_id", "10.0.0.1_1000_10.0.0.2_53_UDP_1970-01-01 00:00:00.000000"},
                         {"total_header_bytes", "16"},
                         {"bwd_total_header_bytes", "8"},
                         {"total_payload_bytes", "90"},
                         {"payload_bytes_std", "15"},
                         {"fwd_init_win_bytes", "0"},
                         {"bwd_init_win_bytes", "0"},
                         {"down_up_rate", "1"}});
  for (const std::string& name : column_names(columns_114()))
    if (name.find("flag_counts") != std::string::npos) {
      EXPECT_EQ(rows[0].text(name), "0") << name;
    }
}

TEST(Columns114, IcmpHasPortsWindowsAndFlagsOfZero) {
  const auto rows = rows_of({ipv4("10.0.0.1", "10.0.0.2").icmp(8, 0, 77).payload(56).at(0),
                             ipv6("fe80::1", "ff02::1").icmp(135, 0).payload(16).at(1)});
  ASSERT_EQ(rows.size(), 2u);
  expect_cells(rows[0], {{"flow_id", "10.0.0.1_0_10.0.0.2_0_ICMP_1970-01-01 00:00:00.000000"},
                         {"protocol", "ICMP"},
                         {"src_port", "0"},
                         {"dst_port", "0"},
                         {"total_header_bytes", "8"},
                         {"total_payload_bytes", "56"},
                         {"fwd_init_win_bytes", "0"}});
  expect_cells(rows[1], {{"flow_id", "fe80::1_0_ff02::1_0_ICMPv6_1970-01-01 00:00:01.000000"},
                         {"protocol", "ICMPv6"}});
  for (const Row& row : rows)
    for (const std::string& name : column_names(columns_114())) {
      EXPECT_NE(row.text(name), "-1") << name;
      if (name.find("flag_counts") != std::string::npos) {
        EXPECT_EQ(row.text(name), "0") << name;
      }
    }
}

// The longest possible cell: both addresses, ports, protocol, and a time beyond the calendar.
TEST(Columns114, LongestFlowId) {
  fm_flow_key key{};
  key.ip_version = 6;
  key.protocol = FM_ICMPV6;
  for (fm_address& address : key.address) std::memset(&address, 0xfe, sizeof(address));
  fm_flow flow{};
  flow.counters.first_ns = UINT64_MAX;
  const FlowRecord record{key, flow, clock_origin(static_cast<__int128>(1) << 93), FM_END_INPUT};
  const Cell id = columns_114()[0].get(record);
  const std::string address = "fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe";
  EXPECT_EQ(id.text(), address + "_0_" + address + "_0_ICMPv6_" +
                           std::string(columns_114()[1].get(record).text()));
  EXPECT_LE(id.text().size() + 2 * (4 + INET6_ADDRSTRLEN - 1 - address.size()), Cell::kMaxText)
      << "with ports of five digits and the longest addresses";
}

TEST(Columns114, BulkAcrossBareAcks) {
  const auto rows = rows_of({F(100).at(0), B(0).at(.05), F(100).at(.1), B(0).at(.15), F(100).at(.2),
                             F(100).at(.3), F(100).at(.4), F(100).at(.5)});
  expect_cells(rows[0], {{"fwd_bulk_state_count", "1"},
                         {"fwd_bulk_total_size", "600"},
                         {"fwd_bulk_per_packet", "6"},
                         {"fwd_bulk_duration", "0.5"},
                         {"avg_fwd_bulk_rate", "1200"}});
}

TEST(Columns114, PayloadOfTheOtherDirectionEndsARun) {
  const auto rows =
      rows_of({F(100).at(0), F(100).at(.1), B(50).at(.15), F(100).at(.2), F(100).at(.3)});
  expect_zero(rows[0], {"fwd_bulk_state_count", "fwd_bulk_total_size", "fwd_bulk_per_packet",
                        "fwd_bulk_duration", "avg_fwd_bulk_rate", "bwd_bulk_state_count"});
}

TEST(Columns114, FourPacketsAreABulkAndThreeAreNot) {
  expect_cells(rows_of(forward_at({0, .1, .2, .3}, 100))[0], {{"fwd_bulk_state_count", "1"},
                                                              {"fwd_bulk_total_size", "400"},
                                                              {"fwd_bulk_per_packet", "4"},
                                                              {"fwd_bulk_duration", "0.3"}});
  expect_zero(rows_of(forward_at({0, .1, .2}, 100))[0], {"fwd_bulk_state_count"});
}

TEST(Columns114, TwoBackwardBulks) {
  std::vector<TimedFrame> frames = {F(10).at(0)};
  for (const double t : {.1, .2, .3, .4, .5, 5.0, 5.1, 5.2, 5.3, 5.4})
    frames.push_back(B(100).at(t));
  expect_cells(rows_of(frames)[0], {{"bwd_bulk_state_count", "2"},
                                    {"bwd_bulk_total_size", "1000"},
                                    {"bwd_bulk_per_packet", "10"},
                                    {"bwd_bulk_duration", "0.8"},
                                    {"avg_bwd_bytes_per_bulk", "500"},
                                    {"avg_bwd_packets_bulk_rate", "5"},
                                    {"avg_bwd_bulk_rate", "1250"}});
}

TEST(Columns114, SubflowsCountGapsAboveOneSecond) {
  const auto rows = rows_of({F(10).at(0), B(20).at(.5), F(10).at(2), B(20).at(3), F(10).at(4.5)});
  expect_cells(rows[0], {{"subflow_fwd_packets", "1.5"},
                         {"subflow_bwd_packets", "1"},
                         {"subflow_fwd_bytes", "15"},
                         {"subflow_bwd_bytes", "20"}});
}

TEST(Columns114, GapsOfExactlyTheLimits) {
  const auto rows = rows_of(forward_at({0, 1, 2, 3}, 10));
  expect_cells(rows[0], {{"fwd_bulk_state_count", "1"}, {"fwd_bulk_duration", "3"}});
  expect_zero(rows[0], {"subflow_fwd_packets", "subflow_fwd_bytes"});
}

TEST(Columns114, ActiveAndIdle) {
  expect_cells(rows_of(forward_at({0, 10, 20, 150, 160, 170, 180, 400, 401}))[0],
               {{"active_min", "20"},
                {"active_max", "30"},
                {"active_mean", "25"},
                {"active_std", "5"},
                {"idle_min", "130"},
                {"idle_max", "220"},
                {"idle_mean", "175"},
                {"idle_std", "45"}});
  expect_zero(rows_of(forward_at({0, 1, 2, 50}))[0], kActiveAndIdle);
  expect_cells(rows_of(forward_at({0, 100, 200.000001}))[0],
               {{"active_min", "100"}, {"active_max", "100"}, {"idle_max", "100.000001"}});
}

TEST(Columns114, LaterFragmentHasNoHeader) {
  const auto first = ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(1000).first_fragment(9);
  const auto later = ipv4("10.0.0.1", "10.0.0.2").protocol(17).payload(1000).last_fragment(126, 9);
  const auto rows = rows_of({first.at(0), later.at(0)});
  ASSERT_EQ(rows.size(), 1u);
  expect_cells(rows[0], {{"packets_count", "2"},
                         {"total_payload_bytes", "2000"},
                         {"total_header_bytes", "8"},
                         {"max_header_bytes", "8"},
                         {"min_header_bytes", "0"},
                         {"mean_header_bytes", "4"},
                         {"std_header_bytes", "4"}});
}

TEST(Columns114, FlowAfterAnActiveTimeoutKeepsItsOrientation) {
  fm_settings settings = settings_114();
  settings.active_timeout_ns = 20 * FM_SECOND_NS;
  const auto rows = rows_of({F(0, FM_FIN | FM_ACK).at(0), B(0).at(20),
                             B(0, FM_FIN | FM_ACK).at(20.000001), F(0, FM_SYN).at(24)},
                            settings);
  ASSERT_EQ(rows.size(), 3u);
  expect_cells(rows[1], {{"fwd_packets_count", "0"},
                         {"bwd_packets_count", "1"},
                         {"src_ip", "192.168.1.9"},
                         {"fwd_min_header_bytes", "0"},
                         {"bwd_min_header_bytes", "20"},
                         {"min_header_bytes", "20"},
                         {"down_up_rate", "0"}});
  expect_cells(rows[2], {{"packets_count", "1"}, {"syn_flag_counts", "1"}});
}

std::vector<TimedFrame> connection() {
  return {F(0, FM_SYN).at(0),
          B(0, FM_SYN | FM_ACK).at(.1),
          F(0).at(.2),
          F(100).at(.3),
          B(200).at(.4),
          F(0, FM_FIN | FM_ACK).at(.5),
          B(0, FM_FIN | FM_ACK).at(.6),
          F(0).at(.7)};
}

TEST(Columns114, LastAckBelongsToItsConnection) {
  auto frames = connection();
  auto rows = rows_of(frames);
  ASSERT_EQ(rows.size(), 1u);
  expect_cells(rows[0], {{"packets_count", "8"},
                         {"duration", "0.7"},
                         {"payload_bytes_mean", "37.5"},
                         {"payload_bytes_variance", "4843.75"},
                         {"fin_flag_counts", "2"},
                         {"syn_flag_counts", "2"},
                         {"down_up_rate", "0.6"}});
  frames.push_back(F(0, FM_SYN).at(.8));
  rows = rows_of(frames);
  ASSERT_EQ(rows.size(), 2u);
  // The second flow reuses the first one's place in the table, but starts with zeros.
  expect_cells(
      rows[1],
      {{"payload_bytes_max", "0"}, {"payload_bytes_variance", "0"}, {"total_header_bytes", "20"}});
}

TEST(Columns114, FramePaddingIsNotPayload) {
  const auto rows = rows_of({F(0).pad_to(60).at(0), B(0).pad_to(60).at(1)});
  expect_cells(rows[0], {{"total_payload_bytes", "0"},
                         {"payload_bytes_max", "0"},
                         {"min_header_bytes", "20"},
                         {"max_header_bytes", "20"}});
}

TEST(Columns114, ClockStepsBack) {
  const auto rows = rows_of({F(0).at(5), F(0).at(6), F(0).at(4)});
  expect_cells(rows[0], {{"duration", "1"}, {"packet_IAT_min", "0"}, {"packet_IAT_total", "1"}});
}

}  // namespace
}  // namespace flowmeter::testing
