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
#include "features/instant.h"
#include "features/select.h"
#include "flowmeter/packet.h"

namespace flowmeter {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr unsigned kForward = 0, kReverse = 1;

double divided(uint64_t a, uint64_t b) {
  return static_cast<double>(a) / static_cast<double>(b);
}

double seconds(int64_t us) {
  return static_cast<double>(us) / 1e6;
}

// ---- Flow.update_flow_bulk() ----

// constants.py
constexpr uint32_t kBulkBound = 4;
constexpr int64_t kClumpTimeoutUs = 1 * kSecond;

// The bulks of one direction.
struct Bulk {
  int64_t start_us = 0, last_us = 0;  // of the candidate; 0: no candidate, also if it began at 0
  uint64_t packets = 0, size = 0;
  uint64_t bulks = 0, bulk_packets = 0, bulk_size = 0;
  int64_t bulk_time_us = 0;  // negative where the clock steps back

  void add(int64_t time_us, uint16_t payload, const Bulk& other) {
    // Time decides, not order: the other direction ends a candidate only if its time is later than
    // the candidate's start.
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

// ---- totals of a flow's packet list ----

struct Direction {
  uint64_t packets = 0, bytes = 0, header_bytes = 0, data_packets = 0;
  uint16_t longest = 0, shortest = UINT16_MAX;
  uint32_t least_header = UINT32_MAX;
  uint64_t flags[8] = {};  // packets with the bit
  uint16_t initial_window = 0;
  int64_t latest_listed_us = 0;  // time of the previous packet in the list
  Bulk bulk;

  uint64_t with_flag(unsigned bit) const { return flags[bit]; }
  double mean_length() const { return packets > 0 ? divided(bytes, packets) : 0; }
};

// ---- text ----

// csv.writer for the chosen columns.
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
  // A value that the original initialises with the int 0 and never turns into a float.
  void zero() { text("0"); }
  void zeros(int count) {
    for (int i = 0; i < count; i++) zero();
  }
  void real_or_zero(bool is_real, double value) { is_real ? real(value) : zero(); }
  // `-1 if self.is_icmp else …` of Flow.get_data().
  void not_of_icmp(bool is_icmp, uint64_t value) { is_icmp ? text("-1") : integer(value); }
  void decimal_rate(const Bulk& bulk) {
    // The original divides a Decimal, so the result is printed as one.
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

Cell address(uint32_t ip) {
  const uint8_t bytes[4] = {static_cast<uint8_t>(ip >> 24), static_cast<uint8_t>(ip >> 16),
                            static_cast<uint8_t>(ip >> 8), static_cast<uint8_t>(ip)};
  fm_address address{};
  std::memcpy(&address, bytes, sizeof(bytes));
  return address_text(address, 4);
}

// PacketTime.get_timestamp(): without the fraction.
Cell timestamp(int64_t us) {
  constexpr size_t kWholeSeconds = 19;  // YYYY-MM-DD HH:MM:SS
  const Cell text = time_text(clock_origin(0), static_cast<uint64_t>(us) * 1000);
  return text.text().substr(0, kWholeSeconds);
}

// Flow.add_packet() and the features' loops over Flow.packets.
class FlowSums {
 public:
  FlowSums(const PythonFlow& flow, const PythonChunks& chunks, PythonLists& lists)
      : lists_(lists), latest_us_(flow.start_us) {
    lists_.clear();
    // Flow.__init__() adds the first packet, and FlowSession.process() adds it again, so it is in
    // every list twice.
    list(chunks[flow.first_chunk].packets[0]);
    uint32_t left = flow.packets;
    for (uint32_t chunk = flow.first_chunk; left > 0; chunk = chunks[chunk].next) {
      const uint32_t here = std::min(left, PythonChunk::kPackets);
      for (uint32_t i = 0; i < here; i++) add(chunks[chunk].packets[i]);
      left -= here;
    }
  }

  const Direction& forward() const { return directions_[kForward]; }
  const Direction& reverse() const { return directions_[kReverse]; }
  uint64_t packets() const { return forward().packets + reverse().packets; }
  uint64_t bytes() const { return forward().bytes + reverse().bytes; }
  int64_t latest_us() const { return latest_us_; }

 private:
  void list(const PythonListed& packet) {
    Direction& d = directions_[packet.reverse];
    if (d.packets > 0)
      lists_.gaps[packet.reverse].push_back(seconds(packet.time_us - d.latest_listed_us));
    d.latest_listed_us = packet.time_us;
    d.packets++;
    d.bytes += packet.length;
    d.longest = std::max(d.longest, packet.length);
    d.shortest = std::min(d.shortest, packet.length);
    lists_.lengths[packet.reverse].push_back(packet.length);
    lists_.all_lengths.push_back(packet.length);
    // FlowBytes: `ihl * 4` of the IP header, without the transport header.
    const uint32_t header = 4u * packet.ihl;
    d.header_bytes += header;
    d.least_header = std::min(d.least_header, header);
    d.data_packets += packet.payload > 0;
    for (unsigned bits = packet.flags; bits != 0; bits &= bits - 1)
      d.flags[std::countr_zero(bits)]++;
    // The first window that is not zero.
    if (packet.tcp && d.initial_window == 0) d.initial_window = packet.window;
  }
  void add(const PythonListed& packet) {
    list(packet);
    // Negative if the clock steps back.
    lists_.flow_gaps.push_back(seconds(packet.time_us - latest_us_));
    latest_us_ = std::max(latest_us_, packet.time_us);
    if (packet.payload > 0)
      directions_[packet.reverse].bulk.add(packet.time_us, packet.payload,
                                           directions_[!packet.reverse].bulk);
  }

  PythonLists& lists_;
  int64_t latest_us_;
  Direction directions_[2];
};

// ---- the parts of a row, in their order ----

void put_identity(RowText& row, const PythonFlow& flow) {
  const bool icmp = flow.protocol == FM_ICMP;
  row.text(address(flow.key.source_ip).text());
  row.text(address(flow.key.destination_ip).text());
  row.not_of_icmp(icmp, flow.key.source_value);
  row.not_of_icmp(icmp, flow.key.destination_value);
  row.integer(flow.protocol);
  row.text(timestamp(flow.start_us).text());
}

void put_counts(RowText& row, const FlowSums& sums, double duration) {
  const Direction &f = sums.forward(), &b = sums.reverse();
  row.real(duration);
  for (const uint64_t count : {sums.bytes(), sums.packets(), f.packets, b.packets})
    row.real_or_zero(duration != 0, static_cast<double>(count) / duration);
  for (const uint64_t count : {f.packets, b.packets, f.bytes, b.bytes}) row.integer(count);
}

void put_lengths(RowText& row, const FlowSums& sums, PythonLists& lists) {
  const Direction &f = sums.forward(), &b = sums.reverse();
  const bool any_reverse = b.packets > 0;
  row.integer(f.longest);
  row.integer(f.shortest);
  row.real(f.mean_length());
  row.real(numpy_deviation(lists.lengths[kForward], f.mean_length()).deviation);
  row.integer(any_reverse ? b.longest : 0);
  row.integer(any_reverse ? b.shortest : 0);
  row.real_or_zero(any_reverse, b.mean_length());
  row.real(any_reverse ? numpy_deviation(lists.lengths[kReverse], b.mean_length()).deviation : 0);
  row.integer(std::max(f.longest, b.longest));
  row.integer(std::min(f.shortest, b.shortest));
  const double mean = divided(sums.bytes(), sums.packets());
  const PythonDeviation lengths = numpy_deviation(lists.all_lengths, mean);
  row.real(mean);
  row.real(lengths.deviation);
  row.real(lengths.variance);
  row.integer(f.header_bytes);
  row.integer(b.header_bytes);
  row.integer(f.least_header);
  row.integer(f.data_packets);
}

void put_gaps(RowText& row, PythonLists& lists) {
  const Statistics gaps = statistics(lists.flow_gaps);
  for (const double value : {gaps.mean, gaps.max, gaps.min, gaps.deviation})
    row.real_or_zero(gaps.any, value);
  for (std::vector<double>& list : lists.gaps) {
    const Statistics s = statistics(list);
    for (const double value : {s.total, s.max, s.min, s.mean, s.deviation})
      row.real_or_zero(s.any, value);
  }
}

void put_flags(RowText& row, const FlowSums& sums, bool icmp) {
  const Direction &f = sums.forward(), &b = sums.reverse();
  for (const unsigned bit : {FM_PSH_BIT, FM_URG_BIT})
    for (const Direction* d : {&f, &b}) row.not_of_icmp(icmp, d->with_flag(bit));
  for (const unsigned bit :
       {FM_FIN_BIT, FM_SYN_BIT, FM_RST_BIT, FM_PSH_BIT, FM_ACK_BIT, FM_URG_BIT, FM_ECE_BIT})
    row.not_of_icmp(icmp, f.with_flag(bit) + b.with_flag(bit));
  row.real(divided(b.packets, f.packets));
  row.real(divided(sums.bytes(), sums.packets()));
  row.not_of_icmp(icmp, f.initial_window);
  row.not_of_icmp(icmp, b.initial_window);
}

void put_bulks(RowText& row, const Bulk& forward, const Bulk& reverse) {
  for (const Bulk* bulk : {&forward, &reverse}) {
    const bool any = bulk->bulks > 0;
    row.real_or_zero(any, any ? divided(bulk->bulk_size, bulk->bulks) : 0);
    row.real_or_zero(any, any ? divided(bulk->bulk_packets, bulk->bulks) : 0);
  }
  row.decimal_rate(forward);
  row.decimal_rate(reverse);
}

// The "duplicated features" at the end of Flow.get_data(). cwr_flag_count is a copy of
// fwd_urg_flags.
void put_duplicated(RowText& row, const FlowSums& sums, bool icmp) {
  const Direction &f = sums.forward(), &b = sums.reverse();
  row.real(f.mean_length());
  row.real_or_zero(b.packets > 0, b.mean_length());
  row.not_of_icmp(icmp, f.with_flag(FM_URG_BIT));
  for (const uint64_t count : {f.packets, b.packets, f.bytes, b.bytes}) row.integer(count);
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
  const FlowSums sums(flow, chunks, lists_);
  if (sums.forward().packets == 0) return nullptr;
  const bool icmp = flow.protocol == FM_ICMP;
  RowText row(at, wanted_);
  put_identity(row, flow);
  put_counts(row, sums, seconds(sums.latest_us() - flow.start_us));
  put_lengths(row, sums, lists_);
  put_gaps(row, lists_);
  put_flags(row, sums, icmp);
  // Flow.update_subflow() computes `packet.time - latest_timestamp` after latest_timestamp was set
  // to the packet's time. So it never finds a gap, and the lists of active and idle times stay
  // empty.
  row.zeros(8);
  put_bulks(row, sums.forward().bulk, sums.reverse().bulk);
  put_duplicated(row, sums, icmp);
  return row.end();
}

}  // namespace flowmeter
