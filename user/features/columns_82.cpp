// SPDX-License-Identifier: BSD-3-Clause
#include "features/columns_82.h"

#include <array>

#include "features/identity.h"

namespace flowmeter {
namespace {

using Record = const FlowRecord&;

enum FlagBit { kFin, kSyn, kRst, kPsh, kAck, kUrg };

Cell port(Record f, unsigned end) {
  return f.is_icmp() ? Cell::not_applicable() : Cell(uint64_t{f.key.port[end]});
}

Cell forward_flag(Record f, FlagBit bit) {
  return f.is_icmp() ? Cell::not_applicable() : Cell(uint64_t{f.forward().flag_packets[bit]});
}

Cell backward_flag(Record f, FlagBit bit) {
  return f.is_icmp() ? Cell::not_applicable() : Cell(uint64_t{f.backward().flag_packets[bit]});
}

Cell flag(Record f, FlagBit bit) {
  return f.is_icmp()
             ? Cell::not_applicable()
             : Cell(uint64_t{f.forward().flag_packets[bit] + f.backward().flag_packets[bit]});
}

Cell rare_flag(Record f, const __u64 (&packets)[2]) {
  return f.is_icmp() ? Cell::not_applicable() : Cell(uint64_t{packets[0] + packets[1]});
}

Cell window(Record f, const fm_direction_counters& direction) {
  return f.is_icmp() ? Cell::not_applicable() : Cell(uint64_t{direction.initial_window});
}

Cell in_seconds(uint64_t ns) {
  return Cell::nanoseconds(ns);
}

uint64_t packets(Record f) {
  return fm_flow_packets(&f.flow.counters);
}
uint64_t bytes(Record f) {
  return f.forward().length.sum + f.backward().length.sum;
}
uint64_t subflows(Record f) {
  return 1 + f.flow.timing.subflow_gaps;
}

fm_moments lengths(Record f) {
  fm_moments all = f.forward().length;
  fm_moments_merge(&all, &f.backward().length);
  return all;
}

// The active periods that an idle period ended, and the one the flow ended with.
fm_moments active(Record f) {
  const fm_flow_timing& t = f.flow.timing;
  fm_moments periods = t.active;
  if (t.last_ns > t.period_start_ns) fm_moments_add(&periods, t.last_ns - t.period_start_ns);
  return periods;
}

constexpr std::array kColumns82 = {
    Column{"src_ip", Unit::kText,
           [](Record f) -> Cell {
             return address_text(f.key.address[f.flow.counters.forward_direction],
                                 f.key.ip_version);
           },
           "source address of the forward direction"},
    Column{"dst_ip", Unit::kText,
           [](Record f) -> Cell {
             return address_text(f.key.address[!f.flow.counters.forward_direction],
                                 f.key.ip_version);
           },
           "destination address of the forward direction"},
    Column{"src_port", Unit::kNone,
           [](Record f) -> Cell { return port(f, f.flow.counters.forward_direction); },
           "source port of the forward direction; ICMP -1"},
    Column{"dst_port", Unit::kNone,
           [](Record f) -> Cell { return port(f, !f.flow.counters.forward_direction); },
           "destination port of the forward direction; ICMP -1"},
    Column{"protocol", Unit::kNone, [](Record f) -> Cell { return uint64_t{f.key.protocol}; },
           "IP protocol number: 6, 17, 1 or 58"},
    Column{"timestamp", Unit::kTime,
           [](Record f) -> Cell { return time_text(f.clock, f.flow.counters.first_ns); },
           "time of the first packet, UTC, microseconds (cut)"},
    Column{"flow_duration", Unit::kSeconds,
           [](Record f) -> Cell { return in_seconds(f.duration_ns()); },
           "latest time - first packet's time (D)"},
    Column{"flow_byts_s", Unit::kBytesPerSecond,
           [](Record f) -> Cell { return per_second(bytes(f), f.duration_ns()); },
           "octets of all packets / D; 0 if D is 0"},
    Column{"flow_pkts_s", Unit::kPerSecond,
           [](Record f) -> Cell { return per_second(packets(f), f.duration_ns()); },
           "packets / D; 0 if D is 0"},
    Column{"fwd_pkts_s", Unit::kPerSecond,
           [](Record f) -> Cell { return per_second(f.forward().length.count, f.duration_ns()); },
           "forward packets / D; 0 if D is 0"},
    Column{"bwd_pkts_s", Unit::kPerSecond,
           [](Record f) -> Cell { return per_second(f.backward().length.count, f.duration_ns()); },
           "backward packets / D; 0 if D is 0"},
    Column{"tot_fwd_pkts", Unit::kPackets,
           [](Record f) -> Cell { return f.forward().length.count; }, "forward packets"},
    Column{"tot_bwd_pkts", Unit::kPackets,
           [](Record f) -> Cell { return f.backward().length.count; }, "backward packets"},
    Column{"totlen_fwd_pkts", Unit::kBytes, [](Record f) -> Cell { return f.forward().length.sum; },
           "octets of the forward packets on the wire, link header and padding included"},
    Column{"totlen_bwd_pkts", Unit::kBytes,
           [](Record f) -> Cell { return f.backward().length.sum; },
           "octets of the backward packets on the wire"},
    Column{"fwd_pkt_len_max", Unit::kBytes, [](Record f) -> Cell { return f.forward().length.max; },
           "greatest length of a forward packet"},
    Column{"fwd_pkt_len_min", Unit::kBytes, [](Record f) -> Cell { return f.forward().length.min; },
           "least length of a forward packet"},
    Column{"fwd_pkt_len_mean", Unit::kBytes,
           [](Record f) -> Cell { return mean(f.forward().length); },
           "mean length of the forward packets"},
    Column{"fwd_pkt_len_std", Unit::kBytes,
           [](Record f) -> Cell { return deviation(f.forward().length); },
           "population standard deviation of the forward packets' lengths"},
    Column{"bwd_pkt_len_max", Unit::kBytes,
           [](Record f) -> Cell { return f.backward().length.max; },
           "greatest length of a backward packet"},
    Column{"bwd_pkt_len_min", Unit::kBytes,
           [](Record f) -> Cell { return f.backward().length.min; },
           "least length of a backward packet"},
    Column{"bwd_pkt_len_mean", Unit::kBytes,
           [](Record f) -> Cell { return mean(f.backward().length); },
           "mean length of the backward packets"},
    Column{"bwd_pkt_len_std", Unit::kBytes,
           [](Record f) -> Cell { return deviation(f.backward().length); },
           "population standard deviation of the backward packets' lengths"},
    Column{"pkt_len_max", Unit::kBytes, [](Record f) -> Cell { return lengths(f).max; },
           "greatest packet length"},
    Column{"pkt_len_min", Unit::kBytes, [](Record f) -> Cell { return lengths(f).min; },
           "least packet length"},
    Column{"pkt_len_mean", Unit::kBytes, [](Record f) -> Cell { return mean(lengths(f)); },
           "mean packet length"},
    Column{"pkt_len_std", Unit::kBytes, [](Record f) -> Cell { return deviation(lengths(f)); },
           "population standard deviation of the packet lengths"},
    Column{"pkt_len_var", Unit::kBytesSquared,
           [](Record f) -> Cell { return variance(lengths(f)); },
           "population variance of the packet lengths"},
    Column{"fwd_header_len", Unit::kBytes,
           [](Record f) -> Cell { return f.forward().header_bytes; },
           "octets of IP and transport headers, options and extension headers included, of the "
           "forward packets"},
    Column{"bwd_header_len", Unit::kBytes,
           [](Record f) -> Cell { return f.backward().header_bytes; },
           "the same of the backward packets"},
    Column{"fwd_seg_size_min", Unit::kBytes,
           [](Record f) -> Cell { return uint64_t{f.forward().payload_min}; },
           "least payload of a forward packet (0 for a bare ACK, and without forward packets)"},
    Column{"fwd_act_data_pkts", Unit::kPackets,
           [](Record f) -> Cell { return f.forward().data_packets; },
           "forward packets with payload"},
    Column{"flow_iat_mean", Unit::kSeconds,
           [](Record f) -> Cell { return mean_seconds(f.flow.timing.gaps); },
           "mean gap between neighbouring packets"},
    Column{"flow_iat_max", Unit::kSeconds,
           [](Record f) -> Cell { return in_seconds(f.flow.timing.gaps.max); },
           "greatest gap between neighbouring packets"},
    Column{"flow_iat_min", Unit::kSeconds,
           [](Record f) -> Cell { return in_seconds(f.flow.timing.gaps.min); },
           "least gap between neighbouring packets"},
    Column{"flow_iat_std", Unit::kSeconds,
           [](Record f) -> Cell { return deviation_seconds(f.flow.timing.gaps); },
           "population standard deviation of the gaps between neighbouring packets"},
    Column{"fwd_iat_tot", Unit::kSeconds,
           [](Record f) -> Cell { return in_seconds(f.forward_timing().gaps.sum); },
           "sum of the gaps between neighbouring forward packets"},
    Column{"fwd_iat_max", Unit::kSeconds,
           [](Record f) -> Cell { return in_seconds(f.forward_timing().gaps.max); },
           "greatest gap between neighbouring forward packets"},
    Column{"fwd_iat_min", Unit::kSeconds,
           [](Record f) -> Cell { return in_seconds(f.forward_timing().gaps.min); },
           "least gap between neighbouring forward packets"},
    Column{"fwd_iat_mean", Unit::kSeconds,
           [](Record f) -> Cell { return mean_seconds(f.forward_timing().gaps); },
           "mean gap between neighbouring forward packets"},
    Column{"fwd_iat_std", Unit::kSeconds,
           [](Record f) -> Cell { return deviation_seconds(f.forward_timing().gaps); },
           "population standard deviation of the gaps between neighbouring forward packets"},
    Column{"bwd_iat_tot", Unit::kSeconds,
           [](Record f) -> Cell { return in_seconds(f.backward_timing().gaps.sum); },
           "sum of the gaps between neighbouring backward packets"},
    Column{"bwd_iat_max", Unit::kSeconds,
           [](Record f) -> Cell { return in_seconds(f.backward_timing().gaps.max); },
           "greatest gap between neighbouring backward packets"},
    Column{"bwd_iat_min", Unit::kSeconds,
           [](Record f) -> Cell { return in_seconds(f.backward_timing().gaps.min); },
           "least gap between neighbouring backward packets"},
    Column{"bwd_iat_mean", Unit::kSeconds,
           [](Record f) -> Cell { return mean_seconds(f.backward_timing().gaps); },
           "mean gap between neighbouring backward packets"},
    Column{"bwd_iat_std", Unit::kSeconds,
           [](Record f) -> Cell { return deviation_seconds(f.backward_timing().gaps); },
           "population standard deviation of the gaps between neighbouring backward packets"},
    Column{"fwd_psh_flags", Unit::kPackets, [](Record f) -> Cell { return forward_flag(f, kPsh); },
           "forward packets with PSH; ICMP -1"},
    Column{"bwd_psh_flags", Unit::kPackets, [](Record f) -> Cell { return backward_flag(f, kPsh); },
           "backward packets with PSH; ICMP -1"},
    Column{"fwd_urg_flags", Unit::kPackets, [](Record f) -> Cell { return forward_flag(f, kUrg); },
           "forward packets with URG; ICMP -1"},
    Column{"bwd_urg_flags", Unit::kPackets, [](Record f) -> Cell { return backward_flag(f, kUrg); },
           "backward packets with URG; ICMP -1"},
    Column{"fin_flag_cnt", Unit::kPackets, [](Record f) -> Cell { return flag(f, kFin); },
           "packets with FIN; ICMP -1"},
    Column{"syn_flag_cnt", Unit::kPackets, [](Record f) -> Cell { return flag(f, kSyn); },
           "packets with SYN; ICMP -1"},
    Column{"rst_flag_cnt", Unit::kPackets, [](Record f) -> Cell { return flag(f, kRst); },
           "packets with RST; ICMP -1"},
    Column{"psh_flag_cnt", Unit::kPackets, [](Record f) -> Cell { return flag(f, kPsh); },
           "packets with PSH; ICMP -1"},
    Column{"ack_flag_cnt", Unit::kPackets, [](Record f) -> Cell { return flag(f, kAck); },
           "packets with ACK; ICMP -1"},
    Column{"urg_flag_cnt", Unit::kPackets, [](Record f) -> Cell { return flag(f, kUrg); },
           "packets with URG; ICMP -1"},
    Column{"ece_flag_cnt", Unit::kPackets,
           [](Record f) -> Cell { return rare_flag(f, f.flow.counters.ece_packets); },
           "packets with ECE; ICMP -1"},
    Column{
        "down_up_ratio", Unit::kNone,
        [](Record f) -> Cell { return ratio(f.backward().length.count, f.forward().length.count); },
        "backward packets / forward packets; 0 without forward packets"},
    Column{"pkt_size_avg", Unit::kBytes, [](Record f) -> Cell { return mean(lengths(f)); },
           "mean packet length (as pkt_len_mean)"},
    Column{"init_fwd_win_byts", Unit::kBytes,
           [](Record f) -> Cell { return window(f, f.forward()); },
           "TCP window, not scaled, of the first forward packet with a TCP header; 0 without; ICMP "
           "-1"},
    Column{"init_bwd_win_byts", Unit::kBytes,
           [](Record f) -> Cell { return window(f, f.backward()); },
           "TCP window, not scaled, of the first backward packet with a TCP header; 0 without; "
           "ICMP -1"},
    Column{"active_max", Unit::kSeconds, [](Record f) -> Cell { return in_seconds(active(f).max); },
           "greatest active period longer than 0: the time between idle periods, the flow's last "
           "one included"},
    Column{"active_min", Unit::kSeconds, [](Record f) -> Cell { return in_seconds(active(f).min); },
           "least active period"},
    Column{"active_mean", Unit::kSeconds, [](Record f) -> Cell { return mean_seconds(active(f)); },
           "mean active period"},
    Column{"active_std", Unit::kSeconds,
           [](Record f) -> Cell { return deviation_seconds(active(f)); },
           "population standard deviation of the active periods"},
    Column{"idle_max", Unit::kSeconds,
           [](Record f) -> Cell { return in_seconds(f.flow.timing.idle.max); },
           "greatest idle period: a gap above the activity gap (5 s)"},
    Column{"idle_min", Unit::kSeconds,
           [](Record f) -> Cell { return in_seconds(f.flow.timing.idle.min); },
           "least idle period"},
    Column{"idle_mean", Unit::kSeconds,
           [](Record f) -> Cell { return mean_seconds(f.flow.timing.idle); }, "mean idle period"},
    Column{"idle_std", Unit::kSeconds,
           [](Record f) -> Cell { return deviation_seconds(f.flow.timing.idle); },
           "population standard deviation of the idle periods"},
    Column{"fwd_byts_b_avg", Unit::kBytes,
           [](Record f) -> Cell { return ratio(f.forward_bulks().bytes, f.forward_bulks().count); },
           "payload octets a forward bulk (4 or more payload packets without one of the other "
           "direction, gaps up to 1 s)"},
    Column{
        "fwd_pkts_b_avg", Unit::kPackets,
        [](Record f) -> Cell { return ratio(f.forward_bulks().packets, f.forward_bulks().count); },
        "packets a forward bulk"},
    Column{
        "bwd_byts_b_avg", Unit::kBytes,
        [](Record f) -> Cell { return ratio(f.backward_bulks().bytes, f.backward_bulks().count); },
        "payload octets a backward bulk (4 or more payload packets without one of the other "
        "direction, gaps up to 1 s)"},
    Column{"bwd_pkts_b_avg", Unit::kPackets,
           [](Record f)
               -> Cell { return ratio(f.backward_bulks().packets, f.backward_bulks().count); },
           "packets a backward bulk"},
    Column{
        "fwd_blk_rate_avg", Unit::kBytesPerSecond,
        [](Record f)
            -> Cell { return per_second(f.forward_bulks().bytes, f.forward_bulks().duration_ns); },
        "payload octets of the forward bulks / their time; 0 if that is 0"},
    Column{
        "bwd_blk_rate_avg", Unit::kBytesPerSecond,
        [](Record f)
            -> Cell { return per_second(f.backward_bulks().bytes, f.backward_bulks().duration_ns); },
        "payload octets of the backward bulks / their time; 0 if that is 0"},
    Column{
        "fwd_seg_size_avg", Unit::kBytes,
        [](Record f) -> Cell { return ratio(f.forward().payload_bytes, f.forward().length.count); },
        "mean payload of the forward packets"},
    Column{"bwd_seg_size_avg", Unit::kBytes,
           [](Record f)
               -> Cell { return ratio(f.backward().payload_bytes, f.backward().length.count); },
           "mean payload of the backward packets"},
    Column{"cwr_flag_count", Unit::kPackets,
           [](Record f) -> Cell { return rare_flag(f, f.flow.counters.cwr_packets); },
           "packets with CWR; ICMP -1"},
    Column{"subflow_fwd_pkts", Unit::kPackets,
           [](Record f) -> Cell { return ratio(f.forward().length.count, subflows(f)); },
           "forward packets / subflows (1 + gaps above 1 s)"},
    Column{"subflow_bwd_pkts", Unit::kPackets,
           [](Record f) -> Cell { return ratio(f.backward().length.count, subflows(f)); },
           "backward packets / subflows"},
    Column{"subflow_fwd_byts", Unit::kBytes,
           [](Record f) -> Cell { return ratio(f.forward().length.sum, subflows(f)); },
           "totlen_fwd_pkts / subflows"},
    Column{"subflow_bwd_byts", Unit::kBytes,
           [](Record f) -> Cell { return ratio(f.backward().length.sum, subflows(f)); },
           "totlen_bwd_pkts / subflows"},
};
static_assert(kColumns82.size() == 82);

}  // namespace

FeatureSet columns_82() {
  return kColumns82;
}

}  // namespace flowmeter
