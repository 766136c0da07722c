// SPDX-License-Identifier: BSD-3-Clause
#include "compat/java_row.h"

#include <charconv>
#include <cstring>

#include "compat/java_text.h"

namespace flowmeter {

const std::string_view kJavaHeader =
    "Flow ID,Src IP,Src Port,Dst IP,Dst Port,Protocol,Timestamp,Flow Duration,Total Fwd Packet,"
    "Total Bwd packets,Total Length of Fwd Packet,Total Length of Bwd Packet,"
    "Fwd Packet Length Max,Fwd Packet Length Min,Fwd Packet Length Mean,Fwd Packet Length Std,"
    "Bwd Packet Length Max,Bwd Packet Length Min,Bwd Packet Length Mean,Bwd Packet Length Std,"
    "Flow Bytes/s,Flow Packets/s,Flow IAT Mean,Flow IAT Std,Flow IAT Max,Flow IAT Min,"
    "Fwd IAT Total,Fwd IAT Mean,Fwd IAT Std,Fwd IAT Max,Fwd IAT Min,"
    "Bwd IAT Total,Bwd IAT Mean,Bwd IAT Std,Bwd IAT Max,Bwd IAT Min,"
    "Fwd PSH Flags,Bwd PSH Flags,Fwd URG Flags,Bwd URG Flags,Fwd Header Length,Bwd Header Length,"
    "Fwd Packets/s,Bwd Packets/s,Packet Length Min,Packet Length Max,Packet Length Mean,"
    "Packet Length Std,Packet Length Variance,FIN Flag Count,SYN Flag Count,RST Flag Count,"
    "PSH Flag Count,ACK Flag Count,URG Flag Count,CWR Flag Count,ECE Flag Count,Down/Up Ratio,"
    "Average Packet Size,Fwd Segment Size Avg,Bwd Segment Size Avg,Fwd Bytes/Bulk Avg,"
    "Fwd Packet/Bulk Avg,Fwd Bulk Rate Avg,Bwd Bytes/Bulk Avg,Bwd Packet/Bulk Avg,"
    "Bwd Bulk Rate Avg,Subflow Fwd Packets,Subflow Fwd Bytes,Subflow Bwd Packets,"
    "Subflow Bwd Bytes,FWD Init Win Bytes,Bwd Init Win Bytes,Fwd Act Data Pkts,Fwd Seg Size Min,"
    "Active Mean,Active Std,Active Max,Active Min,Idle Mean,Idle Std,Idle Max,Idle Min,Label";

namespace {

// Puts cells one after the other, each followed by a comma.
class RowWriter {
 public:
  explicit RowWriter(char* at) : at_(at) {}

  void text(std::string_view value) {
    std::memcpy(at_, value.data(), value.size());
    at_ += value.size();
    *at_++ = ',';
  }
  void integer(int64_t value) {
    at_ = std::to_chars(at_, at_ + 20, value).ptr;
    *at_++ = ',';
  }
  void real(double value) {
    at_ = put_java_double(at_, value);
    *at_++ = ',';
  }
  // The original prints the integer 0 where a set is empty.
  void zeros(int cells) {
    for (int i = 0; i < cells; i++) text("0");
  }
  void mean_std_max_min(const JavaStatistics& set) {
    real(set.mean());
    real(set.deviation());
    real(set.max());
    real(set.min());
  }
  void mean_std_max_min_or_zeros(const JavaStatistics& set) {
    if (set.empty()) return zeros(4);
    mean_std_max_min(set);
  }
  void max_min_mean_std_or_zeros(const JavaStatistics& set) {
    if (set.empty()) return zeros(4);
    real(set.max());
    real(set.min());
    real(set.mean());
    real(set.deviation());
  }
  void gaps(const JavaStatistics& set) {
    if (set.empty()) return zeros(5);
    real(set.sum());
    mean_std_max_min(set);
  }
  template <typename Put>
  void put(Put&& put_text) {
    at_ = put_text(at_);
    *at_++ = ',';
  }

  char* at() const { return at_; }

 private:
  char* at_;
};

char* put_number(char* at, uint32_t value) {
  return std::to_chars(at, at + 10, value).ptr;
}

char* put_address(char* at, uint32_t address) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    at = put_number(at, address >> shift & 0xff);
    if (shift > 0) *at++ = '.';
  }
  return at;
}

double seconds(int64_t us) {
  return static_cast<double>(us) / 1'000'000.0;
}

// Requires: b is not 0. The quotient fits, as a is a count.
double quotient(double a, int64_t b) {
  return a / static_cast<double>(b);
}

// Flow Bytes/s and Flow Packets/s: NaN or Infinity for a duration of 0, a negative rate for a
// negative duration.
double flow_rate(int64_t count, int64_t duration_us) {
  return static_cast<double>(count) / seconds(duration_us);
}

// Fwd and Bwd Packets/s: 0 where there is no duration.
double direction_rate(int64_t count, int64_t duration_us) {
  return duration_us > 0 ? flow_rate(count, duration_us) : 0;
}

// Averages of integers are integer quotients, and 0 if the divisor is 0.
int64_t whole_average(int64_t sum, int64_t count) {
  return count == 0 ? 0 : sum / count;
}

int64_t bulk_rate(const JavaBulk& bulk) {
  if (bulk.duration_us == 0) return 0;
  return java_long(static_cast<double>(bulk.bytes) / seconds(bulk.duration_us));
}

double segment_average(const JavaStatistics& payload) {
  return payload.empty() ? 0 : quotient(payload.sum(), payload.count());
}

void put_identity(RowWriter& row, const JavaFlow& flow) {
  const JavaFlowIdentity& identity = flow.identity;
  row.put([&](char* to) { return put_java_flow_id(to, identity); });
  row.put([&](char* to) { return put_address(to, identity.source); });
  row.integer(identity.source_port);
  row.put([&](char* to) { return put_address(to, identity.destination); });
  row.integer(identity.destination_port);
  row.integer(identity.protocol);
  row.put([&](char* to) { return put_java_timestamp(to, flow.start_us); });
}

// From Flow Duration to Bwd Packets/s.
void put_directions(RowWriter& row, const JavaFlow& flow) {
  const JavaDirection &fwd = flow.forward, &bwd = flow.backward;
  const int64_t fwd_packets = fwd.payload.count(), bwd_packets = bwd.payload.count();
  const int64_t duration_us = java_subtract(flow.last_us, flow.start_us);
  row.integer(duration_us);
  row.integer(fwd_packets);
  row.integer(bwd_packets);
  row.real(fwd.payload.sum());
  row.real(bwd.payload.sum());
  row.max_min_mean_std_or_zeros(fwd.payload);
  row.max_min_mean_std_or_zeros(bwd.payload);
  row.real(flow_rate(fwd.payload_bytes + bwd.payload_bytes, duration_us));
  row.real(flow_rate(fwd_packets + bwd_packets, duration_us));
  row.mean_std_max_min(flow.gaps);
  row.gaps(fwd.gaps);
  row.gaps(bwd.gaps);
  // Flags by direction are those of the first packet, which is forward.
  row.integer(flow.first_psh);
  row.integer(0);
  row.integer(flow.first_urg);
  row.integer(0);
  row.integer(fwd.header_bytes);
  row.integer(bwd.header_bytes);
  row.real(direction_rate(fwd_packets, duration_us));
  row.real(direction_rate(bwd_packets, duration_us));
}

// From Packet Length Min to Bwd Segment Size Avg.
void put_payload(RowWriter& row, const JavaFlow& flow) {
  const int64_t fwd_packets = flow.forward.payload.count();
  const int64_t bwd_packets = flow.backward.payload.count();
  row.real(flow.payload.min());
  row.real(flow.payload.max());
  row.real(flow.payload.mean());
  row.real(flow.payload.deviation());
  row.real(flow.payload.variance());
  // FIN, SYN, RST, PSH, ACK, URG, then CWR before ECE.
  for (const size_t bit : {0u, 1u, 2u, 3u, 4u, 5u, 7u, 6u}) row.integer(flow.flag_packets[bit]);
  // Down/Up Ratio: the quotient of two integers, printed as a real.
  row.real(static_cast<double>(whole_average(bwd_packets, fwd_packets)));
  // Average Packet Size: the first payload counts twice, its packet once.
  row.real(quotient(flow.payload.sum(), fwd_packets + bwd_packets));
  row.real(segment_average(flow.forward.payload));
  row.real(segment_average(flow.backward.payload));
}

// Bulks and subflows.
void put_averages(RowWriter& row, const JavaFlow& flow) {
  row.zeros(3);  // forward bulks: JavaBulk::add() says why
  row.integer(whole_average(flow.bulk.bytes, flow.bulk.bulks));
  row.integer(whole_average(flow.bulk.packets, flow.bulk.bulks));
  row.integer(bulk_rate(flow.bulk));
  for (const JavaDirection* direction : {&flow.forward, &flow.backward}) {
    row.integer(whole_average(direction->payload.count(), flow.subflow_gaps));
    row.integer(whole_average(direction->payload_bytes, flow.subflow_gaps));
  }
}

}  // namespace

char* put_java_flow_id(char* at, const JavaFlowIdentity& identity) {
  at = put_address(at, identity.source);
  *at++ = '-';
  at = put_address(at, identity.destination);
  *at++ = '-';
  at = put_number(at, identity.source_port);
  *at++ = '-';
  at = put_number(at, identity.destination_port);
  *at++ = '-';
  return put_number(at, identity.protocol);
}

char* put_java_row(char* at, const JavaFlow& flow) {
  RowWriter row(at);
  put_identity(row, flow);
  put_directions(row, flow);
  put_payload(row, flow);
  put_averages(row, flow);
  row.integer(flow.forward.window);
  row.integer(flow.backward.window);
  row.integer(flow.forward_data_packets);
  row.integer(flow.least_forward_header);
  row.mean_std_max_min_or_zeros(flow.active);
  row.mean_std_max_min_or_zeros(flow.idle);
  row.text("NeedManualLabel");
  row.at()[-1] = '\n';
  return row.at();
}

}  // namespace flowmeter
