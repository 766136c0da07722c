// SPDX-License-Identifier: BSD-3-Clause
#include "features/columns_114.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "features/columns_82.h"
#include "features/identity.h"

namespace flowmeter {
namespace {

using Record = const FlowRecord&;

enum FlagBit { kFin, kSyn, kRst, kPsh, kAck, kUrg };

Getter cic82(std::string_view name) {
  return getter_of(columns_82(), name);
}

Cell port(Record f, unsigned end) {
  return f.is_icmp() ? Cell(uint64_t{0}) : Cell(uint64_t{f.key.port[end]});
}

Cell flow_id(Record f) {
  char text[Cell::kMaxText];
  char* at = text;
  const auto put = [&](std::string_view part) {
    at = std::copy(part.begin(), part.end(), at);
    *at++ = '_';
  };
  const unsigned source = f.flow.counters.forward_direction;
  for (const unsigned end : {source, 1 - source}) {
    put(address_text(f.key.address[end], f.key.ip_version).text());
    at = std::to_chars(at, at + 5, port(f, end).integer()).ptr;
    *at++ = '_';
  }
  put(protocol_name(f.key.protocol));
  put(time_text(f.clock, f.flow.counters.first_ns).text());
  return std::string_view(text, static_cast<size_t>(at - 1 - text));
}

fm_moments payload_of(Record f, unsigned end) {
  const fm_direction_counters& d = f.flow.counters.direction[end];
  const fm_direction_sizes& s = f.sizes->direction[end];
  return {d.length.count,
          d.payload_bytes,
          {s.payload_squares_low, s.payload_squares_high},
          d.payload_min,
          s.payload_max};
}

fm_moments header_of(Record f, unsigned end) {
  const fm_flow_counters& c = f.flow.counters;
  const fm_direction_sizes& s = f.sizes->direction[end];
  return {c.direction[end].length.count,
          s.header_bytes,
          {s.header_squares, 0},
          c.transport_header_min[end],
          c.transport_header_max[end]};
}

fm_moments forward_payload(Record f) {
  return payload_of(f, f.flow.counters.forward_direction);
}
fm_moments backward_payload(Record f) {
  return payload_of(f, !f.flow.counters.forward_direction);
}
fm_moments payload(Record f) {
  fm_moments all = payload_of(f, 0);
  const fm_moments other = payload_of(f, 1);
  fm_moments_merge(&all, &other);
  return all;
}

fm_moments forward_header(Record f) {
  return header_of(f, f.flow.counters.forward_direction);
}
fm_moments backward_header(Record f) {
  return header_of(f, !f.flow.counters.forward_direction);
}
fm_moments header(Record f) {
  fm_moments all = header_of(f, 0);
  const fm_moments other = header_of(f, 1);
  fm_moments_merge(&all, &other);
  return all;
}

uint64_t payload_bytes(Record f) {
  return f.forward().payload_bytes + f.backward().payload_bytes;
}

}  // namespace

// In the order and spelling of the published table, odd as they are.
FeatureSet columns_114() {
  static const std::array kColumns = {
      Column{"flow_id", Unit::kText, flow_id,
             "src_ip, src_port, dst_ip, dst_port, protocol and timestamp, joined by _"},
      Column{"timestamp", Unit::kTime, cic82("timestamp"),
             "time of the first packet, UTC, microseconds (cut)"},
      Column{"src_ip", Unit::kText, cic82("src_ip"), "source address of the forward direction"},
      Column{"src_port", Unit::kNone,
             [](Record f) -> Cell { return port(f, f.flow.counters.forward_direction); },
             "source port of the forward direction; ICMP 0"},
      Column{"dst_ip", Unit::kText, cic82("dst_ip"),
             "destination address of the forward direction"},
      Column{"dst_port", Unit::kNone,
             [](Record f) -> Cell { return port(f, !f.flow.counters.forward_direction); },
             "destination port of the forward direction; ICMP 0"},
      Column{"protocol", Unit::kText,
             [](Record f) -> Cell { return protocol_name(f.key.protocol); },
             "TCP, UDP, ICMP or ICMPv6"},
      Column{"duration", Unit::kSeconds, cic82("flow_duration"),
             "latest time - first packet's time (D)"},
      Column{"packets_count", Unit::kPackets,
             [](Record f) -> Cell { return fm_flow_packets(&f.flow.counters); }, "packets"},
      Column{"fwd_packets_count", Unit::kPackets, cic82("tot_fwd_pkts"), "forward packets"},
      Column{"bwd_packets_count", Unit::kPackets, cic82("tot_bwd_pkts"), "backward packets"},
      Column{"total_payload_bytes", Unit::kBytes, [](Record f) -> Cell { return payload_bytes(f); },
             "payload octets of all packets"},
      Column{"fwd_total_payload_bytes", Unit::kBytes,
             [](Record f) -> Cell { return f.forward().payload_bytes; },
             "payload octets of the forward packets"},
      Column{"bwd_total_payload_bytes", Unit::kBytes,
             [](Record f) -> Cell { return f.backward().payload_bytes; },
             "payload octets of the backward packets"},
      Column{"payload_bytes_max", Unit::kBytes, [](Record f) -> Cell { return payload(f).max; },
             "greatest payload of a packet"},
      Column{"payload_bytes_min", Unit::kBytes, [](Record f) -> Cell { return payload(f).min; },
             "least payload of a packet (0 for a bare ACK)"},
      Column{"payload_bytes_mean", Unit::kBytes, [](Record f) -> Cell { return mean(payload(f)); },
             "mean of the packets' payload"},
      Column{"payload_bytes_std", Unit::kBytes,
             [](Record f) -> Cell { return deviation(payload(f)); },
             "population standard deviation of the packets' payload"},
      Column{"payload_bytes_variance", Unit::kBytesSquared,
             [](Record f) -> Cell { return variance(payload(f)); },
             "population variance of the packets' payload"},
      Column{"fwd_payload_bytes_max", Unit::kBytes,
             [](Record f) -> Cell { return forward_payload(f).max; },
             "greatest payload of a forward packet"},
      Column{"fwd_payload_bytes_min", Unit::kBytes, cic82("fwd_seg_size_min"),
             "least payload of a forward packet (0 for a bare ACK, and without forward "
             "packets)"},
      Column{"fwd_payload_bytes_mean", Unit::kBytes, cic82("fwd_seg_size_avg"),
             "mean of the forward packets' payload"},
      Column{"fwd_payload_bytes_std", Unit::kBytes,
             [](Record f) -> Cell { return deviation(forward_payload(f)); },
             "population standard deviation of the forward packets' payload"},
      Column{"fwd_payload_bytes_variance", Unit::kBytesSquared,
             [](Record f) -> Cell { return variance(forward_payload(f)); },
             "population variance of the forward packets' payload"},
      Column{"bwd_payload_bytes_max", Unit::kBytes,
             [](Record f) -> Cell { return backward_payload(f).max; },
             "greatest payload of a backward packet"},
      Column{"bwd_payload_bytes_min", Unit::kBytes,
             [](Record f) -> Cell { return backward_payload(f).min; },
             "least payload of a backward packet (0 for a bare ACK, and without backward "
             "packets)"},
      Column{"bwd_payload_bytes_mean", Unit::kBytes, cic82("bwd_seg_size_avg"),
             "mean of the backward packets' payload"},
      Column{"bwd_payload_bytes_std", Unit::kBytes,
             [](Record f) -> Cell { return deviation(backward_payload(f)); },
             "population standard deviation of the backward packets' payload"},
      Column{"bwd_payload_bytes_variance", Unit::kBytesSquared,
             [](Record f) -> Cell { return variance(backward_payload(f)); },
             "population variance of the backward packets' payload"},
      Column{"total_header_bytes", Unit::kBytes, [](Record f) -> Cell { return header(f).sum; },
             "octets of the packets' transport headers (TCP with options, UDP 8, ICMP 8, later "
             "fragments 0)"},
      Column{"max_header_bytes", Unit::kBytes, [](Record f) -> Cell { return header(f).max; },
             "greatest transport header of a packet"},
      Column{"min_header_bytes", Unit::kBytes, [](Record f) -> Cell { return header(f).min; },
             "least transport header of a packet"},
      Column{"mean_header_bytes", Unit::kBytes, [](Record f) -> Cell { return mean(header(f)); },
             "mean of the packets' transport headers"},
      Column{"std_header_bytes", Unit::kBytes,
             [](Record f) -> Cell { return deviation(header(f)); },
             "population standard deviation of the packets' transport headers"},
      Column{"fwd_total_header_bytes", Unit::kBytes,
             [](Record f) -> Cell { return forward_header(f).sum; },
             "octets of the forward packets' transport headers"},
      Column{"fwd_max_header_bytes", Unit::kBytes,
             [](Record f) -> Cell { return forward_header(f).max; },
             "greatest transport header of a forward packet"},
      Column{"fwd_min_header_bytes", Unit::kBytes,
             [](Record f) -> Cell { return forward_header(f).min; },
             "least transport header of a forward packet"},
      Column{"fwd_mean_header_bytes", Unit::kBytes,
             [](Record f) -> Cell { return mean(forward_header(f)); },
             "mean of the forward packets' transport headers"},
      Column{"fwd_std_header_bytes", Unit::kBytes,
             [](Record f) -> Cell { return deviation(forward_header(f)); },
             "population standard deviation of the forward packets' transport headers"},
      Column{"bwd_total_header_bytes", Unit::kBytes,
             [](Record f) -> Cell { return backward_header(f).sum; },
             "octets of the backward packets' transport headers"},
      Column{"bwd_max_header_bytes", Unit::kBytes,
             [](Record f) -> Cell { return backward_header(f).max; },
             "greatest transport header of a backward packet"},
      Column{"bwd_min_header_bytes", Unit::kBytes,
             [](Record f) -> Cell { return backward_header(f).min; },
             "least transport header of a backward packet"},
      Column{"bwd_mean_header_bytes", Unit::kBytes,
             [](Record f) -> Cell { return mean(backward_header(f)); },
             "mean of the backward packets' transport headers"},
      Column{"bwd_std_header_bytes", Unit::kBytes,
             [](Record f) -> Cell { return deviation(backward_header(f)); },
             "population standard deviation of the backward packets' transport headers"},
      Column{"fwd_avg_segment_size", Unit::kBytes, cic82("fwd_seg_size_avg"),
             "as fwd_payload_bytes_mean"},
      Column{"bwd_avg_segment_size", Unit::kBytes, cic82("bwd_seg_size_avg"),
             "as bwd_payload_bytes_mean"},
      Column{"avg_segment_size", Unit::kBytes, [](Record f) -> Cell { return mean(payload(f)); },
             "as payload_bytes_mean"},
      Column{"fwd_init_win_bytes", Unit::kBytes,
             [](Record f) -> Cell { return uint64_t{f.forward().initial_window}; },
             "TCP window, not scaled, of the first forward packet with a TCP header; 0 "
             "without, and if not TCP"},
      Column{"bwd_init_win_bytes", Unit::kBytes,
             [](Record f) -> Cell { return uint64_t{f.backward().initial_window}; },
             "TCP window, not scaled, of the first backward packet with a TCP header; 0 "
             "without, and if not TCP"},
      Column{"active_min", Unit::kSeconds,
             [](Record f) -> Cell { return Cell::nanoseconds(f.flow.timing.active.min); },
             "least active period longer than 0 that an idle period ended: the flow's last one "
             "does not count"},
      Column{"active_max", Unit::kSeconds,
             [](Record f) -> Cell { return Cell::nanoseconds(f.flow.timing.active.max); },
             "greatest active period"},
      Column{"active_mean", Unit::kSeconds,
             [](Record f) -> Cell { return mean_seconds(f.flow.timing.active); },
             "mean active period"},
      Column{"active_std", Unit::kSeconds,
             [](Record f) -> Cell { return deviation_seconds(f.flow.timing.active); },
             "population standard deviation of the active periods"},
      Column{"idle_min", Unit::kSeconds, cic82("idle_min"),
             "least idle period: a gap above the activity gap (100 s)"},
      Column{"idle_max", Unit::kSeconds, cic82("idle_max"), "greatest idle period"},
      Column{"idle_mean", Unit::kSeconds, cic82("idle_mean"), "mean idle period"},
      Column{"idle_std", Unit::kSeconds, cic82("idle_std"),
             "population standard deviation of the idle periods"},
      Column{"bytes_rate", Unit::kBytesPerSecond,
             [](Record f) -> Cell { return per_second(payload_bytes(f), f.duration_ns()); },
             "total_payload_bytes / D; 0 if D is 0"},
      Column{
          "fwd_bytes_rate", Unit::kBytesPerSecond,
          [](Record f) -> Cell { return per_second(f.forward().payload_bytes, f.duration_ns()); },
          "fwd_total_payload_bytes / D; 0 if D is 0"},
      Column{
          "bwd_bytes_rate", Unit::kBytesPerSecond,
          [](Record f) -> Cell { return per_second(f.backward().payload_bytes, f.duration_ns()); },
          "bwd_total_payload_bytes / D; 0 if D is 0"},
      Column{"packets_rate", Unit::kPerSecond, cic82("flow_pkts_s"), "packets / D; 0 if D is 0"},
      Column{"bwd_packets_rate", Unit::kPerSecond, cic82("bwd_pkts_s"),
             "backward packets / D; 0 if D is 0"},
      Column{"fwd_packets_rate", Unit::kPerSecond, cic82("fwd_pkts_s"),
             "forward packets / D; 0 if D is 0"},
      Column{"down_up_rate", Unit::kNone, cic82("down_up_ratio"),
             "backward packets / forward packets; 0 without forward packets"},
      Column{"avg_fwd_bytes_per_bulk", Unit::kBytes, cic82("fwd_byts_b_avg"),
             "payload octets a forward bulk (4 or more payload packets without one of the "
             "other direction, gaps up to 1 s)"},
      Column{"avg_fwd_packets_per_bulk", Unit::kPackets, cic82("fwd_pkts_b_avg"),
             "packets a forward bulk"},
      Column{"avg_fwd_bulk_rate", Unit::kBytesPerSecond, cic82("fwd_blk_rate_avg"),
             "payload octets of the forward bulks / their time; 0 if that is 0"},
      Column{"avg_bwd_bytes_per_bulk", Unit::kBytes, cic82("bwd_byts_b_avg"),
             "payload octets a backward bulk"},
      Column{"avg_bwd_packets_bulk_rate", Unit::kPackets, cic82("bwd_pkts_b_avg"),
             "packets a backward bulk (a mean, despite the name)"},
      Column{"avg_bwd_bulk_rate", Unit::kBytesPerSecond, cic82("bwd_blk_rate_avg"),
             "payload octets of the backward bulks / their time; 0 if that is 0"},
      Column{"fwd_bulk_state_count", Unit::kNone,
             [](Record f) -> Cell { return f.forward_bulks().count; }, "forward bulks"},
      Column{"fwd_bulk_total_size", Unit::kBytes,
             [](Record f) -> Cell { return f.forward_bulks().bytes; },
             "payload octets of the forward bulks"},
      Column{"fwd_bulk_per_packet", Unit::kPackets,
             [](Record f) -> Cell { return f.forward_bulks().packets; },
             "packets of the forward bulks (a total, despite the name)"},
      Column{"fwd_bulk_duration", Unit::kSeconds,
             [](Record f) -> Cell { return Cell::nanoseconds(f.forward_bulks().duration_ns); },
             "time of the forward bulks, first to last packet"},
      Column{"bwd_bulk_state_count", Unit::kNone,
             [](Record f) -> Cell { return f.backward_bulks().count; }, "backward bulks"},
      Column{"bwd_bulk_total_size", Unit::kBytes,
             [](Record f) -> Cell { return f.backward_bulks().bytes; },
             "payload octets of the backward bulks"},
      Column{"bwd_bulk_per_packet", Unit::kPackets,
             [](Record f) -> Cell { return f.backward_bulks().packets; },
             "packets of the backward bulks (a total, despite the name)"},
      Column{"bwd_bulk_duration", Unit::kSeconds,
             [](Record f) -> Cell { return Cell::nanoseconds(f.backward_bulks().duration_ns); },
             "time of the backward bulks, first to last packet"},
      Column{
          "fin_flag_counts", Unit::kPackets,
          [](Record f)
              -> Cell { return f.forward().flag_packets[kFin] + f.backward().flag_packets[kFin]; },
          "packets with FIN"},
      Column{
          "psh_flag_counts", Unit::kPackets,
          [](Record f)
              -> Cell { return f.forward().flag_packets[kPsh] + f.backward().flag_packets[kPsh]; },
          "packets with PSH"},
      Column{
          "urg_flag_counts", Unit::kPackets,
          [](Record f)
              -> Cell { return f.forward().flag_packets[kUrg] + f.backward().flag_packets[kUrg]; },
          "packets with URG"},
      Column{
          "ece_flag_counts", Unit::kPackets,
          [](Record f)
              -> Cell { return f.flow.counters.ece_packets[0] + f.flow.counters.ece_packets[1]; },
          "packets with ECE"},
      Column{
          "syn_flag_counts", Unit::kPackets,
          [](Record f)
              -> Cell { return f.forward().flag_packets[kSyn] + f.backward().flag_packets[kSyn]; },
          "packets with SYN"},
      Column{
          "ack_flag_counts", Unit::kPackets,
          [](Record f)
              -> Cell { return f.forward().flag_packets[kAck] + f.backward().flag_packets[kAck]; },
          "packets with ACK"},
      Column{
          "cwr_flag_counts", Unit::kPackets,
          [](Record f)
              -> Cell { return f.flow.counters.cwr_packets[0] + f.flow.counters.cwr_packets[1]; },
          "packets with CWR"},
      Column{
          "rst_flag_counts", Unit::kPackets,
          [](Record f)
              -> Cell { return f.forward().flag_packets[kRst] + f.backward().flag_packets[kRst]; },
          "packets with RST"},
      Column{"fwd_fin_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.forward().flag_packets[kFin]; },
             "forward packets with FIN"},
      Column{"fwd_psh_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.forward().flag_packets[kPsh]; },
             "forward packets with PSH"},
      Column{"fwd_urg_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.forward().flag_packets[kUrg]; },
             "forward packets with URG"},
      Column{"fwd_ece_flag_counts", Unit::kPackets,
             [](Record f)
                 -> Cell { return f.flow.counters.ece_packets[f.flow.counters.forward_direction]; },
             "forward packets with ECE"},
      Column{"fwd_syn_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.forward().flag_packets[kSyn]; },
             "forward packets with SYN"},
      Column{"fwd_ack_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.forward().flag_packets[kAck]; },
             "forward packets with ACK"},
      Column{"fwd_cwr_flag_counts", Unit::kPackets,
             [](Record f)
                 -> Cell { return f.flow.counters.cwr_packets[f.flow.counters.forward_direction]; },
             "forward packets with CWR"},
      Column{"fwd_rst_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.forward().flag_packets[kRst]; },
             "forward packets with RST"},
      Column{"bwd_fin_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.backward().flag_packets[kFin]; },
             "backward packets with FIN"},
      Column{"bwd_psh_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.backward().flag_packets[kPsh]; },
             "backward packets with PSH"},
      Column{"bwd_urg_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.backward().flag_packets[kUrg]; },
             "backward packets with URG"},
      Column{
          "bwd_ece_flag_counts", Unit::kPackets,
          [](Record f)
              -> Cell { return f.flow.counters.ece_packets[!f.flow.counters.forward_direction]; },
          "backward packets with ECE"},
      Column{"bwd_syn_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.backward().flag_packets[kSyn]; },
             "backward packets with SYN"},
      Column{"bwd_ack_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.backward().flag_packets[kAck]; },
             "backward packets with ACK"},
      Column{
          "bwd_cwr_flag_counts", Unit::kPackets,
          [](Record f)
              -> Cell { return f.flow.counters.cwr_packets[!f.flow.counters.forward_direction]; },
          "backward packets with CWR"},
      Column{"bwd_rst_flag_counts", Unit::kPackets,
             [](Record f) -> Cell { return f.backward().flag_packets[kRst]; },
             "backward packets with RST"},
      Column{"packets_IAT_mean", Unit::kSeconds, cic82("flow_iat_mean"),
             "mean gap between neighbouring packets"},
      Column{"packet_IAT_std", Unit::kSeconds, cic82("flow_iat_std"),
             "population standard deviation of the gaps between neighbouring packets"},
      Column{"packet_IAT_max", Unit::kSeconds, cic82("flow_iat_max"),
             "greatest gap between neighbouring packets"},
      Column{"packet_IAT_min", Unit::kSeconds, cic82("flow_iat_min"),
             "least gap between neighbouring packets"},
      Column{"packet_IAT_total", Unit::kSeconds,
             [](Record f) -> Cell { return Cell::nanoseconds(f.flow.timing.gaps.sum); },
             "sum of the gaps between neighbouring packets (D)"},
      Column{"fwd_packets_IAT_mean", Unit::kSeconds, cic82("fwd_iat_mean"),
             "mean gap between neighbouring forward packets"},
      Column{"fwd_packets_IAT_std", Unit::kSeconds, cic82("fwd_iat_std"),
             "population standard deviation of the gaps between neighbouring forward packets"},
      Column{"fwd_packets_IAT_max", Unit::kSeconds, cic82("fwd_iat_max"),
             "greatest gap between neighbouring forward packets"},
      Column{"fwd_packets_IAT_min", Unit::kSeconds, cic82("fwd_iat_min"),
             "least gap between neighbouring forward packets"},
      Column{"fwd_packets_IAT_total", Unit::kSeconds, cic82("fwd_iat_tot"),
             "sum of the gaps between neighbouring forward packets"},
      Column{"bwd_packets_IAT_mean", Unit::kSeconds, cic82("bwd_iat_mean"),
             "mean gap between neighbouring backward packets"},
      Column{"bwd_packets_IAT_std", Unit::kSeconds, cic82("bwd_iat_std"),
             "population standard deviation of the gaps between neighbouring backward packets"},
      Column{"bwd_packets_IAT_max", Unit::kSeconds, cic82("bwd_iat_max"),
             "greatest gap between neighbouring backward packets"},
      Column{"bwd_packets_IAT_min", Unit::kSeconds, cic82("bwd_iat_min"),
             "least gap between neighbouring backward packets"},
      Column{"bwd_packets_IAT_total", Unit::kSeconds, cic82("bwd_iat_tot"),
             "sum of the gaps between neighbouring backward packets"},
      Column{"subflow_fwd_packets", Unit::kPackets,
             [](Record f)
                 -> Cell { return ratio(f.forward().length.count, f.flow.timing.subflow_gaps); },
             "forward packets / gaps above 1 s; 0 without such a gap"},
      Column{"subflow_bwd_packets", Unit::kPackets,
             [](Record f)
                 -> Cell { return ratio(f.backward().length.count, f.flow.timing.subflow_gaps); },
             "backward packets / gaps above 1 s; 0 without such a gap"},
      Column{"subflow_fwd_bytes", Unit::kBytes,
             [](Record f)
                 -> Cell { return ratio(f.forward().payload_bytes, f.flow.timing.subflow_gaps); },
             "fwd_total_payload_bytes / gaps above 1 s; 0 without such a gap"},
      Column{"subflow_bwd_bytes", Unit::kBytes,
             [](Record f)
                 -> Cell { return ratio(f.backward().payload_bytes, f.flow.timing.subflow_gaps); },
             "bwd_total_payload_bytes / gaps above 1 s; 0 without such a gap"},
  };
  static_assert(kColumns.size() == 7 + 114);
  return kColumns;
}

}  // namespace flowmeter
