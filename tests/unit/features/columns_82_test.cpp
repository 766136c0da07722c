// SPDX-License-Identifier: BSD-3-Clause
// The 82 columns: flows worked out by hand. Frames go through the parser, the tables and the
// features.
#include "features/columns_82.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "support/conversation.h"
#include "support/expect_cells.h"
#include "support/replay_rows.h"

namespace flowmeter::testing {
namespace {

Packet echo_request(uint16_t id) {
  return ipv4("10.0.0.1", "10.0.0.2").icmp(8, 0, id);
}
Packet echo_reply(uint16_t id) {
  return ipv4("10.0.0.2", "10.0.0.1").icmp(0, 0, id);
}

const std::vector<std::string> kNotForIcmp = {
    "src_port",      "dst_port",       "fwd_psh_flags",     "bwd_psh_flags",
    "fwd_urg_flags", "bwd_urg_flags",  "fin_flag_cnt",      "syn_flag_cnt",
    "rst_flag_cnt",  "psh_flag_cnt",   "ack_flag_cnt",      "urg_flag_cnt",
    "ece_flag_cnt",  "cwr_flag_count", "init_fwd_win_byts", "init_bwd_win_byts"};

TEST(Columns82, NamesAreUniqueAndInOrder) {
  const auto& names = column_names();
  ASSERT_EQ(names.size(), 82u);
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 82u);
  EXPECT_EQ(names[0], "src_ip");
  EXPECT_EQ(names[6], "flow_duration");
  EXPECT_EQ(names[31], "fwd_act_data_pkts");
  EXPECT_EQ(names[57], "down_up_ratio");
  EXPECT_EQ(names[77], "cwr_flag_count");
  EXPECT_EQ(names[81], "subflow_bwd_byts");
  for (const Column& column : columns_82()) {
    EXPECT_FALSE(column.definition().empty()) << column.name;
    EXPECT_FALSE(unit_name(column.unit).empty()) << column.name;
  }
}

// ---- a flow in which every column has a different value ----

// Time, direction, payload, header, length:   0 F 0 60 74 SYN | .5 B 0 60 74 SYN-ACK, ECE | .75 F 0
// 40 60 | 1 F 200 PSH URG | 1.25 F 100 CWR | 1.5 F 100 | 1.75 F 200 PSH | 2 B 300 URG | 2.25 B 300
// | 2.5 B 300 | 2.75 B 100 PSH | 3.25 B 200 PSH | 10.25 F 0 60 | 12.25 B 0 60 | 21.25 B 0 60 FIN
// | 21.75 F 0 60 FIN | 22 F 0 60 RST
//
// Forward lengths: 74 60 254 154 154 254 60 60 60 (9, sum 1130); backward: 74 354 354 354 154 254
// 60 60 (8, 1664). Forward mean 1130/9; Σx² = 74² + 4·60² + 2·254² + 2·154² = 196340; variance
// 196340/9 − (1130/9)² = 490160/81. Backward mean 208; Σx² = 74² + 3·354² + 154² + 254² + 2·60² =
// 476856; variance 59607 − 43264 = 16343. All: 17, 2794; Σx² = 673196; variance 673196/17 −
// (2794/17)² = (11444332 − 7806436)/289 = 3637896/289. Forward times 0 .75
// 1 1.25 1.5 1.75 10.25 21.75 22: gaps .75 .25 .25 .25 .25 8.5 11.5 .25, mean 2.75, variance
// Σx²/8 − 2.75² = (.5625 + 5·.0625 + 72.25 + 132.25)/8 − 7.5625 = 205.375/8 − 7.5625 = 18.109375.
// Backward times .5 2 2.25 2.5 2.75 3.25 12.25 21.25: gaps 1.5 .25 .25 .25 .5 9 9, mean 20.75/7,
// variance (2.25 + 3·.0625 + .25 + 162)/7 − (20.75/7)² = 164.6875/7 − 430.5625/49 = (1152.8125 −
// 430.5625)/49 = 722.25/49. Flow gaps .5 .25 .25 .25 .25 .25 .25 .25 .25 .25 .5 7 2 9 .5 .25 (16,
// sum 22), mean 1.375, variance (3·.25 + 10·.0625 + 49 + 4 + 81)/16 − 1.375² = 135.375/16
// − 1.890625 = 6.5703125. Pieces: 0–3.25, 10.25–12.25, 21.25–22: 3.25, 2, .75: mean 2, variance
// (1.5625 + 0 + 1.5625)/3 = 3.125/3. Idle: 7 and 9. Subflow gaps: 7, 2, 9: K = 4. Forward bulk
// 200 100 100 200 over .75 s; backward 300 300 300 100 200 over 1.25 s.
const Cells kEveryColumn = {
    {"src_ip", "192.168.1.9"},
    {"dst_ip", "10.0.0.2"},
    {"src_port", "4242"},
    {"dst_port", "80"},
    {"protocol", "6"},
    {"timestamp", "2023-11-14 22:13:20.250000"},
    {"flow_duration", "22"},
    {"flow_byts_s", "127"},
    {"flow_pkts_s", "0.7727272727272727"},
    {"fwd_pkts_s", "0.4090909090909091"},
    {"bwd_pkts_s", "0.36363636363636365"},
    {"tot_fwd_pkts", "9"},
    {"tot_bwd_pkts", "8"},
    {"totlen_fwd_pkts", "1130"},
    {"totlen_bwd_pkts", "1664"},
    {"fwd_pkt_len_max", "254"},
    {"fwd_pkt_len_min", "60"},
    {"fwd_pkt_len_mean", "125.55555555555556"},
    {"fwd_pkt_len_std", "77.79047515404028"},  // sqrt(490160) / 9
    {"bwd_pkt_len_max", "354"},
    {"bwd_pkt_len_min", "60"},
    {"bwd_pkt_len_mean", "208"},
    {"bwd_pkt_len_std", "127.83974342902914"},
    {"pkt_len_max", "354"},
    {"pkt_len_min", "60"},
    {"pkt_len_mean", "164.35294117647058"},
    {"pkt_len_std", "112.19570148863079"},
    {"pkt_len_var", "12587.875432525952"},
    {"fwd_header_len", "380"},
    {"bwd_header_len", "340"},
    {"fwd_seg_size_min", "0"},
    {"fwd_act_data_pkts", "4"},
    {"flow_iat_mean", "1.375"},
    {"flow_iat_max", "9"},
    {"flow_iat_min", "0.25"},
    {"flow_iat_std", "2.5632620818012346"},
    {"fwd_iat_tot", "22"},
    {"fwd_iat_max", "11.5"},
    {"fwd_iat_min", "0.25"},
    {"fwd_iat_mean", "2.75"},
    {"fwd_iat_std", "4.2555111326373005"},
    {"bwd_iat_tot", "20.75"},
    {"bwd_iat_max", "9"},
    {"bwd_iat_min", "0.25"},
    {"bwd_iat_mean", "2.9642857142857144"},
    {"bwd_iat_std", "3.839244185821911"},  // sqrt(722.25) / 7
    {"fwd_psh_flags", "2"},
    {"bwd_psh_flags", "2"},
    {"fwd_urg_flags", "1"},
    {"bwd_urg_flags", "1"},
    {"fin_flag_cnt", "2"},
    {"syn_flag_cnt", "2"},
    {"rst_flag_cnt", "1"},
    {"psh_flag_cnt", "4"},
    {"ack_flag_cnt", "15"},
    {"urg_flag_cnt", "2"},
    {"ece_flag_cnt", "1"},
    {"down_up_ratio", "0.8888888888888888"},
    {"pkt_size_avg", "164.35294117647058"},
    {"init_fwd_win_byts", "64240"},
    {"init_bwd_win_byts", "28960"},
    {"active_max", "3.25"},
    {"active_min", "0.75"},
    {"active_mean", "2"},
    {"active_std", "1.0206207261596576"},
    {"idle_max", "9"},
    {"idle_min", "7"},
    {"idle_mean", "8"},
    {"idle_std", "1"},
    {"fwd_byts_b_avg", "600"},
    {"fwd_pkts_b_avg", "4"},
    {"bwd_byts_b_avg", "1200"},
    {"bwd_pkts_b_avg", "5"},
    {"fwd_blk_rate_avg", "800"},
    {"bwd_blk_rate_avg", "960"},
    {"fwd_seg_size_avg", "66.66666666666667"},
    {"bwd_seg_size_avg", "150"},
    {"cwr_flag_count", "1"},
    {"subflow_fwd_pkts", "2.25"},
    {"subflow_bwd_pkts", "2"},
    {"subflow_fwd_byts", "282.5"},
    {"subflow_bwd_byts", "416"},
};

TEST(Columns82, EveryColumn) {
  const uint64_t start = 1'700'000'000'250'000'999;
  std::vector<TimedFrame> frames = {
      F(0, FM_SYN, 64240).tcp_options(20).at(0),
      B(0, FM_SYN | FM_ACK | FM_ECE, 28960).tcp_options(20).at(0.5),
      F(0).pad_to(60).at(0.75),
      F(200, FM_ACK | FM_PSH | FM_URG).at(1),
      F(100, FM_ACK | FM_CWR).at(1.25),
      F(100).at(1.5),
      F(200, FM_ACK | FM_PSH).at(1.75),
      B(300, FM_ACK | FM_URG).at(2),
      B(300).at(2.25),
      B(300).at(2.5),
      B(100, FM_ACK | FM_PSH).at(2.75),
      B(200, FM_ACK | FM_PSH).at(3.25),
      F(0).pad_to(60).at(10.25),
      B(0).pad_to(60).at(12.25),
      B(0, FM_FIN | FM_ACK).pad_to(60).at(21.25),
      F(0, FM_FIN | FM_ACK).pad_to(60).at(21.75),
      F(0, FM_RST).pad_to(60).at(22),
  };
  for (TimedFrame& f : frames) f.time_ns += start;
  const Replayed result = replay(frames);
  ASSERT_EQ(result.rows.size(), 1u);
  ASSERT_EQ(kEveryColumn.size(), 82u);
  expect_cells(result.rows[0], kEveryColumn);
}

TEST(Columns82, ForwardColumnsThatTheFlowAboveLeavesAtZero) {
  // Least payload above 0; a mean segment; two bulks of one direction.
  const auto rows = replay({F(10).at(0), F(30).at(0.5), F(20).at(1), F(40).at(2), B(7).at(2),
                            F(10).at(3), F(10).at(3), F(10).at(3), F(10).at(3.5)})
                        .rows;
  ASSERT_EQ(rows.size(), 1u);
  expect_cells(rows[0], {{"fwd_seg_size_min", "10"},
                         {"fwd_seg_size_avg", "17.5"},
                         {"bwd_seg_size_avg", "7"},
                         {"fwd_byts_b_avg", "70"},  // 100 and 40
                         {"fwd_pkts_b_avg", "4"},
                         {"fwd_blk_rate_avg", "56"},  // 140 in 2 s and .5 s
                         {"bwd_byts_b_avg", "0"},
                         {"bwd_pkts_b_avg", "0"},
                         {"bwd_blk_rate_avg", "0"},
                         {"fwd_act_data_pkts", "8"}});
}

// ---- test vectors of the specification ----

TEST(Columns82, VectorOnePacket) {
  const auto rows = replay({F(100).at(0)}).rows;
  ASSERT_EQ(rows.size(), 1u);
  for (const std::string& column : column_names())
    if (column.find("_iat_") != std::string::npos || column.find("active_") == 0 ||
        column.find("idle_") == 0 || column.find("_std") != std::string::npos ||
        column.find("_s") + 2 == column.size() || column == "flow_duration" ||
        column == "pkt_len_var") {
      EXPECT_EQ(rows[0].text(column), "0") << column;
    }
  expect_cells(rows[0], {{"tot_fwd_pkts", "1"},
                         {"tot_bwd_pkts", "0"},
                         {"totlen_fwd_pkts", "154"},
                         {"pkt_len_mean", "154"},
                         {"bwd_pkt_len_min", "0"},
                         {"subflow_fwd_pkts", "1"},
                         {"init_bwd_win_byts", "0"}});
}

TEST(Columns82, VectorHandshakeAndData) {
  const auto rows = replay({F(0, FM_SYN).pad_to(60).at(0), B(0, FM_SYN | FM_ACK).pad_to(60).at(0.1),
                            F(0).pad_to(60).at(0.2), F(100, FM_PSH).at(0.3), B(46, FM_PSH).at(2)})
                        .rows;
  ASSERT_EQ(rows.size(), 1u);
  expect_cells(rows[0], {{"flow_duration", "2"},
                         {"flow_byts_s", "217"},
                         {"pkt_len_var", "1368.96"},
                         {"flow_iat_mean", "0.5"},
                         {"fwd_iat_tot", "0.3"},
                         {"bwd_iat_std", "0"},
                         {"bwd_seg_size_avg", "23"},
                         {"subflow_fwd_pkts", "1.5"},
                         {"active_max", "2"},
                         {"idle_max", "0"}});
}

TEST(Columns82, VectorTwoBulks) {
  const auto rows =
      replay({F(10).at(0), F(10).at(1), B(0).at(1), F(10).at(1), F(10).at(2), F(20).at(2),
              B(1).at(2), F(5).at(2), F(5).at(2), F(5).at(2), F(5).at(3.000000001),
              F(5).at(3.000000001), F(5).at(3.000000001), F(5).at(3.000000001)})
          .rows;
  ASSERT_EQ(rows.size(), 1u);
  expect_cells(rows[0], {{"fwd_byts_b_avg", "40"},
                         {"fwd_pkts_b_avg", "4.5"},
                         {"fwd_blk_rate_avg", "40"},
                         {"subflow_fwd_pkts", "6"}});  // 12 packets, K 2
}

TEST(Columns82, VectorActiveAndIdle) {
  std::vector<TimedFrame> frames;
  for (const double t : {0.0, 0.5, 1.0, 1.5, 11.5})
    frames.push_back(ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).at(t));
  const auto rows = replay(frames).rows;
  ASSERT_EQ(rows.size(), 1u);
  expect_cells(rows[0], {{"active_max", "1.5"},
                         {"active_min", "1.5"},
                         {"active_std", "0"},
                         {"idle_max", "10"},
                         {"subflow_fwd_pkts", "2.5"}});
}

TEST(Columns82, VectorClockStepsBack) {
  const auto rows = replay({F(0, FM_SYN).at(5), B(0, FM_RST).at(6), F(0).at(4)}).rows;
  ASSERT_EQ(rows.size(), 1u);
  expect_cells(rows[0], {{"flow_duration", "1"}, {"flow_iat_min", "0"}, {"fwd_iat_tot", "1"}});
}

TEST(Columns82, VectorLinger) {
  const auto rows = replay({F(0, FM_FIN).at(2), B(0, FM_FIN).at(3), F(0).at(4), B(0).at(9),
                            B(0).at(14.000000001)})
                        .rows;
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].packets(), 4u);
  EXPECT_EQ(rows[0].text("src_ip"), "192.168.1.9");
  EXPECT_EQ(rows[1].packets(), 1u);
  EXPECT_EQ(rows[1].text("src_ip"), "10.0.0.2") << "its own orientation";
  EXPECT_EQ(rows[0].end(), FM_END_IDLE);
}

TEST(Columns82, VectorHalfClosed) {
  const auto rows =
      replay({F(0, FM_FIN).at(0), B(0, FM_SYN).at(9), B(0).at(249), B(0).at(489.000000001)}).rows;
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].packets(), 3u);
  EXPECT_EQ(rows[1].packets(), 1u);
}

TEST(Columns82, VectorActiveTimeout) {
  fm_settings settings = fm_default_settings();
  settings.active_timeout_ns = 100 * FM_SECOND_NS;
  const auto rows = replay({F(0, FM_FIN).at(0), B(0).at(100), B(0, FM_FIN).at(100.000000001),
                            F(0, FM_SYN).at(104)},
                           settings)
                        .rows;
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].packets(), 2u);
  EXPECT_EQ(rows[0].end(), FM_END_ACTIVE);
  EXPECT_EQ(rows[1].text("src_ip"), "192.168.1.9") << "keeps the orientation";
  expect_cells(rows[1], {{"tot_fwd_pkts", "0"},
                         {"tot_bwd_pkts", "1"},
                         {"fin_flag_cnt", "1"},
                         {"down_up_ratio", "0"},
                         {"fwd_seg_size_min", "0"},
                         {"fwd_pkt_len_max", "0"},
                         {"fwd_seg_size_avg", "0"}});
  EXPECT_EQ(rows[1].end(), FM_END_REOPENED) << "closed by its one FIN";
  EXPECT_EQ(rows[2].packets(), 1u);
}

TEST(Columns82, VectorEcho) {
  const auto rows =
      replay({echo_request(1).at(0), echo_reply(1).at(1), echo_request(2).at(2)}).rows;
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].packets(), 2u);
  for (const Row& row : rows)
    for (const std::string& column : kNotForIcmp) EXPECT_EQ(row.text(column), "-1") << column;
  const auto minus_ones = std::count(rows[0].cells().begin(), rows[0].cells().end(), "-1");
  EXPECT_EQ(minus_ones, 16);
}

TEST(Columns82, ReplySeenFirstIsForward) {
  const auto rows = replay({echo_reply(1).at(0), echo_request(1).at(1)}).rows;
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].text("src_ip"), "10.0.0.2");
}

TEST(Columns82, VectorIcmpTypes) {
  const auto there = [](uint8_t type) { return ipv4("10.0.0.1", "10.0.0.2").icmp(type, 0); };
  const auto rows = replay({there(3).at(0), there(3).at(1), there(11).reversed().at(2),
                            there(3).reversed().at(61), there(3).reversed().at(121.000000001)})
                        .rows;
  ASSERT_EQ(rows.size(), 3u);
}

TEST(Columns82, VectorFragments) {
  const auto later = ipv4("10.0.0.1", "10.0.0.2").protocol(17).payload(7).last_fragment(4, 9);
  const auto first = ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(24).first_fragment(9);
  const Replayed r = replay({later.at(0), first.at(0), later.at(30), later.at(30.000000001)});
  EXPECT_EQ(r.account.by_class[FM_METERED], 2u);
  EXPECT_EQ(r.account.by_class[FM_UNATTRIBUTED_FRAGMENT], 2u);
  ASSERT_EQ(r.rows.size(), 1u);
  expect_cells(r.rows[0], {{"fwd_header_len", "48"}, {"fwd_seg_size_avg", "15.5"}});
}

TEST(Columns82, VectorClasses) {
  auto tags = [](unsigned count) {
    Packet p = ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(9);
    for (unsigned i = 0; i < count; i++) p.vlan();
    return p;
  };
  const Replayed r = replay({tags(0).ip_length(38).at(0),
                             ipv4("10.0.0.1", "10.0.0.3").udp(1, 2).ip_length(0).pad_to(72).at(0),
                             tags(4).at(0), tags(5).at(0)});
  EXPECT_EQ(r.account.by_class[FM_MALFORMED], 1u);
  EXPECT_EQ(r.account.by_class[FM_NOT_IP], 1u);
  EXPECT_EQ(r.account.by_class[FM_METERED], 2u);
  ASSERT_EQ(r.rows.size(), 2u);
  EXPECT_EQ(r.rows[0].text("fwd_seg_size_min"), "30");
}

// ---- single rules ----

TEST(Columns82, BothEndsTheSame) {
  const auto p = ipv4("10.0.0.1", "10.0.0.1").udp(7, 7);
  const auto rows = replay({p.at(0), p.reversed().at(1)}).rows;
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].text("tot_fwd_pkts"), "2");
}

TEST(Columns82, Ipv6Icmp) {
  const auto rows = replay({ipv6("fe80::1", "ff02::1").icmp(135, 0).payload(16).at(0)}).rows;
  ASSERT_EQ(rows.size(), 1u);
  expect_cells(rows[0], {{"src_ip", "fe80::1"},
                         {"dst_ip", "ff02::1"},
                         {"protocol", "58"},
                         {"src_port", "-1"},
                         {"fwd_header_len", "48"},
                         {"fwd_seg_size_min", "16"}});
}

TEST(Columns82, UdpHasNoFlagsAndNoWindow) {
  const auto rows = replay({ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(9).at(0)}).rows;
  for (const std::string& column : kNotForIcmp)
    if (column != "src_port" && column != "dst_port") {
      EXPECT_EQ(rows[0].text(column), "0") << column;
    }
}

TEST(Columns82, WindowOfAMidstreamFlowAndOfZero) {
  const auto rows = replay({F(0, FM_ACK, 0).at(0), F(0, FM_ACK, 77).at(1), B(9, FM_PSH, 501).at(2),
                            B(9, FM_PSH, 502).at(3)})
                        .rows;
  expect_cells(rows[0], {{"init_fwd_win_byts", "0"}, {"init_bwd_win_byts", "501"}});
}

TEST(Columns82, UncapturedBytesCount) {
  const auto rows = replay({F(1400).cut_to(60).at(0)}).rows;
  expect_cells(rows[0], {{"totlen_fwd_pkts", "1454"}, {"fwd_seg_size_min", "1400"}});
}

}  // namespace
}  // namespace flowmeter::testing
