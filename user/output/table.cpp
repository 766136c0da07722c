// SPDX-License-Identifier: BSD-3-Clause
#include "output/table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "features/identity.h"
#include "features/instant.h"
#include "features/owner_text.h"
#include "output/output_kind.h"

namespace flowmeter {
namespace {

constexpr unsigned kWideColumns = 160;     // where there is no terminal
constexpr unsigned kLongestEndpoint = 47;  // [IPv6]:port
constexpr unsigned kUsualEndpoint = 21;    // IPv4:port

std::string left(const std::string& value, size_t width) {
  const std::string cell = shortened(value, width);
  return cell + std::string(width - cell.size(), ' ');
}

std::string right(const std::string& value, size_t width) {
  return std::string(width - std::min(width, value.size()), ' ') + value;
}

// Independent of the locale.
std::string decimal(double value, int decimals) {
  char text[32];
  return {text,
          std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed, decimals).ptr};
}

std::string two_digits(uint64_t value) {
  return {static_cast<char>('0' + value / 10 % 10), static_cast<char>('0' + value % 10)};
}

// value / 1000^n as "1.5 k" or "123 M": three digits.
std::string scaled(uint64_t value, const char* unit) {
  static constexpr std::array kPrefixes = {"", "k", "M", "G", "T", "P", "E"};
  auto number = static_cast<double>(value);
  size_t prefix = 0;
  // A number that would be rounded to 1000 gets the next prefix.
  while (prefix + 1 < kPrefixes.size() && number >= 999.5) {
    number /= 1000;
    prefix++;
  }
  const int decimals = prefix == 0 || number >= 99.95 ? 0 : 1;
  return decimal(number, decimals) + " " + kPrefixes[prefix] + unit;
}

// The cells of a flow, or the names in the header.
struct Line {
  std::string time, protocol, source, target, duration, packets, forward_packets, backward_packets,
      bytes, forward_bytes, backward_bytes;
};

const Line& names() {
  static const Line line{"TIME UTC", "PROTO", "SOURCE", "DESTINATION", "DURATION", "PKTS",
                         "PKTS>",    "PKTS<", "BYTES",  "BYTES>",      "BYTES<"};
  return line;
}

// One of three layouts, whichever fits next to the two endpoints.
std::string laid_out(const Line& line, unsigned columns) {
  constexpr unsigned kBoth = 8 + 6 + 8 + 6 + 6 + 7 + 7 + 8, kTotals = 8 + 6 + 8 + 6 + 7 + 6,
                     kLittle = 6 + 7 + 3;
  const bool both = columns >= kBoth + 2 * kUsualEndpoint, little = columns < kTotals + 2 * 15;
  const unsigned others = both ? kBoth : little ? kLittle : kTotals;
  const unsigned room = columns > others ? (columns - others) / 2 : 0;
  const unsigned width = std::clamp(room, 5u, kLongestEndpoint);
  const std::string ends = left(line.protocol, 6) + " " + left(line.source, width) + " " +
                           left(line.target, width) + " ";
  if (little) return ends + right(line.bytes, 7);
  const std::string times = left(line.time, 8) + " " + ends + right(line.duration, 8) + " ";
  if (!both) return times + right(line.packets, 6) + " " + right(line.bytes, 7);
  return times + right(line.forward_packets, 6) + " " + right(line.backward_packets, 6) + " " +
         right(line.forward_bytes, 7) + " " + right(line.backward_bytes, 7);
}

}  // namespace

std::string human_bytes(uint64_t bytes) {
  return scaled(bytes, "B");
}

std::string human_count(uint64_t count) {
  return count < 100'000 ? std::to_string(count) : scaled(count, "");
}

std::string human_duration(uint64_t ns) {
  // Rounding may result in the next unit: 59.96 s is a minute.
  const double s = static_cast<double>(ns) / 1e9;
  if (ns == 0) return "0 s";
  if (s < 999.5e-9) return decimal(s * 1e9, 0) + " ns";
  if (s < 999.5e-6) return decimal(s * 1e6, 0) + " us";
  if (s < 99.95e-3) return decimal(s * 1e3, 1) + " ms";
  if (s < 999.5e-3) return decimal(s * 1e3, 0) + " ms";
  if (s < 59.95) return decimal(s, 1) + " s";
  const auto whole = static_cast<uint64_t>(s + 0.5);
  if (whole < 3600) return std::to_string(whole / 60) + "m " + two_digits(whole % 60) + "s";
  if (whole < 86400) return std::to_string(whole / 3600) + "h " + two_digits(whole / 60 % 60) + "m";
  return std::to_string(whole / 86400) + "d " + two_digits(whole / 3600 % 24) + "h";
}

std::string shortened(const std::string& text, size_t width) {
  if (text.size() <= width) return text;
  if (width <= 2) return text.substr(0, width);
  // The ends of addresses and ports are more informative than their starts.
  const size_t tail = (width - 2 + 1) / 2 + (width > 12 ? 2 : 0);
  return text.substr(0, width - 2 - tail) + ".." + text.substr(text.size() - tail);
}

TableFormat::Size TableFormat::size() const {
  winsize window{};
  if (terminal_fd_ < 0 || !::isatty(terminal_fd_)) return {kWideColumns, 0};
  if (::ioctl(terminal_fd_, TIOCGWINSZ, &window) != 0 || window.ws_col == 0) return {80, 0};
  return {window.ws_col, window.ws_row};
}

std::string TableFormat::header() const {
  const Size now = size();
  columns_ = now.columns;
  lines_left_ = now.lines > 4 ? now.lines - 2 : 0;  // 0: no pages
  return laid_out(names(), columns_) + '\n';
}

char* TableFormat::put_row(char* at, const FlowRecord& f) const {
  const bool page_ends = lines_left_ > 0 && --lines_left_ == 0;
  std::string text;
  if (page_ends || size().columns != columns_) text = header();
  const fm_direction_counters &forward = f.forward(), &backward = f.backward();
  const unsigned side = f.flow.counters.forward_direction;
  const Cell stamp = time_text(f.clock, f.flow.counters.first_ns);
  const std::string_view full = stamp.text();  // YYYY-MM-DD HH:MM:SS.ffffff
  Line line;
  line.time = full.size() == 26 ? full.substr(11, 8) : full.substr(0, 8);
  line.protocol = protocol_name(f.key.protocol);
  const auto end = [&f](unsigned of) {
    return end_text(f.key, of, f.owners ? owner_name(f.owners[of]) : "");
  };
  line.source = end(side);
  line.target = end(!side);
  line.duration = human_duration(f.duration_ns());
  line.forward_packets = human_count(forward.length.count);
  line.backward_packets = human_count(backward.length.count);
  line.packets = human_count(forward.length.count + backward.length.count);
  line.forward_bytes = human_bytes(forward.length.sum);
  line.backward_bytes = human_bytes(backward.length.sum);
  line.bytes = human_bytes(forward.length.sum + backward.length.sum);
  text += laid_out(line, columns_) + '\n';
  return std::copy(text.begin(), text.end(), at);
}

constinit const OutputKind kTableOutput = {
    .names = "--table",
    .help = "Show them as a table (the default on a terminal)",
    .format = [](const OutputOptions&, const std::vector<Column>&) -> std::unique_ptr<RowFormat> {
      return std::make_unique<TableFormat>(STDOUT_FILENO);
    },
};

}  // namespace flowmeter
