// SPDX-License-Identifier: BSD-3-Clause
// Properties of every row of any input in each feature set. A quantity is the same in all sets.
// Frames go through the parser, the tables and the features.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <set>

#include "features/columns_114.h"
#include "features/columns_82.h"
#include "features/columns_97.h"
#include "features/feature_sets.h"
#include "support/random_traffic.h"
#include "support/replay_rows.h"

namespace flowmeter::testing {
namespace {

class ColumnsProperty : public ::testing::Test {
 protected:
  // A new seed in each run; a failure prints it.
  const unsigned seed_ = std::random_device{}();
  std::mt19937 random_{seed_};
  ::testing::ScopedTrace trace_{__FILE__, __LINE__, ::testing::Message() << "seed " << seed_};
};

fm_settings settings_of(std::string_view set) {
  return find_feature_set(set)->settings;
}

// ---- the 82 columns ----

const std::vector<std::string> kNotForIcmp = {
    "src_port",      "dst_port",       "fwd_psh_flags",     "bwd_psh_flags",
    "fwd_urg_flags", "bwd_urg_flags",  "fin_flag_cnt",      "syn_flag_cnt",
    "rst_flag_cnt",  "psh_flag_cnt",   "ack_flag_cnt",      "urg_flag_cnt",
    "ece_flag_cnt",  "cwr_flag_count", "init_fwd_win_byts", "init_bwd_win_byts"};

double seconds_of(uint64_t ns) {
  return static_cast<double>(ns) / 1e9;
}

void expect_invariants_82(const Row& row, const fm_settings& settings) {
  const auto n = [&](const char* column) { return row.number(column); };
  const double packets = n("tot_fwd_pkts") + n("tot_bwd_pkts"), duration = n("flow_duration");
  const double eps = 1e-9;
  EXPECT_GE(packets, 1);
  for (const std::string& cell : row.cells()) {
    EXPECT_FALSE(cell.empty());
    EXPECT_EQ(cell.find("nan"), std::string::npos);
    EXPECT_EQ(cell.find("inf"), std::string::npos);
  }
  EXPECT_LE(n("pkt_len_min"), n("pkt_len_mean"));
  EXPECT_LE(n("pkt_len_mean"), n("pkt_len_max"));
  EXPECT_NEAR(n("pkt_len_var"), n("pkt_len_std") * n("pkt_len_std"), eps * n("pkt_len_var"));
  EXPECT_EQ(n("pkt_size_avg"), n("pkt_len_mean"));
  EXPECT_NEAR(n("flow_iat_mean") * (packets - 1), duration, eps * duration + eps);
  for (const char* name : {"flow_iat", "fwd_iat", "bwd_iat", "active", "idle"}) {
    const std::string prefix = name;
    EXPECT_GE(row.number(prefix + "_min"), 0) << name;
    EXPECT_LE(row.number(prefix + "_min"), row.number(prefix + "_mean") * (1 + eps)) << name;
    EXPECT_LE(row.number(prefix + "_mean"), row.number(prefix + "_max") * (1 + eps)) << name;
    EXPECT_LE(row.number(prefix + "_std"), row.number(prefix + "_max") * (1 + eps)) << name;
  }
  EXPECT_LE(n("fwd_iat_tot"), duration + eps);
  EXPECT_LE(n("bwd_iat_tot"), duration + eps);
  for (const std::string& column : kNotForIcmp)
    if (column.find("_flag") != std::string::npos) {
      EXPECT_LE(row.number(column), packets) << column;
    }
  if (n("protocol") == 6 || n("protocol") == 17) {
    EXPECT_EQ(n("psh_flag_cnt"), n("fwd_psh_flags") + n("bwd_psh_flags"));
    EXPECT_EQ(n("urg_flag_cnt"), n("fwd_urg_flags") + n("bwd_urg_flags"));
  } else {
    for (const std::string& column : kNotForIcmp) EXPECT_EQ(row.text(column), "-1");
  }
  EXPECT_LE(n("fwd_act_data_pkts"), n("tot_fwd_pkts"));
  if (n("idle_max") != 0) {
    EXPECT_GT(n("idle_max"), 5);
  }
  const bool long_idle = n("protocol") == 6 || n("protocol") == 17;
  EXPECT_LE(n("idle_max"),
            seconds_of(long_idle ? settings.idle_timeout_ns : settings.icmp_idle_timeout_ns));
  EXPECT_LE(duration, seconds_of(settings.active_timeout_ns));
  EXPECT_EQ(
      n("totlen_fwd_pkts") + n("totlen_bwd_pkts") >= n("fwd_header_len") + n("bwd_header_len"),
      true);
}

TEST_F(ColumnsProperty, InvariantsOf82AndAccount) {
  for (int round = 0; round < 40; round++) {
    fm_settings settings = fm_default_settings();
    if (round % 2) settings.active_timeout_ns = 20 * FM_SECOND_NS;
    const Replayed r = replay(random_traffic(random_, 500).frames(), settings);
    EXPECT_EQ(r.account.seen, 500u);
    EXPECT_TRUE(r.account.balanced());
    uint64_t packets = 0;
    for (const Row& row : r.rows) {
      packets += row.packets();
      expect_invariants_82(row, settings);
      if (HasFailure()) FAIL() << "round " << round;
    }
    EXPECT_EQ(packets, r.account.metered());
    EXPECT_EQ(r.packets_written, r.account.metered());
  }
}

TEST_F(ColumnsProperty, SwappedEndsChangeIdentityOnly) {
  const std::set<std::string> identity = {"src_ip", "dst_ip", "src_port", "dst_port"};
  for (int round = 0; round < 20; round++) {
    const Traffic traffic = random_traffic(random_, 300);
    const Replayed there = replay(traffic.frames()), back = replay(traffic.frames(true));
    EXPECT_EQ(there.account.by_class, back.account.by_class);
    ASSERT_EQ(there.rows.size(), back.rows.size());
    for (size_t i = 0; i < there.rows.size(); i++) {
      for (const std::string& column : column_names())
        if (!identity.count(column)) {
          ASSERT_EQ(there.rows[i].text(column), back.rows[i].text(column)) << column;
        }
      // Packets whose ends are the same host keep their address pair.
      ASSERT_EQ(there.rows[i].text("src_ip"), back.rows[i].text("dst_ip"));
      ASSERT_EQ(there.rows[i].text("dst_port"), back.rows[i].text("src_port"));
    }
  }
}

TEST_F(ColumnsProperty, OtherFlowsBetweenChangeNothing) {
  for (int round = 0; round < 20; round++) {
    const Traffic mine = random_traffic(random_, 200),
                  other = random_traffic(random_, 400, "10.1.1.");
    std::vector<TimedFrame> mixed;
    const auto a = mine.frames(), b = other.frames();
    for (size_t i = 0, j = 0; i < a.size() || j < b.size();) {
      const bool take_mine = j == b.size() || (i < a.size() && random_() % 3 == 0);
      mixed.push_back(take_mine ? a[i++] : b[j++]);
    }
    const auto rows_of = [](const std::vector<Row>& rows) {
      std::vector<std::vector<std::string>> cells;
      for (const Row& row : rows)
        if (row.text("src_ip").find("10.0.0.") == 0) cells.push_back(row.cells());
      // A row is written when its flow ends, so the order depends on the others.
      std::sort(cells.begin(), cells.end());
      return cells;
    };
    ASSERT_EQ(rows_of(replay(a).rows), rows_of(replay(mixed).rows));
  }
}

// Only differences of times matter, not the first time.
TEST_F(ColumnsProperty, ShiftedClockChangesTheTimestampOnly) {
  const Traffic traffic = random_traffic(random_, 500);
  auto frames = traffic.frames();
  const auto before = replay(frames).rows;
  for (TimedFrame& f : frames) f.time_ns += 123'456'789'012'345'678;
  const auto after = replay(frames).rows;
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); i++)
    for (const std::string& column : column_names())
      if (column != "timestamp") {
        ASSERT_EQ(before[i].text(column), after[i].text(column)) << column;
      }
}

// ---- the 114 features ----

void expect_invariants_114(const Row& row) {
  const auto n = [&](const std::string& column) { return row.number(column); };
  const auto near = [&](double a, double b, const char* what) {
    EXPECT_NEAR(a, b, 1e-9 * std::max(std::fabs(a), std::fabs(b))) << what;
  };
  for (const std::string& cell : row.cells()) {
    EXPECT_FALSE(cell.empty());
    EXPECT_EQ(cell.find("nan"), std::string::npos);
    EXPECT_EQ(cell.find("inf"), std::string::npos);
  }
  EXPECT_EQ(n("packets_count"), n("fwd_packets_count") + n("bwd_packets_count"));
  EXPECT_EQ(n("total_payload_bytes"), n("fwd_total_payload_bytes") + n("bwd_total_payload_bytes"));
  EXPECT_EQ(n("total_header_bytes"), n("fwd_total_header_bytes") + n("bwd_total_header_bytes"));
  for (const char* flag : {"fin", "psh", "urg", "ece", "syn", "ack", "cwr", "rst"}) {
    const std::string name = std::string(flag) + "_flag_counts";
    EXPECT_EQ(n(name), n("fwd_" + name) + n("bwd_" + name)) << flag;
    EXPECT_LE(n(name), n("packets_count")) << flag;
  }
  near(n("payload_bytes_variance"), std::pow(n("payload_bytes_std"), 2), "variance");
  double within = 0;
  for (const std::string side : {"fwd_", "bwd_"})
    within += n(side + "packets_count") *
              (n(side + "payload_bytes_variance") +
               std::pow(n(side + "payload_bytes_mean") - n("payload_bytes_mean"), 2));
  near(n("packets_count") * n("payload_bytes_variance"), within, "law of total variance");
  for (const std::string side : {"", "fwd_", "bwd_"}) {
    EXPECT_LE(n(side + "payload_bytes_min"), n(side + "payload_bytes_mean"));
    EXPECT_LE(n(side + "payload_bytes_mean"), n(side + "payload_bytes_max"));
    EXPECT_LE(n(side + "min_header_bytes"), n(side + "mean_header_bytes"));
    EXPECT_LE(n(side + "mean_header_bytes"), n(side + "max_header_bytes"));
    EXPECT_LE(n(side + "std_header_bytes"), n(side + "max_header_bytes"));
  }
  EXPECT_EQ(row.text("packet_IAT_total"), row.text("duration"));
  EXPECT_EQ(row.text("fwd_avg_segment_size"), row.text("fwd_payload_bytes_mean"));
  EXPECT_EQ(row.text("bwd_avg_segment_size"), row.text("bwd_payload_bytes_mean"));
  EXPECT_EQ(row.text("avg_segment_size"), row.text("payload_bytes_mean"));
  for (const std::string side : {"fwd_", "bwd_"}) {
    EXPECT_LE(n(side + "bulk_total_size"), n(side + "total_payload_bytes"));
    EXPECT_LE(n(side + "bulk_per_packet"), n(side + "packets_count"));
    EXPECT_LE(4 * n(side + "bulk_state_count"), n(side + "bulk_per_packet"));
    EXPECT_LE(n(side + "bulk_duration"), n("duration"));
  }
}

TEST_F(ColumnsProperty, InvariantsOf114) {
  for (int round = 0; round < 40; round++) {
    fm_settings settings = settings_of("netflowmeter114");
    if (round % 2) settings.active_timeout_ns = 20 * FM_SECOND_NS;
    const Replayed r =
        replay(random_traffic(random_, 500).frames(), settings, kRoomyLimits, columns_114());
    uint64_t packets = 0;
    for (const Row& row : r.rows) {
      packets += row.packets();
      expect_invariants_114(row);
      if (HasFailure()) FAIL() << "round " << round;
    }
    EXPECT_EQ(packets, r.account.metered());
  }
}

// The columns that stand for one quantity in both sets, under the same parameters.
const std::map<std::string, std::string> kShared114 = {
    {"timestamp", "timestamp"},
    {"src_ip", "src_ip"},
    {"dst_ip", "dst_ip"},
    {"duration", "flow_duration"},
    {"fwd_packets_count", "tot_fwd_pkts"},
    {"bwd_packets_count", "tot_bwd_pkts"},
    {"fwd_payload_bytes_min", "fwd_seg_size_min"},
    {"fwd_payload_bytes_mean", "fwd_seg_size_avg"},
    {"bwd_payload_bytes_mean", "bwd_seg_size_avg"},
    {"idle_min", "idle_min"},
    {"idle_max", "idle_max"},
    {"idle_mean", "idle_mean"},
    {"idle_std", "idle_std"},
    {"packets_rate", "flow_pkts_s"},
    {"fwd_packets_rate", "fwd_pkts_s"},
    {"bwd_packets_rate", "bwd_pkts_s"},
    {"down_up_rate", "down_up_ratio"},
    {"avg_fwd_bytes_per_bulk", "fwd_byts_b_avg"},
    {"avg_fwd_packets_per_bulk", "fwd_pkts_b_avg"},
    {"avg_fwd_bulk_rate", "fwd_blk_rate_avg"},
    {"avg_bwd_bytes_per_bulk", "bwd_byts_b_avg"},
    {"avg_bwd_packets_bulk_rate", "bwd_pkts_b_avg"},
    {"avg_bwd_bulk_rate", "bwd_blk_rate_avg"},
    {"packets_IAT_mean", "flow_iat_mean"},
    {"packet_IAT_std", "flow_iat_std"},
    {"packet_IAT_max", "flow_iat_max"},
    {"packet_IAT_min", "flow_iat_min"},
    {"fwd_packets_IAT_mean", "fwd_iat_mean"},
    {"fwd_packets_IAT_std", "fwd_iat_std"},
    {"fwd_packets_IAT_max", "fwd_iat_max"},
    {"fwd_packets_IAT_min", "fwd_iat_min"},
    {"fwd_packets_IAT_total", "fwd_iat_tot"},
    {"bwd_packets_IAT_mean", "bwd_iat_mean"},
    {"bwd_packets_IAT_std", "bwd_iat_std"},
    {"bwd_packets_IAT_max", "bwd_iat_max"},
    {"bwd_packets_IAT_min", "bwd_iat_min"},
    {"bwd_packets_IAT_total", "bwd_iat_tot"},
};
// The same, except that ICMP has -1 in cic82 and 0 here.
const std::map<std::string, std::string> kSharedButForIcmp114 = {
    {"src_port", "src_port"},
    {"dst_port", "dst_port"},
    {"fwd_init_win_bytes", "init_fwd_win_byts"},
    {"bwd_init_win_bytes", "init_bwd_win_byts"},
    {"fin_flag_counts", "fin_flag_cnt"},
    {"syn_flag_counts", "syn_flag_cnt"},
    {"rst_flag_counts", "rst_flag_cnt"},
    {"psh_flag_counts", "psh_flag_cnt"},
    {"ack_flag_counts", "ack_flag_cnt"},
    {"urg_flag_counts", "urg_flag_cnt"},
    {"ece_flag_counts", "ece_flag_cnt"},
    {"cwr_flag_counts", "cwr_flag_count"},
    {"fwd_psh_flag_counts", "fwd_psh_flags"},
    {"bwd_psh_flag_counts", "bwd_psh_flags"},
    {"fwd_urg_flag_counts", "fwd_urg_flags"},
    {"bwd_urg_flag_counts", "bwd_urg_flags"},
};

TEST_F(ColumnsProperty, QuantitiesOf114AreThoseOfThe82Columns) {
  for (int round = 0; round < 40; round++) {
    // The other rows have cic82's settings: keeping sizes must not change anything else.
    fm_settings settings = settings_of("netflowmeter114"), settings_82 = fm_default_settings();
    settings.activity_gap_ns = settings_82.activity_gap_ns;
    const auto frames = random_traffic(random_, 500).frames();
    const auto rows = replay(frames, settings, kRoomyLimits, columns_114()).rows;
    const auto rows_82 = replay(frames, settings_82).rows;
    ASSERT_EQ(rows.size(), rows_82.size());
    for (size_t i = 0; i < rows.size(); i++) {
      const Row &row = rows[i], &row_82 = rows_82[i];
      const bool icmp = row_82.text("src_port") == "-1";
      for (const auto& [here, there] : kShared114) {
        ASSERT_EQ(row.text(here), row_82.text(there)) << here;
      }
      for (const auto& [here, there] : kSharedButForIcmp114) {
        ASSERT_EQ(row.text(here), icmp ? "0" : row_82.text(there)) << here;
      }
      // Only cic82 counts the last active period.
      ASSERT_LE(row.number("active_max"), row_82.number("active_max"));
      ASSERT_EQ(row.number("idle_max") == 0 && row.number("active_max") != 0, false);
    }
  }
}

// ---- the 97 columns ----

// The columns that stand for one quantity in both sets; for ICMP -1 in cic82 and 0 here.
const std::map<std::string, std::string> kShared97 = {
    {"Src IP", "src_ip"},
    {"Dst IP", "dst_ip"},
    {"Src Port", "src_port"},
    {"Dst Port", "dst_port"},
    {"Total Fwd Packets", "tot_fwd_pkts"},
    {"Total Backward Packets", "tot_bwd_pkts"},
    {"Total Length of Fwd Packets", "totlen_fwd_pkts"},
    {"Total Length of Bwd Packets", "totlen_bwd_pkts"},
    {"Flow Bytes/s", "flow_byts_s"},
    {"Flow Packets/s", "flow_pkts_s"},
    {"Flow IAT Std", "flow_iat_std"},
    {"Fwd IAT Total", "fwd_iat_tot"},
    {"Bwd IAT Min", "bwd_iat_min"},
    {"Fwd PSH Flags", "fwd_psh_flags"},
    {"Bwd URG Flags", "bwd_urg_flags"},
    {"Bwd Header Length", "bwd_header_len"},
    {"Packet Length Variance", "pkt_len_var"},
    {"CWR Flag Count", "cwr_flag_count"},
    {"ECE Flag Count", "ece_flag_cnt"},
    {"Average Packet Size", "pkt_size_avg"},
    {"Avg Bwd Segment Size", "bwd_seg_size_avg"},
    {"Subflow Bwd Bytes", "subflow_bwd_byts"},
    {"Init_Win_bytes_forward", "init_fwd_win_byts"},
    {"act_data_pkt_fwd", "fwd_act_data_pkts"},
    {"min_seg_size_forward", "fwd_seg_size_min"},
    {"Active Std", "active_std"},
    {"Idle Mean", "idle_mean"},
};

TEST_F(ColumnsProperty, QuantitiesOf97AreThoseOfThe82Columns) {
  for (int round = 0; round < 20; round++) {
    fm_settings settings = fm_default_settings();
    const auto frames = random_traffic(random_, 500).frames();
    const auto rows_82 = replay(frames, settings).rows;
    settings.with_application = 1;  // must not change anything else
    const auto rows = replay(frames, settings, kRoomyLimits, columns_97()).rows;
    ASSERT_EQ(rows.size(), rows_82.size());
    for (size_t i = 0; i < rows.size(); i++)
      for (const auto& [here, there] : kShared97) {
        const std::string& text = rows_82[i].text(there);
        ASSERT_EQ(rows[i].text(here), text == "-1" ? "0" : text) << here;
      }
  }
}

TEST_F(ColumnsProperty, EveryCellOf97HasAValueAndEveryPacketIsInARow) {
  for (int round = 0; round < 20; round++) {
    const Replayed r = replay(random_traffic(random_, 500).frames(), settings_of("realtime97"),
                              kRoomyLimits, columns_97());
    uint64_t packets = 0;
    for (const Row& row : r.rows) {
      packets += row.packets();
      for (const std::string& cell : row.cells()) {
        ASSERT_FALSE(cell.empty());
        ASSERT_EQ(cell.find_first_of(",\"\r\n"), std::string::npos);
        ASSERT_EQ(cell.find("nan"), std::string::npos);
        ASSERT_EQ(cell.find("inf"), std::string::npos);
      }
      // Each direction's bulks hold all of its payload, as one packet is a bulk.
      const double forward = row.number("Fwd Avg Bytes/Bulk");
      ASSERT_EQ(forward > 0, row.number("Avg Fwd Segment Size") > 0);
      ASSERT_LE(row.number("Fwd Avg Packets/Bulk"), row.number("act_data_pkt_fwd"));
      ASSERT_EQ(row.text("Fwd Header Length"), row.text("Fwd Header Length.1"));
    }
    EXPECT_EQ(packets, r.account.metered());
  }
}

}  // namespace
}  // namespace flowmeter::testing
