// SPDX-License-Identifier: BSD-3-Clause
// Every quantity that a feature set can use, defined once. A definition that is specific to one set
// is in that set's own file. The quantities of HTTP, TLS and DNS are in application_quantities.h.
//
// D is the flow's duration.
#pragma once

#include <bit>

#include "features/column.h"
#include "features/identity.h"
#include "features/instant.h"

namespace flowmeter::quantities {

using enum Unit;
using Record = const FlowRecord&;

// ---- contents of a flow record, by direction ----

// The end of the key that sends in this direction. Requires: not kBoth.
inline unsigned sender(Record f, Way way) {
  return f.flow.counters.forward_direction ^ static_cast<unsigned>(way == Way::kBackward);
}
inline const fm_direction_counters& counters(Record f, Way way) {
  return f.flow.counters.direction[sender(f, way)];
}
// 0 for ICMP, which has none.
inline uint16_t port(Record f, unsigned end) {
  return f.is_icmp() ? uint16_t{0} : f.key.port[end];
}

// The sum or the samples of both ends, or those of the direction's sender.
template <typename OfEnd>
auto of_ends(Record f, Way way, OfEnd of_end) {
  auto first = of_end(way == Way::kBoth ? 0u : sender(f, way));
  if (way != Way::kBoth) return first;
  const auto second = of_end(1u);
  if constexpr (std::is_same_v<decltype(first), fm_moments>)
    fm_moments_merge(&first, &second);
  else
    first += second;
  return first;
}

inline uint64_t packets(Record f, Way way) {
  return of_ends(f, way, [&](unsigned end) { return f.flow.counters.direction[end].length.count; });
}
inline uint64_t payload_bytes(Record f, Way way) {
  return of_ends(f, way,
                 [&](unsigned end) { return f.flow.counters.direction[end].payload_bytes; });
}
inline uint64_t flag_packets(Record f, Way way, uint8_t flag) {
  return of_ends(f, way, [&](unsigned end) {
    const fm_flow_counters& c = f.flow.counters;
    if (flag == FM_ECE) return c.ece_packets[end];
    if (flag == FM_CWR) return c.cwr_packets[end];
    return c.direction[end].flag_packets[std::countr_zero(flag)];
  });
}
inline fm_moments lengths(Record f, Way way) {
  return of_ends(f, way, [&](unsigned end) { return f.flow.counters.direction[end].length; });
}
inline fm_moments payloads(Record f, Way way) {
  return of_ends(f, way, [&](unsigned end) {
    const fm_direction_counters& d = f.flow.counters.direction[end];
    const fm_direction_sizes& s = f.sizes->direction[end];
    return fm_moments{d.length.count,
                      d.payload_bytes,
                      {s.payload_squares_low, s.payload_squares_high},
                      d.payload_min,
                      s.payload_max};
  });
}
inline fm_moments transport_headers(Record f, Way way) {
  return of_ends(f, way, [&](unsigned end) {
    const fm_flow_counters& c = f.flow.counters;
    const fm_direction_sizes& s = f.sizes->direction[end];
    return fm_moments{c.direction[end].length.count,
                      s.header_bytes,
                      {s.header_squares, 0},
                      c.transport_header_min[end],
                      c.transport_header_max[end]};
  });
}
// The times between consecutive packets. Those of both directions are not a merge of each one's.
inline const fm_moments& gaps(Record f, Way way) {
  const fm_flow_timing& t = f.flow.timing;
  return way == Way::kBoth ? t.gaps : t.direction[sender(f, way)].gaps;
}
inline const fm_bulks& bulks(Record f, Way way) {
  return f.flow.timing.bulks[sender(f, way)];
}
inline uint64_t subflows(Record f) {
  return 1 + f.flow.timing.subflow_gaps;
}
// The active periods that an idle period ended, and the one in which the flow ended.
inline fm_moments active_periods(Record f) {
  const fm_flow_timing& t = f.flow.timing;
  fm_moments periods = t.active;
  if (t.last_ns > t.period_start_ns) fm_moments_add(&periods, t.last_ns - t.period_start_ns);
  return periods;
}

// ---- identity ----

inline constexpr QuantityOf kSourceAddress{
    kText, "source address of the forward direction", [](Record f) {
      return address_text(f.key.address[sender(f, Way::kForward)], f.key.ip_version);
    }};
inline constexpr QuantityOf kDestinationAddress{
    kText, "destination address of the forward direction", [](Record f) {
      return address_text(f.key.address[sender(f, Way::kBackward)], f.key.ip_version);
    }};
inline constexpr QuantityOf kSourcePort{kNone, "source port of the forward direction; ICMP 0",
                                        [](Record f) { return port(f, sender(f, Way::kForward)); }};
inline constexpr QuantityOf kDestinationPort{
    kNone, "destination port of the forward direction; ICMP 0",
    [](Record f) { return port(f, sender(f, Way::kBackward)); }};
inline constexpr QuantityOf kProtocolNumber{kNone, "IP protocol number: 6, 17, 1 or 58",
                                            [](Record f) { return f.key.protocol; }};
inline constexpr CategoryOf kProtocolName{kText, "TCP, UDP, ICMP or ICMPv6",
                                          [](Record f) { return protocol_name(f.key.protocol); }};
inline constexpr auto kReadFirstTime = [](Record f) {
  return Instant{f.clock, f.flow.counters.first_ns};
};
inline constexpr Quantity kFirstTime = instant_of<time_text, 6>(
    kTime, "time of the first packet, UTC, truncated to microseconds", kReadFirstTime);

// ---- duration, packets, rates ----

inline constexpr QuantityOf kDuration{kSeconds, "latest time - time of the first packet (D)",
                                      [](Record f) { return Nanoseconds{f.duration_ns()}; }};
inline constexpr EachWay kPacketCount{kPackets, "{}packets",
                                      [](Record f, Way way) { return packets(f, way); }};
inline constexpr Directed kDataPacketCount{
    kPackets, "{}packets with payload",
    [](Record f, Way way) { return counters(f, way).data_packets; }};
inline constexpr EachWay kPacketRate{
    kPerSecond, "{}packets / D; 0 if D is 0",
    [](Record f, Way way) { return per_second(packets(f, way), f.duration_ns()); }};
inline constexpr QuantityOf kDownUpRatio{
    kNone, "backward packets / forward packets; 0 without forward packets",
    [](Record f) { return ratio(packets(f, Way::kBackward), packets(f, Way::kForward)); }};

// ---- length on the wire ----

inline constexpr EachWay kLengthSum{
    kBytes, "bytes of the {}packets on the wire, link header and padding included",
    [](Record f, Way way) { return lengths(f, way).sum; }};
inline constexpr EachWay kLengthMax{kBytes, "largest length of a {}packet",
                                    [](Record f, Way way) { return lengths(f, way).max; }};
inline constexpr EachWay kLengthMin{kBytes, "smallest length of a {}packet",
                                    [](Record f, Way way) { return lengths(f, way).min; }};
inline constexpr EachWay kLengthMean{kBytes, "mean length of the {}packets",
                                     [](Record f, Way way) { return mean(lengths(f, way)); }};
inline constexpr EachWay kLengthDeviation{
    kBytes, "population standard deviation of the {}packets' lengths",
    [](Record f, Way way) { return deviation(lengths(f, way)); }};
inline constexpr EachWay kLengthVariance{
    kBytesSquared, "population variance of the {}packets' lengths",
    [](Record f, Way way) { return variance(lengths(f, way)); }};
inline constexpr QuantityOf kByteRate{
    kBytesPerSecond, "bytes of all packets on the wire / D; 0 if D is 0",
    [](Record f) { return per_second(lengths(f, Way::kBoth).sum, f.duration_ns()); }};

// ---- headers ----

inline constexpr Directed kHeaderBytes{
    kBytes, "bytes of the {}packets' IP and transport headers, with options and extension headers",
    [](Record f, Way way) { return counters(f, way).header_bytes; }};
inline constexpr EachWay kTransportHeaderSum{
    kBytes, "bytes of the {}packets' transport headers",
    [](Record f, Way way) { return transport_headers(f, way).sum; }};
inline constexpr EachWay kTransportHeaderMax{
    kBytes, "largest transport header of a {}packet",
    [](Record f, Way way) { return transport_headers(f, way).max; }};
inline constexpr EachWay kTransportHeaderMin{
    kBytes, "smallest transport header of a {}packet",
    [](Record f, Way way) { return transport_headers(f, way).min; }};
inline constexpr EachWay kTransportHeaderMean{
    kBytes, "mean of the {}packets' transport headers",
    [](Record f, Way way) { return mean(transport_headers(f, way)); }};
inline constexpr EachWay kTransportHeaderDeviation{
    kBytes, "population standard deviation of the {}packets' transport headers",
    [](Record f, Way way) { return deviation(transport_headers(f, way)); }};

// ---- payload ----

inline constexpr EachWay kPayloadSum{kBytes, "payload bytes of the {}packets",
                                     [](Record f, Way way) { return payload_bytes(f, way); }};
inline constexpr EachWay kPayloadMax{kBytes, "largest payload of a {}packet",
                                     [](Record f, Way way) { return payloads(f, way).max; }};
inline constexpr EachWay kPayloadMin{
    kBytes, "smallest payload of a {}packet (0 for a bare ACK or without {}packets)",
    [](Record f, Way way) { return payloads(f, way).min; }};
inline constexpr EachWay kPayloadMean{kBytes, "mean payload of the {}packets",
                                      [](Record f, Way way) { return mean(payloads(f, way)); }};
inline constexpr EachWay kPayloadDeviation{
    kBytes, "population standard deviation of the {}packets' payload",
    [](Record f, Way way) { return deviation(payloads(f, way)); }};
inline constexpr EachWay kPayloadVariance{
    kBytesSquared, "population variance of the {}packets' payload",
    [](Record f, Way way) { return variance(payloads(f, way)); }};
inline constexpr EachWay kPayloadRate{
    kBytesPerSecond, "payload bytes of the {}packets / D; 0 if D is 0",
    [](Record f, Way way) { return per_second(payload_bytes(f, way), f.duration_ns()); }};

// ---- TCP: flags, windows ----

inline constexpr EachWay kFinPackets{
    kPackets, "{}packets with FIN", [](Record f, Way way) { return flag_packets(f, way, FM_FIN); }};
inline constexpr EachWay kSynPackets{
    kPackets, "{}packets with SYN", [](Record f, Way way) { return flag_packets(f, way, FM_SYN); }};
inline constexpr EachWay kRstPackets{
    kPackets, "{}packets with RST", [](Record f, Way way) { return flag_packets(f, way, FM_RST); }};
inline constexpr EachWay kPshPackets{
    kPackets, "{}packets with PSH", [](Record f, Way way) { return flag_packets(f, way, FM_PSH); }};
inline constexpr EachWay kAckPackets{
    kPackets, "{}packets with ACK", [](Record f, Way way) { return flag_packets(f, way, FM_ACK); }};
inline constexpr EachWay kUrgPackets{
    kPackets, "{}packets with URG", [](Record f, Way way) { return flag_packets(f, way, FM_URG); }};
inline constexpr EachWay kEcePackets{
    kPackets, "{}packets with ECE", [](Record f, Way way) { return flag_packets(f, way, FM_ECE); }};
inline constexpr EachWay kCwrPackets{
    kPackets, "{}packets with CWR", [](Record f, Way way) { return flag_packets(f, way, FM_CWR); }};
inline constexpr Directed kInitialWindow{
    kBytes, "unscaled TCP window of the first {}packet with a TCP header; 0 if there is none",
    [](Record f, Way way) { return counters(f, way).initial_window; }};

// ---- times between packets ----

inline constexpr EachWay kGapSum{kSeconds, "sum of the gaps between consecutive {}packets",
                                 [](Record f, Way way) { return Nanoseconds{gaps(f, way).sum}; }};
inline constexpr EachWay kGapMax{kSeconds, "largest gap between consecutive {}packets",
                                 [](Record f, Way way) { return Nanoseconds{gaps(f, way).max}; }};
inline constexpr EachWay kGapMin{kSeconds, "smallest gap between consecutive {}packets",
                                 [](Record f, Way way) { return Nanoseconds{gaps(f, way).min}; }};
inline constexpr EachWay kGapMean{kSeconds, "mean gap between consecutive {}packets",
                                  [](Record f, Way way) { return mean_seconds(gaps(f, way)); }};
inline constexpr EachWay kGapDeviation{
    kSeconds, "population standard deviation of the gaps between consecutive {}packets",
    [](Record f, Way way) { return deviation_seconds(gaps(f, way)); }};

// ---- active and idle periods ----

// What an active period is, for the first such column of a set (with_note).
inline constexpr std::string_view kActivePeriodNote =
    " longer than 0: the time between idle periods, including the flow's last one";
inline constexpr QuantityOf kActiveMax{kSeconds, "largest active period",
                                       [](Record f) { return Nanoseconds{active_periods(f).max}; }};
inline constexpr QuantityOf kActiveMin{kSeconds, "smallest active period",
                                       [](Record f) { return Nanoseconds{active_periods(f).min}; }};
inline constexpr QuantityOf kActiveMean{kSeconds, "mean active period",
                                        [](Record f) { return mean_seconds(active_periods(f)); }};
inline constexpr QuantityOf kActiveDeviation{
    kSeconds, "population standard deviation of the active periods",
    [](Record f) { return deviation_seconds(active_periods(f)); }};
inline constexpr QuantityOf kIdleMax{kSeconds, "largest idle period",
                                     [](Record f) { return Nanoseconds{f.flow.timing.idle.max}; }};
inline constexpr QuantityOf kIdleMin{kSeconds, "smallest idle period",
                                     [](Record f) { return Nanoseconds{f.flow.timing.idle.min}; }};
inline constexpr QuantityOf kIdleMean{kSeconds, "mean idle period",
                                      [](Record f) { return mean_seconds(f.flow.timing.idle); }};
inline constexpr QuantityOf kIdleDeviation{
    kSeconds, "population standard deviation of the idle periods",
    [](Record f) { return deviation_seconds(f.flow.timing.idle); }};

// ---- bulks, which a payload packet of the other direction ends ----

// What a bulk is in a set with the default settings.
inline constexpr std::string_view kDefaultBulkNote =
    " (4 or more payload packets without one of the other direction, gaps up to 1 s)";
inline constexpr Directed kBulkCount{kNone, "{}bulks",
                                     [](Record f, Way way) { return bulks(f, way).count; }};
inline constexpr Directed kBulkBytes{kBytes, "payload bytes of the {}bulks",
                                     [](Record f, Way way) { return bulks(f, way).bytes; }};
inline constexpr Directed kBulkPackets{kPackets, "packets of the {}bulks",
                                       [](Record f, Way way) { return bulks(f, way).packets; }};
inline constexpr Directed kBulkDuration{
    kSeconds, "sum of the {}bulks' durations, each from first to last packet",
    [](Record f, Way way) { return Nanoseconds{bulks(f, way).duration_ns}; }};
inline constexpr Directed kBulkBytesMean{kBytes, "payload bytes per {}bulk", [](Record f, Way way) {
                                           return ratio(bulks(f, way).bytes, bulks(f, way).count);
                                         }};
inline constexpr Directed kBulkPacketsMean{
    kPackets, "packets per {}bulk",
    [](Record f, Way way) { return ratio(bulks(f, way).packets, bulks(f, way).count); }};
inline constexpr Directed kBulkRate{
    kBytesPerSecond, "payload bytes of the {}bulks / their duration; 0 if that is 0",
    [](Record f, Way way) { return per_second(bulks(f, way).bytes, bulks(f, way).duration_ns); }};

// ---- subflows ----

inline constexpr Directed kSubflowPackets{
    kPackets, "{}packets / subflows (1 + gaps above --subflow-gap)",
    [](Record f, Way way) { return ratio(packets(f, way), subflows(f)); }};
inline constexpr Directed kSubflowBytes{
    kBytes, "bytes of the {}packets on the wire / subflows",
    [](Record f, Way way) { return ratio(lengths(f, way).sum, subflows(f)); }};

}  // namespace flowmeter::quantities
