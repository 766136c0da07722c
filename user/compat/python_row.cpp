// SPDX-License-Identifier: BSD-3-Clause
#include "compat/python_row.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <numeric>

#include "compat/python_arithmetic.h"
#include "features/columns_82.h"
#include "features/identity.h"
#include "features/select.h"
#include "flowmeter/packet.h"

namespace flowmeter {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr unsigned kForward = 0, kReverse = 1;

// ---- Flow.update_flow_bulk()
// ---------------------------------------------------------------------

// constants.py
constexpr uint32_t kBulkBound = 4;
constexpr int64_t kClumpTimeoutUs = 1 * kSecond;

// Of one direction.
struct Bulk {
  int64_t start_us = 0, last_us = 0;  // of the candidate; 0: no candidate, also if it began at 0
  uint64_t packets = 0, size = 0;
  uint64_t bulks = 0, bulk_packets = 0, bulk_size = 0;
  int64_t bulk_time_us = 0;  // negative where the clock steps back

  void add(int64_t time_us, uint16_t payload, const Bulk& other) {
    // By time, not by order: the other direction ends a candidate only if it is later than the
    // candidate's start.
    if (other.last_us > start_us) start_us = 0;
    if (start_us == 0 || time_us - last_us > kClumpTimeoutUs) {
      start_us = last_us = time_us;
      packets = 1;
      size = payload;
      return;
    }
    packets++;
    size += payload;
    if (packets == kBulkBound) {
      bulks++;
      bulk_packets += packets;
      bulk_size += size;
      bulk_time_us += time_us - start_us;
    } else if (packets > kBulkBound) {
      bulk_packets++;
      bulk_size += payload;
      bulk_time_us += time_us - last_us;
    }
    last_us = time_us;
  }
};

// ---- what the list of a flow adds up to
// ------------------------------------------------------------

struct Direction {
  uint64_t packets = 0, bytes = 0, header_bytes = 0, data_packets = 0;
  uint16_t longest = 0, shortest = UINT16_MAX;
  uint32_t least_header = UINT32_MAX;
  uint64_t flags[8] = {};  // packets with the bit
  uint16_t initial_window = 0;
  int64_t latest_listed_us = 0;  // time of the packet before in the list
  Bulk bulk;
};

// ---- text
// ------------------------------------------------------------------------------------------

// csv.writer over the wanted columns.
class RowText {
 public:
  RowText(char* at, const std::vector<bool>& wanted) : at_(at), wanted_(wanted) {}

  void text(std::string_view value) {
    cell([&](char* at) {
      std::memcpy(at, value.data(), value.size());
      return at + value.size();
    });
  }
  void integer(uint64_t value) {
    cell([&](char* at) { return std::to_chars(at, at + 20, value).ptr; });
  }
  void real(double value) {
    cell([&](char* at) { return put_python_float(at, value); });
  }
  // What the original initialises with the int 0 and never turns into a float.
  void zero() { text("0"); }
  void zeros(int count) {
    for (int i = 0; i < count; i++) zero();
  }
  void real_or_zero(bool is_real, double value) { is_real ? real(value) : zero(); }
  // `-1 if self.is_icmp else …` of Flow.get_data().
  void not_of_icmp(bool is_icmp, uint64_t value) { is_icmp ? text("-1") : integer(value); }
  void decimal_rate(const Bulk& bulk) {
    // A division of a Decimal, which prints as such.
    if (bulk.bulk_time_us == 0) return zero();
    cell([&](char* at) { return put_decimal_rate(at, bulk.bulk_size, bulk.bulk_time_us); });
  }

  // CR LF: the csv module's default.
  char* end() {
    at_[-1] = '\r';
    *at_++ = '\n';
    return at_;
  }

 private:
  template <typename Put>
  void cell(Put&& put) {
    if (!wanted_[column_++]) return;
    at_ = put(at_);
    *at_++ = ',';
  }

  char* at_;
  size_t column_ = 0;
  const std::vector<bool>& wanted_;
};

double divided(uint64_t a, uint64_t b) {
  return static_cast<double>(a) / static_cast<double>(b);
}

double seconds(int64_t us) {
  return static_cast<double>(us) / 1e6;
}

// utils.get_statistics(): all zero (the int) for fewer than two values.
struct Statistics {
  bool any = false;
  double total = 0, max = 0, min = 0, mean = 0, deviation = 0;
};

// Overwrites the values.
Statistics statistics(std::vector<double>& values) {
  if (values.size() < 2) return {};
  Statistics s{.any = true};
  s.total = std::accumulate(values.begin(), values.end(), 0.0);  // sum(): left to right
  const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
  s.min = *least;
  s.max = *greatest;
  s.mean = numpy_sum(values) / static_cast<double>(values.size());
  s.deviation = numpy_deviation(values, s.mean).deviation;
  return s;
}

void put_statistics(RowText& row, const Statistics& s) {
  row.real_or_zero(s.any, s.total);
  row.real_or_zero(s.any, s.max);
  row.real_or_zero(s.any, s.min);
  row.real_or_zero(s.any, s.mean);
  row.real_or_zero(s.any, s.deviation);
}

Cell address(uint32_t ip) {
  const uint8_t octets[4] = {static_cast<uint8_t>(ip >> 24), static_cast<uint8_t>(ip >> 16),
                             static_cast<uint8_t>(ip >> 8), static_cast<uint8_t>(ip)};
  fm_address address{};
  std::memcpy(&address, octets, sizeof(octets));
  return address_text(address, 4);
}

// PacketTime.get_timestamp(): without the fraction.
Cell timestamp(int64_t us) {
  constexpr size_t kWholeSeconds = 19;  // YYYY-MM-DD HH:MM:SS
  const Cell text = time_text(clock_origin(0), static_cast<uint64_t>(us) * 1000);
  return text.text().substr(0, kWholeSeconds);
}

}  // namespace

Result<PythonRow> PythonRow::make(const std::string& fields) {
  auto columns = select_columns(columns_82(), fields);
  if (!columns) return columns.error();
  PythonRow row;
  for (const Column& column : columns_82())
    row.wanted_.push_back(std::any_of(columns->begin(), columns->end(), [&](const Column& wanted) {
      return wanted.name == column.name;
    }));
  return row;
}

char* PythonRow::put_header(char* at) const {
  RowText row(at, wanted_);
  for (const Column& column : columns_82()) row.text(column.name);
  return row.end();
}

char* PythonRow::put(char* at, const PythonFlow& flow, const PythonChunks& chunks) {
  Direction directions[2];
  for (auto* values :
       {&flow_gaps_, &gaps_[0], &gaps_[1], &lengths_[0], &lengths_[1], &all_lengths_})
    values->clear();
  int64_t latest_us = flow.start_us;

  // Flow.add_packet() and the features' loops over Flow.packets.
  const auto list = [&](const PythonListed& packet) {
    Direction& d = directions[packet.reverse];
    if (d.packets > 0)
      gaps_[packet.reverse].push_back(seconds(packet.time_us - d.latest_listed_us));
    d.latest_listed_us = packet.time_us;
    d.packets++;
    d.bytes += packet.length;
    d.longest = std::max(d.longest, packet.length);
    d.shortest = std::min(d.shortest, packet.length);
    lengths_[packet.reverse].push_back(packet.length);
    all_lengths_.push_back(packet.length);
    // FlowBytes: `ihl * 4` of the IP header, without the transport header.
    const uint32_t header = 4u * packet.ihl;
    d.header_bytes += header;
    d.least_header = std::min(d.least_header, header);
    d.data_packets += packet.payload > 0;
    for (unsigned bits = packet.flags; bits != 0; bits &= bits - 1)
      d.flags[std::countr_zero(bits)]++;
    // The first window that is not zero.
    if (packet.tcp && d.initial_window == 0) d.initial_window = packet.window;
  };
  const auto add = [&](const PythonListed& packet) {
    list(packet);
    flow_gaps_.push_back(seconds(packet.time_us - latest_us));  // negative if the clock steps back
    latest_us = std::max(latest_us, packet.time_us);
    if (packet.payload > 0)
      directions[packet.reverse].bulk.add(packet.time_us, packet.payload,
                                          directions[!packet.reverse].bulk);
  };
  uint32_t left = flow.packets;
  // Flow.__init__() lists the first packet, and FlowSession.process() then adds it: it is in every
  // list twice.
  list(chunks[flow.first_chunk].packets[0]);
  for (uint32_t chunk = flow.first_chunk; left > 0; chunk = chunks[chunk].next) {
    const uint32_t here = std::min(left, PythonChunk::kPackets);
    for (uint32_t i = 0; i < here; i++) add(chunks[chunk].packets[i]);
    left -= here;
  }

  const Direction &f = directions[kForward], &b = directions[kReverse];
  if (f.packets == 0) return nullptr;
  const bool any_reverse = b.packets > 0;
  const bool icmp = flow.protocol == 1;
  const uint64_t packets = f.packets + b.packets, bytes = f.bytes + b.bytes;
  const double duration = seconds(latest_us - flow.start_us);
  const auto flags = [&](uint8_t flag) {
    const int bit = std::countr_zero(flag);
    return f.flags[bit] + b.flags[bit];
  };
  const int psh = std::countr_zero(static_cast<uint8_t>(FM_PSH));
  const int urg = std::countr_zero(static_cast<uint8_t>(FM_URG));

  RowText row(at, wanted_);
  row.text(address(flow.key.source_ip).text());
  row.text(address(flow.key.destination_ip).text());
  row.not_of_icmp(icmp, flow.key.source_value);
  row.not_of_icmp(icmp, flow.key.destination_value);
  row.integer(flow.protocol);
  row.text(timestamp(flow.start_us).text());
  row.real(duration);
  const auto rate = [&](uint64_t count) {
    row.real_or_zero(duration != 0, static_cast<double>(count) / duration);
  };
  rate(bytes);
  rate(packets);
  rate(f.packets);
  rate(b.packets);
  row.integer(f.packets);
  row.integer(b.packets);
  row.integer(f.bytes);
  row.integer(b.bytes);

  const double f_mean = divided(f.bytes, f.packets), mean = divided(bytes, packets);
  const double b_mean = any_reverse ? divided(b.bytes, b.packets) : 0;
  row.integer(f.longest);
  row.integer(f.shortest);
  row.real(f_mean);
  row.real(numpy_deviation(lengths_[kForward], f_mean).deviation);
  row.integer(any_reverse ? b.longest : 0);
  row.integer(any_reverse ? b.shortest : 0);
  row.real_or_zero(any_reverse, b_mean);
  row.real(any_reverse ? numpy_deviation(lengths_[kReverse], b_mean).deviation : 0);
  row.integer(std::max(f.longest, b.longest));
  row.integer(std::min(f.shortest, b.shortest));
  row.real(mean);
  const PythonDeviation lengths = numpy_deviation(all_lengths_, mean);
  row.real(lengths.deviation);
  row.real(lengths.variance);
  row.integer(f.header_bytes);
  row.integer(b.header_bytes);
  row.integer(f.least_header);
  row.integer(f.data_packets);

  const Statistics gaps = statistics(flow_gaps_);
  row.real_or_zero(gaps.any, gaps.mean);
  row.real_or_zero(gaps.any, gaps.max);
  row.real_or_zero(gaps.any, gaps.min);
  row.real_or_zero(gaps.any, gaps.deviation);
  put_statistics(row, statistics(gaps_[kForward]));
  put_statistics(row, statistics(gaps_[kReverse]));

  row.not_of_icmp(icmp, f.flags[psh]);
  row.not_of_icmp(icmp, b.flags[psh]);
  row.not_of_icmp(icmp, f.flags[urg]);
  row.not_of_icmp(icmp, b.flags[urg]);
  for (const uint8_t flag : {FM_FIN, FM_SYN, FM_RST, FM_PSH, FM_ACK, FM_URG, FM_ECE})
    row.not_of_icmp(icmp, flags(flag));
  row.real(divided(b.packets, f.packets));
  row.real(mean);
  row.not_of_icmp(icmp, f.initial_window);
  row.not_of_icmp(icmp, b.initial_window);

  // Flow.update_subflow() looks at `packet.time - latest_timestamp` after latest_timestamp was
  // moved to the packet: no gap is ever seen, the lists of active and idle times stay empty.
  row.zeros(8);

  for (const Direction* d : {&f, &b}) {
    const bool any = d->bulk.bulks > 0;
    row.real_or_zero(any, any ? divided(d->bulk.bulk_size, d->bulk.bulks) : 0);
    row.real_or_zero(any, any ? divided(d->bulk.bulk_packets, d->bulk.bulks) : 0);
  }
  row.decimal_rate(f.bulk);
  row.decimal_rate(b.bulk);

  // The "duplicated features" at the end of Flow.get_data(). cwr_flag_count is a copy of
  // fwd_urg_flags.
  row.real(f_mean);
  row.real_or_zero(any_reverse, b_mean);
  row.not_of_icmp(icmp, f.flags[urg]);
  row.integer(f.packets);
  row.integer(b.packets);
  row.integer(f.bytes);
  row.integer(b.bytes);
  return row.end();
}

}  // namespace flowmeter
