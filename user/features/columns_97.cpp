// SPDX-License-Identifier: BSD-3-Clause
#include "features/columns_97.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "features/columns_114.h"
#include "features/columns_82.h"
#include "features/identity.h"

namespace flowmeter {
namespace {

using Record = const FlowRecord&;

// The same quantity under another set's name. Where that set writes -1 for ICMP, the 114 features
// have it as a count.
Getter cic82(std::string_view name) {
  return getter_of(columns_82(), name);
}
Getter netflowmeter114(std::string_view name) {
  return getter_of(columns_114(), name);
}

Cell flow_id(Record f) {
  char text[Cell::kMaxText];
  char* at = text;
  const unsigned source = f.flow.counters.forward_direction;
  for (const unsigned end : {source, 1 - source}) {
    const Cell address = address_text(f.key.address[end], f.key.ip_version);
    at = std::copy(address.text().begin(), address.text().end(), at);
    *at++ = '-';
  }
  for (const unsigned end : {source, 1 - source}) {
    at = std::to_chars(at, at + 5, f.is_icmp() ? 0 : f.key.port[end]).ptr;
    *at++ = '-';
  }
  const std::string_view protocol = protocol_name(f.key.protocol);
  at = std::copy(protocol.begin(), protocol.end(), at);
  return std::string_view(text, static_cast<size_t>(at - text));
}

const DirectionBulks::Totals& bulks(Record f, unsigned end) {
  static constexpr DirectionBulks::Totals kNone{};
  return f.direction_bulks ? f.direction_bulks[end].totals : kNone;
}
const DirectionBulks::Totals& forward_bulks(Record f) {
  return bulks(f, f.flow.counters.forward_direction);
}
const DirectionBulks::Totals& backward_bulks(Record f) {
  return bulks(f, !f.flow.counters.forward_direction);
}
double mean_rate(const DirectionBulks::Totals& bulks) {
  return bulks.count == 0 ? 0 : bulks.rate_sum / static_cast<double>(bulks.count);
}

// A cell of the application layer: empty if what the flow carried is not known.
template <typename Value>
Cell application(Record f, Value value) {
  static constexpr ApplicationSummary kNothing{};
  const ApplicationSummary& a = f.application ? *f.application : kNothing;
  return a.unknown ? Cell(std::string_view{}) : Cell(value(a));
}

// A sum that has reached its end, which a peer can bring about, must not look like -1.
Cell http_content_length(const ApplicationSummary& a) {
  if (a.http_content_length == UINT64_MAX) return std::string_view("18446744073709551615");
  return a.http_content_length;
}

Cell tls_version(const ApplicationSummary& a) {
  if (!a.tls_version_known) return std::string_view("NONE");
  constexpr char kDigits[] = "0123456789abcdef";
  char text[] = "0x0000";
  for (int i = 0; i < 4; i++) text[5 - i] = kDigits[a.tls_version >> 4 * i & 0xf];
  return std::string_view(text);
}

Cell dns_query_type(const ApplicationSummary& a) {
  if (!a.dns_type_known) return std::string_view("NONE");
  char text[12];
  const char* end = std::to_chars(text, text + sizeof(text), a.dns_type).ptr;
  return std::string_view(text, static_cast<size_t>(end - text));
}

}  // namespace

// In the order and spelling of the original, odd as they are.
FeatureSet columns_97() {
  static const std::array kColumns = {
      Column{"Flow ID", Unit::kText, flow_id,
             "Src IP, Dst IP, Src Port, Dst Port and Protocol, joined by -"},
      Column{"Src IP", Unit::kText, cic82("src_ip"), "source address of the forward direction"},
      Column{"Dst IP", Unit::kText, cic82("dst_ip"),
             "destination address of the forward direction"},
      Column{"Src Port", Unit::kNone, netflowmeter114("src_port"),
             "source port of the forward direction; ICMP 0"},
      Column{"Dst Port", Unit::kNone, netflowmeter114("dst_port"),
             "destination port of the forward direction; ICMP 0"},
      Column{"Protocol", Unit::kText, netflowmeter114("protocol"), "TCP, UDP, ICMP or ICMPv6"},
      Column{"Timestamp", Unit::kSeconds,
             [](Record f) -> Cell { return epoch_text(f.clock, f.flow.counters.first_ns); },
             "time of the first packet since 1970, UTC, always nine decimals; before 1970 a minus "
             "sign"},
      // Exact: below 2^41 us (25 days) doubles are closer together than half a nanosecond.
      Column{"Flow Duration", Unit::kMicroseconds,
             [](Record f) -> Cell { return static_cast<double>(f.duration_ns()) / 1000; },
             "latest time - first packet's time (D); the only column in microseconds"},
      Column{"Total Fwd Packets", Unit::kPackets, cic82("tot_fwd_pkts"), "forward packets"},
      Column{"Total Backward Packets", Unit::kPackets, cic82("tot_bwd_pkts"), "backward packets"},
      Column{"Total Length of Fwd Packets", Unit::kBytes, cic82("totlen_fwd_pkts"),
             "octets of the forward packets on the wire, link header and padding included"},
      Column{"Total Length of Bwd Packets", Unit::kBytes, cic82("totlen_bwd_pkts"),
             "octets of the backward packets on the wire"},
      Column{"Fwd Packet Length Max", Unit::kBytes, cic82("fwd_pkt_len_max"),
             "greatest length of a forward packet"},
      Column{"Fwd Packet Length Min", Unit::kBytes, cic82("fwd_pkt_len_min"),
             "least length of a forward packet"},
      Column{"Fwd Packet Length Mean", Unit::kBytes, cic82("fwd_pkt_len_mean"),
             "mean length of the forward packets"},
      Column{"Fwd Packet Length Std", Unit::kBytes, cic82("fwd_pkt_len_std"),
             "population standard deviation of the forward packets' lengths"},
      Column{"Bwd Packet Length Max", Unit::kBytes, cic82("bwd_pkt_len_max"),
             "greatest length of a backward packet"},
      Column{"Bwd Packet Length Min", Unit::kBytes, cic82("bwd_pkt_len_min"),
             "least length of a backward packet"},
      Column{"Bwd Packet Length Mean", Unit::kBytes, cic82("bwd_pkt_len_mean"),
             "mean length of the backward packets"},
      Column{"Bwd Packet Length Std", Unit::kBytes, cic82("bwd_pkt_len_std"),
             "population standard deviation of the backward packets' lengths"},
      Column{"Flow Bytes/s", Unit::kBytesPerSecond, cic82("flow_byts_s"),
             "octets of all packets / D; 0 if D is 0"},
      Column{"Flow Packets/s", Unit::kPerSecond, cic82("flow_pkts_s"), "packets / D; 0 if D is 0"},
      Column{"Flow IAT Mean", Unit::kSeconds, cic82("flow_iat_mean"),
             "mean gap between neighbouring packets"},
      Column{"Flow IAT Std", Unit::kSeconds, cic82("flow_iat_std"),
             "population standard deviation of the gaps between neighbouring packets"},
      Column{"Flow IAT Max", Unit::kSeconds, cic82("flow_iat_max"),
             "greatest gap between neighbouring packets"},
      Column{"Flow IAT Min", Unit::kSeconds, cic82("flow_iat_min"),
             "least gap between neighbouring packets"},
      Column{"Fwd IAT Total", Unit::kSeconds, cic82("fwd_iat_tot"),
             "sum of the gaps between neighbouring forward packets"},
      Column{"Fwd IAT Mean", Unit::kSeconds, cic82("fwd_iat_mean"),
             "mean gap between neighbouring forward packets"},
      Column{"Fwd IAT Std", Unit::kSeconds, cic82("fwd_iat_std"),
             "population standard deviation of the gaps between neighbouring forward packets"},
      Column{"Fwd IAT Max", Unit::kSeconds, cic82("fwd_iat_max"),
             "greatest gap between neighbouring forward packets"},
      Column{"Fwd IAT Min", Unit::kSeconds, cic82("fwd_iat_min"),
             "least gap between neighbouring forward packets"},
      Column{"Bwd IAT Total", Unit::kSeconds, cic82("bwd_iat_tot"),
             "sum of the gaps between neighbouring backward packets"},
      Column{"Bwd IAT Mean", Unit::kSeconds, cic82("bwd_iat_mean"),
             "mean gap between neighbouring backward packets"},
      Column{"Bwd IAT Std", Unit::kSeconds, cic82("bwd_iat_std"),
             "population standard deviation of the gaps between neighbouring backward packets"},
      Column{"Bwd IAT Max", Unit::kSeconds, cic82("bwd_iat_max"),
             "greatest gap between neighbouring backward packets"},
      Column{"Bwd IAT Min", Unit::kSeconds, cic82("bwd_iat_min"),
             "least gap between neighbouring backward packets"},
      Column{"Fwd PSH Flags", Unit::kPackets, netflowmeter114("fwd_psh_flag_counts"),
             "forward packets with PSH; ICMP 0, as all flags"},
      Column{"Bwd PSH Flags", Unit::kPackets, netflowmeter114("bwd_psh_flag_counts"),
             "backward packets with PSH"},
      Column{"Fwd URG Flags", Unit::kPackets, netflowmeter114("fwd_urg_flag_counts"),
             "forward packets with URG"},
      Column{"Bwd URG Flags", Unit::kPackets, netflowmeter114("bwd_urg_flag_counts"),
             "backward packets with URG"},
      Column{"Fwd Header Length", Unit::kBytes, cic82("fwd_header_len"),
             "octets of IP and transport headers, options and extension headers included, of the "
             "forward packets"},
      Column{"Bwd Header Length", Unit::kBytes, cic82("bwd_header_len"),
             "the same of the backward packets"},
      Column{"Fwd Packets/s", Unit::kPerSecond, cic82("fwd_pkts_s"),
             "forward packets / D; 0 if D is 0"},
      Column{"Bwd Packets/s", Unit::kPerSecond, cic82("bwd_pkts_s"),
             "backward packets / D; 0 if D is 0"},
      Column{"Min Packet Length", Unit::kBytes, cic82("pkt_len_min"), "least packet length"},
      Column{"Max Packet Length", Unit::kBytes, cic82("pkt_len_max"), "greatest packet length"},
      Column{"Packet Length Mean", Unit::kBytes, cic82("pkt_len_mean"), "mean packet length"},
      Column{"Packet Length Std", Unit::kBytes, cic82("pkt_len_std"),
             "population standard deviation of the packet lengths"},
      Column{"Packet Length Variance", Unit::kBytesSquared, cic82("pkt_len_var"),
             "population variance of the packet lengths"},
      Column{"FIN Flag Count", Unit::kPackets, netflowmeter114("fin_flag_counts"),
             "packets with FIN"},
      Column{"SYN Flag Count", Unit::kPackets, netflowmeter114("syn_flag_counts"),
             "packets with SYN"},
      Column{"RST Flag Count", Unit::kPackets, netflowmeter114("rst_flag_counts"),
             "packets with RST"},
      Column{"PSH Flag Count", Unit::kPackets, netflowmeter114("psh_flag_counts"),
             "packets with PSH"},
      Column{"ACK Flag Count", Unit::kPackets, netflowmeter114("ack_flag_counts"),
             "packets with ACK"},
      Column{"URG Flag Count", Unit::kPackets, netflowmeter114("urg_flag_counts"),
             "packets with URG"},
      Column{"CWR Flag Count", Unit::kPackets, netflowmeter114("cwr_flag_counts"),
             "packets with CWR"},
      Column{"ECE Flag Count", Unit::kPackets, netflowmeter114("ece_flag_counts"),
             "packets with ECE"},
      Column{"Down/Up Ratio", Unit::kNone,
             [](Record f) -> Cell { return ratio(f.backward().length.sum, f.forward().length.sum); },
             "octets of the backward packets / of the forward packets; 0 without forward packets"},
      Column{"Average Packet Size", Unit::kBytes, cic82("pkt_size_avg"), "as Packet Length Mean"},
      Column{"Avg Fwd Segment Size", Unit::kBytes, cic82("fwd_seg_size_avg"),
             "mean payload of the forward packets"},
      Column{"Avg Bwd Segment Size", Unit::kBytes, cic82("bwd_seg_size_avg"),
             "mean payload of the backward packets"},
      Column{"Fwd Header Length.1", Unit::kBytes, cic82("fwd_header_len"), "as Fwd Header Length"},
      Column{"Fwd Avg Bytes/Bulk", Unit::kBytes,
             [](Record f) -> Cell { return ratio(forward_bulks(f).bytes, forward_bulks(f).count); },
             "payload octets a forward bulk (payload packets with gaps up to 0.1 s; packets of the "
             "other direction do not break it, and one packet is a bulk)"},
      Column{
          "Fwd Avg Packets/Bulk", Unit::kPackets,
          [](Record f) -> Cell { return ratio(forward_bulks(f).packets, forward_bulks(f).count); },
          "packets a forward bulk"},
      Column{"Fwd Avg Bulk Rate", Unit::kBytesPerSecond,
             [](Record f) -> Cell { return mean_rate(forward_bulks(f)); },
             "mean over the forward bulks of payload octets / time, 0 for one that took none"},
      Column{
          "Bwd Avg Bytes/Bulk", Unit::kBytes,
          [](Record f) -> Cell { return ratio(backward_bulks(f).bytes, backward_bulks(f).count); },
          "payload octets a backward bulk"},
      Column{"Bwd Avg Packets/Bulk", Unit::kPackets,
             [](Record f)
                 -> Cell { return ratio(backward_bulks(f).packets, backward_bulks(f).count); },
             "packets a backward bulk"},
      Column{"Bwd Avg Bulk Rate", Unit::kBytesPerSecond,
             [](Record f) -> Cell { return mean_rate(backward_bulks(f)); },
             "mean over the backward bulks of payload octets / time, 0 for one that took none"},
      Column{"Subflow Fwd Packets", Unit::kPackets, cic82("subflow_fwd_pkts"),
             "forward packets / subflows (1 + gaps above 1 s)"},
      Column{"Subflow Fwd Bytes", Unit::kBytes, cic82("subflow_fwd_byts"),
             "Total Length of Fwd Packets / subflows"},
      Column{"Subflow Bwd Packets", Unit::kPackets, cic82("subflow_bwd_pkts"),
             "backward packets / subflows"},
      Column{"Subflow Bwd Bytes", Unit::kBytes, cic82("subflow_bwd_byts"),
             "Total Length of Bwd Packets / subflows"},
      Column{"Init_Win_bytes_forward", Unit::kBytes, netflowmeter114("fwd_init_win_bytes"),
             "TCP window, not scaled, of the first forward packet with a TCP header; 0 without, "
             "and if not TCP"},
      Column{"Init_Win_bytes_backward", Unit::kBytes, netflowmeter114("bwd_init_win_bytes"),
             "TCP window, not scaled, of the first backward packet with a TCP header; 0 without, "
             "and if not TCP"},
      Column{"act_data_pkt_fwd", Unit::kPackets, cic82("fwd_act_data_pkts"),
             "forward packets with payload"},
      Column{"min_seg_size_forward", Unit::kBytes, cic82("fwd_seg_size_min"),
             "least payload of a forward packet (0 for a bare ACK, and without forward packets)"},
      Column{"Active Mean", Unit::kSeconds, cic82("active_mean"),
             "mean active period longer than 0: the time between idle periods, the flow's last one "
             "included"},
      Column{"Active Std", Unit::kSeconds, cic82("active_std"),
             "population standard deviation of the active periods"},
      Column{"Active Max", Unit::kSeconds, cic82("active_max"), "greatest active period"},
      Column{"Active Min", Unit::kSeconds, cic82("active_min"), "least active period"},
      Column{"Idle Mean", Unit::kSeconds, cic82("idle_mean"),
             "mean idle period: a gap above the activity gap (1 s)"},
      Column{"Idle Std", Unit::kSeconds, cic82("idle_std"),
             "population standard deviation of the idle periods"},
      Column{"Idle Max", Unit::kSeconds, cic82("idle_max"), "greatest idle period"},
      Column{"Idle Min", Unit::kSeconds, cic82("idle_min"), "least idle period"},
      Column{"HTTP Request Count", Unit::kNone,
             [](Record f) {
               return application(f, [](const auto& a) { return a.http_requests; });
             },
             "HTTP/1.0 and 1.1 requests begun"},
      Column{"HTTP Response Count", Unit::kNone,
             [](Record f) {
               return application(f, [](const auto& a) { return a.http_responses; });
             },
             "HTTP/1.0 and 1.1 responses begun, 1xx included"},
      Column{"HTTP Most Common Method", Unit::kText,
             [](Record f) {
               return application(f, [](const auto& a) {
                 const std::string method = a.http_method.text();
                 return Cell(method.empty() ? std::string_view("NONE") : method);
               });
             },
             "method of most requests, of equals the one seen first; NONE"},
      Column{"HTTP Most Common Response Code", Unit::kNone,
             [](Record f) {
               return application(f, [](const auto& a) { return uint64_t{a.http_code}; });
             },
             "status of most responses, of equals the one seen first; 0 without"},
      Column{"HTTP Content Length", Unit::kBytes,
             [](Record f) { return application(f, http_content_length); },
             "sum of the Content-Length values of the requests and responses counted"},
      Column{"TLS Handshake Count", Unit::kNone,
             [](Record f) {
               return application(f, [](const auto& a) { return a.tls_messages; });
             },
             "handshake messages of both directions that are not encrypted"},
      Column{"TLS Most Common Version", Unit::kText,
             [](Record f) { return application(f, tls_version); },
             "the version agreed (0x0304 is TLS 1.3), else the highest that was offered; NONE"},
      Column{"TLS Cipher Suite Count", Unit::kNone,
             [](Record f) {
               return application(f, [](const auto& a) { return uint64_t{a.tls_cipher_suites}; });
             },
             "different cipher suites offered or chosen, GREASE left out"},
      Column{"TLS Extensions Count", Unit::kNone,
             [](Record f) {
               return application(f, [](const auto& a) { return uint64_t{a.tls_extensions}; });
             },
             "extensions of ClientHello and ServerHello, GREASE left out"},
      Column{"DNS Query Count", Unit::kNone,
             [](Record f) {
               return application(f, [](const auto& a) { return a.dns_queries; });
             },
             "DNS messages of port 53 that ask"},
      Column{"DNS Response Count", Unit::kNone,
             [](Record f) {
               return application(f, [](const auto& a) { return a.dns_responses; });
             },
             "DNS messages of port 53 that answer, also without a record"},
      Column{"DNS Most Common Query Type", Unit::kText,
             [](Record f) { return application(f, dns_query_type); },
             "type of most queries (1 is A, 28 AAAA), of equals the one seen first; NONE"},
      Column{"DNS Most Common Response Code", Unit::kNone,
             [](Record f) {
               return application(f, [](const auto& a) { return uint64_t{a.dns_rcode}; });
             },
             "code of most responses, of equals the one seen first; 0 also without a response"},
  };
  static_assert(kColumns.size() == 97);
  return kColumns;
}

}  // namespace flowmeter
