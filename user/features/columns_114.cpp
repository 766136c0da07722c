// SPDX-License-Identifier: BSD-3-Clause
#include "features/columns_114.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "features/quantities.h"

namespace flowmeter {
namespace {

using namespace quantities;

// ---- definitions that are specific to this set ----

constexpr QuantityOf kFlowId{
    kText, "src_ip, src_port, dst_ip, dst_port, protocol and timestamp, joined by _",
    [](Record f) -> Cell {
      char text[Cell::kMaxText];
      char* at = text;
      const auto put = [&](std::string_view part) {
        at = std::copy(part.begin(), part.end(), at);
        *at++ = '_';
      };
      for (const Way way : {Way::kForward, Way::kBackward}) {
        const unsigned end = sender(f, way);
        put(address_text(f.key.address[end], f.key.ip_version).text());
        at = std::to_chars(at, at + 5, port(f, end)).ptr;
        *at++ = '_';
      }
      put(protocol_name(f.key.protocol));
      put(time_text(f.clock, f.flow.counters.first_ns).text());
      return std::string_view(text, static_cast<size_t>(at - 1 - text));
    }};

// Its active periods do not include the one with which the flow ends.
constexpr QuantityOf kEndedActiveMin{
    kSeconds,
    "smallest active period longer than 0 that an idle period ended: the flow's last one does not "
    "count",
    [](Record f) { return Nanoseconds{f.flow.timing.active.min}; }};
constexpr QuantityOf kEndedActiveMax{kSeconds, "largest active period", [](Record f) {
                                       return Nanoseconds{f.flow.timing.active.max};
                                     }};
constexpr QuantityOf kEndedActiveMean{kSeconds, "mean active period",
                                      [](Record f) { return mean_seconds(f.flow.timing.active); }};
constexpr QuantityOf kEndedActiveDeviation{
    kSeconds, "population standard deviation of the active periods",
    [](Record f) { return deviation_seconds(f.flow.timing.active); }};

// It divides by the gaps between subflows, not by the number of subflows.
constexpr Directed kPacketsPerSubflowGap{
    kPackets, "{}packets / gaps above 1 s; 0 without such a gap",
    [](Record f, Way way) { return ratio(packets(f, way), f.flow.timing.subflow_gaps); }};
constexpr Directed kPayloadPerSubflowGap{
    kBytes, "payload bytes of the {}packets / gaps above 1 s; 0 without such a gap",
    [](Record f, Way way) { return ratio(payload_bytes(f, way), f.flow.timing.subflow_gaps); }};

// In the order and spelling of the published table, with its oddities.
constexpr Column kColumns[] = {
    {"flow_id", kFlowId},
    {"timestamp", kFirstTime},
    {"src_ip", kSourceAddress},
    {"src_port", kSourcePort},
    {"dst_ip", kDestinationAddress},
    {"dst_port", kDestinationPort},
    {"protocol", kProtocolName},
    {"duration", kDuration},
    {"packets_count", kPacketCount.both},
    {"fwd_packets_count", kPacketCount.forward},
    {"bwd_packets_count", kPacketCount.backward},
    {"total_payload_bytes", kPayloadSum.both},
    {"fwd_total_payload_bytes", kPayloadSum.forward},
    {"bwd_total_payload_bytes", kPayloadSum.backward},
    {"payload_bytes_max", kPayloadMax.both},
    {"payload_bytes_min", kPayloadMin.both, "smallest payload of a packet (0 for a bare ACK)"},
    {"payload_bytes_mean", kPayloadMean.both},
    {"payload_bytes_std", kPayloadDeviation.both},
    {"payload_bytes_variance", kPayloadVariance.both},
    {"fwd_payload_bytes_max", kPayloadMax.forward},
    {"fwd_payload_bytes_min", kPayloadMin.forward},
    {"fwd_payload_bytes_mean", kPayloadMean.forward},
    {"fwd_payload_bytes_std", kPayloadDeviation.forward},
    {"fwd_payload_bytes_variance", kPayloadVariance.forward},
    {"bwd_payload_bytes_max", kPayloadMax.backward},
    {"bwd_payload_bytes_min", kPayloadMin.backward},
    {"bwd_payload_bytes_mean", kPayloadMean.backward},
    {"bwd_payload_bytes_std", kPayloadDeviation.backward},
    {"bwd_payload_bytes_variance", kPayloadVariance.backward},
    {"total_header_bytes", kTransportHeaderSum.both,
     "bytes of the packets' transport headers (TCP with options, UDP 8, ICMP 8, later fragments "
     "0)"},
    {"max_header_bytes", kTransportHeaderMax.both},
    {"min_header_bytes", kTransportHeaderMin.both},
    {"mean_header_bytes", kTransportHeaderMean.both},
    {"std_header_bytes", kTransportHeaderDeviation.both},
    {"fwd_total_header_bytes", kTransportHeaderSum.forward},
    {"fwd_max_header_bytes", kTransportHeaderMax.forward},
    {"fwd_min_header_bytes", kTransportHeaderMin.forward},
    {"fwd_mean_header_bytes", kTransportHeaderMean.forward},
    {"fwd_std_header_bytes", kTransportHeaderDeviation.forward},
    {"bwd_total_header_bytes", kTransportHeaderSum.backward},
    {"bwd_max_header_bytes", kTransportHeaderMax.backward},
    {"bwd_min_header_bytes", kTransportHeaderMin.backward},
    {"bwd_mean_header_bytes", kTransportHeaderMean.backward},
    {"bwd_std_header_bytes", kTransportHeaderDeviation.backward},
    {"fwd_avg_segment_size", kPayloadMean.forward, "as fwd_payload_bytes_mean"},
    {"bwd_avg_segment_size", kPayloadMean.backward, "as bwd_payload_bytes_mean"},
    {"avg_segment_size", kPayloadMean.both, "as payload_bytes_mean"},
    {"fwd_init_win_bytes", kInitialWindow.forward},
    {"bwd_init_win_bytes", kInitialWindow.backward},
    {"active_min", kEndedActiveMin},
    {"active_max", kEndedActiveMax},
    {"active_mean", kEndedActiveMean},
    {"active_std", kEndedActiveDeviation},
    {"idle_min", kIdleMin, "smallest idle period: a gap above the activity gap (100 s)"},
    {"idle_max", kIdleMax},
    {"idle_mean", kIdleMean},
    {"idle_std", kIdleDeviation},
    {"bytes_rate", kPayloadRate.both},
    {"fwd_bytes_rate", kPayloadRate.forward},
    {"bwd_bytes_rate", kPayloadRate.backward},
    {"packets_rate", kPacketRate.both},
    {"bwd_packets_rate", kPacketRate.backward},
    {"fwd_packets_rate", kPacketRate.forward},
    {"down_up_rate", kDownUpRatio},
    {"avg_fwd_bytes_per_bulk", with_note(kBulkBytesMean.forward, kDefaultBulkNote)},
    {"avg_fwd_packets_per_bulk", kBulkPacketsMean.forward},
    {"avg_fwd_bulk_rate", kBulkRate.forward},
    {"avg_bwd_bytes_per_bulk", kBulkBytesMean.backward},
    {"avg_bwd_packets_bulk_rate", kBulkPacketsMean.backward,
     "packets per {}bulk (a mean, despite the name)"},
    {"avg_bwd_bulk_rate", kBulkRate.backward},
    {"fwd_bulk_state_count", kBulkCount.forward},
    {"fwd_bulk_total_size", kBulkBytes.forward},
    {"fwd_bulk_per_packet", kBulkPackets.forward,
     "packets of the {}bulks (a total, despite the name)"},
    {"fwd_bulk_duration", kBulkDuration.forward},
    {"bwd_bulk_state_count", kBulkCount.backward},
    {"bwd_bulk_total_size", kBulkBytes.backward},
    {"bwd_bulk_per_packet", kBulkPackets.backward,
     "packets of the {}bulks (a total, despite the name)"},
    {"bwd_bulk_duration", kBulkDuration.backward},
    {"fin_flag_counts", kFinPackets.both},
    {"psh_flag_counts", kPshPackets.both},
    {"urg_flag_counts", kUrgPackets.both},
    {"ece_flag_counts", kEcePackets.both},
    {"syn_flag_counts", kSynPackets.both},
    {"ack_flag_counts", kAckPackets.both},
    {"cwr_flag_counts", kCwrPackets.both},
    {"rst_flag_counts", kRstPackets.both},
    {"fwd_fin_flag_counts", kFinPackets.forward},
    {"fwd_psh_flag_counts", kPshPackets.forward},
    {"fwd_urg_flag_counts", kUrgPackets.forward},
    {"fwd_ece_flag_counts", kEcePackets.forward},
    {"fwd_syn_flag_counts", kSynPackets.forward},
    {"fwd_ack_flag_counts", kAckPackets.forward},
    {"fwd_cwr_flag_counts", kCwrPackets.forward},
    {"fwd_rst_flag_counts", kRstPackets.forward},
    {"bwd_fin_flag_counts", kFinPackets.backward},
    {"bwd_psh_flag_counts", kPshPackets.backward},
    {"bwd_urg_flag_counts", kUrgPackets.backward},
    {"bwd_ece_flag_counts", kEcePackets.backward},
    {"bwd_syn_flag_counts", kSynPackets.backward},
    {"bwd_ack_flag_counts", kAckPackets.backward},
    {"bwd_cwr_flag_counts", kCwrPackets.backward},
    {"bwd_rst_flag_counts", kRstPackets.backward},
    {"packets_IAT_mean", kGapMean.both},
    {"packet_IAT_std", kGapDeviation.both},
    {"packet_IAT_max", kGapMax.both},
    {"packet_IAT_min", kGapMin.both},
    {"packet_IAT_total", kGapSum.both, "sum of the gaps between consecutive packets (D)"},
    {"fwd_packets_IAT_mean", kGapMean.forward},
    {"fwd_packets_IAT_std", kGapDeviation.forward},
    {"fwd_packets_IAT_max", kGapMax.forward},
    {"fwd_packets_IAT_min", kGapMin.forward},
    {"fwd_packets_IAT_total", kGapSum.forward},
    {"bwd_packets_IAT_mean", kGapMean.backward},
    {"bwd_packets_IAT_std", kGapDeviation.backward},
    {"bwd_packets_IAT_max", kGapMax.backward},
    {"bwd_packets_IAT_min", kGapMin.backward},
    {"bwd_packets_IAT_total", kGapSum.backward},
    {"subflow_fwd_packets", kPacketsPerSubflowGap.forward},
    {"subflow_bwd_packets", kPacketsPerSubflowGap.backward},
    {"subflow_fwd_bytes", kPayloadPerSubflowGap.forward},
    {"subflow_bwd_bytes", kPayloadPerSubflowGap.backward},
};
static_assert(std::size(kColumns) == 7 + 114);

}  // namespace

FeatureSet columns_114() {
  return kColumns;
}

}  // namespace flowmeter
