// SPDX-License-Identifier: BSD-3-Clause
#include "features/columns_82.h"

#include <iterator>

#include "features/quantities.h"

namespace flowmeter {
namespace {

using namespace quantities;

// This set has -1 where a quantity does not exist for ICMP.
template <typename Read>
constexpr Quantity not_of_icmp(const QuantityOf<Read>& quantity) {
  Quantity changed = quantity;
  changed.note = "; ICMP -1";
  changed.get = [](Record f) -> Cell {
    return f.is_icmp() ? Cell::not_applicable() : Cell(Read{}(f));
  };
  return changed;
}

constexpr Column kColumns[] = {
    {"src_ip", kSourceAddress},
    {"dst_ip", kDestinationAddress},
    {"src_port", not_of_icmp(kSourcePort), "source port of the forward direction"},
    {"dst_port", not_of_icmp(kDestinationPort), "destination port of the forward direction"},
    {"protocol", kProtocolNumber},
    {"timestamp", kFirstTime},
    {"flow_duration", kDuration},
    {"flow_byts_s", kByteRate},
    {"flow_pkts_s", kPacketRate.both},
    {"fwd_pkts_s", kPacketRate.forward},
    {"bwd_pkts_s", kPacketRate.backward},
    {"tot_fwd_pkts", kPacketCount.forward},
    {"tot_bwd_pkts", kPacketCount.backward},
    {"totlen_fwd_pkts", kLengthSum.forward},
    {"totlen_bwd_pkts", kLengthSum.backward},
    {"fwd_pkt_len_max", kLengthMax.forward},
    {"fwd_pkt_len_min", kLengthMin.forward},
    {"fwd_pkt_len_mean", kLengthMean.forward},
    {"fwd_pkt_len_std", kLengthDeviation.forward},
    {"bwd_pkt_len_max", kLengthMax.backward},
    {"bwd_pkt_len_min", kLengthMin.backward},
    {"bwd_pkt_len_mean", kLengthMean.backward},
    {"bwd_pkt_len_std", kLengthDeviation.backward},
    {"pkt_len_max", kLengthMax.both},
    {"pkt_len_min", kLengthMin.both},
    {"pkt_len_mean", kLengthMean.both},
    {"pkt_len_std", kLengthDeviation.both},
    {"pkt_len_var", kLengthVariance.both},
    {"fwd_header_len", kHeaderBytes.forward},
    {"bwd_header_len", kHeaderBytes.backward},
    {"fwd_seg_size_min", kPayloadMin.forward},
    {"fwd_act_data_pkts", kDataPacketCount.forward},
    {"flow_iat_mean", kGapMean.both},
    {"flow_iat_max", kGapMax.both},
    {"flow_iat_min", kGapMin.both},
    {"flow_iat_std", kGapDeviation.both},
    {"fwd_iat_tot", kGapSum.forward},
    {"fwd_iat_max", kGapMax.forward},
    {"fwd_iat_min", kGapMin.forward},
    {"fwd_iat_mean", kGapMean.forward},
    {"fwd_iat_std", kGapDeviation.forward},
    {"bwd_iat_tot", kGapSum.backward},
    {"bwd_iat_max", kGapMax.backward},
    {"bwd_iat_min", kGapMin.backward},
    {"bwd_iat_mean", kGapMean.backward},
    {"bwd_iat_std", kGapDeviation.backward},
    {"fwd_psh_flags", not_of_icmp(kPshPackets.forward)},
    {"bwd_psh_flags", not_of_icmp(kPshPackets.backward)},
    {"fwd_urg_flags", not_of_icmp(kUrgPackets.forward)},
    {"bwd_urg_flags", not_of_icmp(kUrgPackets.backward)},
    {"fin_flag_cnt", not_of_icmp(kFinPackets.both)},
    {"syn_flag_cnt", not_of_icmp(kSynPackets.both)},
    {"rst_flag_cnt", not_of_icmp(kRstPackets.both)},
    {"psh_flag_cnt", not_of_icmp(kPshPackets.both)},
    {"ack_flag_cnt", not_of_icmp(kAckPackets.both)},
    {"urg_flag_cnt", not_of_icmp(kUrgPackets.both)},
    {"ece_flag_cnt", not_of_icmp(kEcePackets.both)},
    {"down_up_ratio", kDownUpRatio},
    {"pkt_size_avg", kLengthMean.both, "as pkt_len_mean"},
    {"init_fwd_win_byts", not_of_icmp(kInitialWindow.forward)},
    {"init_bwd_win_byts", not_of_icmp(kInitialWindow.backward)},
    {"active_max", with_note(kActiveMax, kActivePeriodNote)},
    {"active_min", kActiveMin},
    {"active_mean", kActiveMean},
    {"active_std", kActiveDeviation},
    {"idle_max", kIdleMax, "largest idle period: a gap above the activity gap (5 s)"},
    {"idle_min", kIdleMin},
    {"idle_mean", kIdleMean},
    {"idle_std", kIdleDeviation},
    {"fwd_byts_b_avg", with_note(kBulkBytesMean.forward, kDefaultBulkNote)},
    {"fwd_pkts_b_avg", kBulkPacketsMean.forward},
    {"bwd_byts_b_avg", with_note(kBulkBytesMean.backward, kDefaultBulkNote)},
    {"bwd_pkts_b_avg", kBulkPacketsMean.backward},
    {"fwd_blk_rate_avg", kBulkRate.forward},
    {"bwd_blk_rate_avg", kBulkRate.backward},
    {"fwd_seg_size_avg", kPayloadMean.forward},
    {"bwd_seg_size_avg", kPayloadMean.backward},
    {"cwr_flag_count", not_of_icmp(kCwrPackets.both)},
    {"subflow_fwd_pkts", kSubflowPackets.forward},
    {"subflow_bwd_pkts", kSubflowPackets.backward},
    {"subflow_fwd_byts", kSubflowBytes.forward},
    {"subflow_bwd_byts", kSubflowBytes.backward},
};
static_assert(std::size(kColumns) == 82);

}  // namespace

FeatureSet columns_82() {
  return kColumns;
}

}  // namespace flowmeter
