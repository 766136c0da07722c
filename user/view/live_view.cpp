// SPDX-License-Identifier: BSD-3-Clause
#include "view/live_view.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "features/identity.h"
#include "features/owner_text.h"

namespace flowmeter {
namespace {

constexpr size_t kNarrow = 60;       // columns; narrower screens show less
constexpr size_t kLogLines = 3;      // shown
constexpr size_t kKeptLines = 1000;  // for the end

std::string right(const std::string& text, size_t width) {
  return text.size() >= width ? text : std::string(width - text.size(), ' ') + text;
}

// Exactly width characters. A longer text is cut in the middle, because addresses and ports differ
// most at their ends.
std::string fit(const std::string& text, size_t width) {
  if (text.size() <= width) return text + std::string(width - text.size(), ' ');
  if (width < 4) return text.substr(0, width);
  const size_t tail = std::min<size_t>((width - 1) / 2, 12);
  return text.substr(0, width - 1 - tail) + '~' + text.substr(text.size() - tail);
}

std::string duration_text(uint64_t ns) {
  const uint64_t s = ns / FM_SECOND_NS;
  char text[32];
  if (s < 100 * 3600)
    std::snprintf(text, sizeof(text), "%02u:%02u:%02u", static_cast<unsigned>(s / 3600),
                  static_cast<unsigned>(s / 60 % 60), static_cast<unsigned>(s % 60));
  else
    std::snprintf(text, sizeof(text), "%llud%02uh", static_cast<unsigned long long>(s / 86400),
                  static_cast<unsigned>(s / 3600 % 24));
  return text;
}

// Words after a title, on as many lines as they need. A narrow screen omits those with the value 0.
void add_words(std::vector<std::string>& lines, const std::string& title,
               const std::vector<std::string>& words, size_t width) {
  std::string line = title;
  bool begun = false;
  for (const std::string& word : words) {
    if (width < kNarrow && word.ends_with("=0")) continue;
    if (begun && line.size() + 2 + word.size() > width) {
      lines.push_back(std::exchange(line, " "));
      begun = false;
    }
    line += (begun ? "  " : " ") + word;
    begun = true;
  }
  lines.push_back(line == title ? title + " none" : line);
}

std::string protocol_text(const fm_flow_key& key) {
  switch (key.protocol) {
    case FM_TCP:
      return "tcp";
    case FM_UDP:
      return "udp";
    case FM_ICMP:
      return "icmp";
    case FM_ICMPV6:
      return "icmp6";
    default:
      return std::to_string(key.protocol);
  }
}

double rate(uint64_t now, uint64_t before, double seconds) {
  return seconds > 0 && now > before ? static_cast<double>(now - before) / seconds : 0;
}

void add_interfaces(std::vector<std::string>& lines, const ViewCounters& now,
                    const ViewCounters& before, TerminalSize size) {
  const double seconds =
      before.now_ns ? static_cast<double>(now.now_ns - before.now_ns) / FM_SECOND_NS : 0;
  struct Row {
    std::string name;
    double values[4];  // in: packets/s, bit/s; out
    double bits;
  };
  std::vector<Row> rows;
  for (const ViewCounters::Interface& each : now.interfaces) {
    const auto found = std::find_if(before.interfaces.begin(), before.interfaces.end(),
                                    [&each](const auto& other) { return other.name == each.name; });
    // A new interface has no rate yet.
    const ViewCounters::Interface& then = found != before.interfaces.end() ? *found : each;
    Row row{each.name, {}, 0};
    for (size_t hook = 0; hook < FM_HOOK_COUNT; hook++) {
      row.values[2 * hook] = rate(each.hook[hook].packets, then.hook[hook].packets, seconds);
      row.values[2 * hook + 1] = 8 * rate(each.hook[hook].bytes, then.hook[hook].bytes, seconds);
      row.bits += row.values[2 * hook + 1];
    }
    rows.push_back(std::move(row));
  }
  const size_t room = std::max<size_t>(1, size.rows / 4);
  if (rows.size() > room)  // only the busiest
    std::stable_sort(rows.begin(), rows.end(),
                     [](const Row& a, const Row& b) { return a.bits > b.bits; });
  constexpr size_t kNumber = 10;
  const bool narrow = size.columns < 12 + 4 * kNumber;
  const size_t numbers = narrow ? 2 : 4;  // narrow: both directions as one
  const size_t width = narrow ? 7 : kNumber;
  const size_t name =
      std::min<size_t>(size.columns - std::min<size_t>(size.columns, numbers * width), 32);
  std::string header = fit("IFACE", name);
  for (const char* title :
       narrow ? std::vector<const char*>{"pkt/s", "bit/s"}
              : std::vector<const char*>{"in pkt/s", "in bit/s", "out pkt/s", "out bit/s"})
    header += right(title, width);
  lines.push_back(std::string(Terminal::kInverse) + fit(header, size.columns));
  for (size_t i = 0; i < rows.size() && i < room; i++) {
    std::string line = fit(rows[i].name, name);
    if (narrow)
      for (size_t unit = 0; unit < 2; unit++)
        line += right(short_number(rows[i].values[unit] + rows[i].values[unit + 2]), width);
    else
      for (const double value : rows[i].values) line += right(short_number(value), width);
    lines.push_back(line);
  }
  if (rows.size() > room) lines.push_back("and " + std::to_string(rows.size() - room) + " more");
}

// "seen=9", "metered=5", …: every class, as in the account at the end.
std::vector<std::string> account_words(const Account& account) {
  std::vector<std::string> words;
  const std::string text = account_text(account);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

void add_flows(std::vector<std::string>& lines, const TopFlows& top, uint64_t now_ns,
               TerminalSize size, size_t room) {
  if (room == 0) return;
  // Widths of the columns; a narrow screen omits the less important ones.
  constexpr size_t kProtocol = 6, kNumber = 8, kAge = 9;
  const bool by_bytes = top.order() == TopOrder::kBytes;
  const bool with_both = size.columns >= 50, with_rate = size.columns >= 40,
             with_age = size.columns >= 70, with_protocol = size.columns >= 30;
  const size_t numbers = kNumber + (with_both ? kNumber : 0) + (with_rate ? kNumber : 0) +
                         (with_age ? kAge : 0) + (with_protocol ? kProtocol : 0);
  const size_t ends = size.columns - std::min<size_t>(numbers, size.columns);
  const size_t source = std::min<size_t>((ends - std::min<size_t>(ends, 1)) / 2, 47);
  const auto line_of = [&](const std::string& protocol, const std::string& from,
                           const std::string& to, const std::string& bytes,
                           const std::string& packets, const std::string& bits,
                           const std::string& age) {
    std::string line;
    if (with_protocol) line += fit(protocol, kProtocol);
    line += fit(from, source) + ' ' + fit(to, source);
    if (with_both || by_bytes) line += right(bytes, kNumber);
    if (with_both || !by_bytes) line += right(packets, kNumber);
    if (with_rate) line += right(bits, kNumber);
    if (with_age) line += right(age, kAge);
    return line;
  };
  lines.push_back(std::string(Terminal::kInverse) +
                  fit(line_of("PROTO", "FROM", "TO", by_bytes ? "BYTES" : "bytes",
                              by_bytes ? "packets" : "PACKETS", "bit/s", "age"),
                      size.columns));
  for (size_t i = 0; i < top.flows().size() && i + 1 < room; i++) {
    const TopFlow& flow = top.flows()[i];
    const auto end = [&flow](unsigned of) { return end_text(flow.key, of, flow.names[of]); };
    lines.push_back(line_of(protocol_text(flow.key), end(flow.forward_direction),
                            end(!flow.forward_direction),
                            short_number(static_cast<double>(flow.bytes)),
                            short_number(static_cast<double>(flow.packets)),
                            flow.bits_per_s ? short_number(*flow.bits_per_s) : "-",
                            duration_text(now_ns - std::min(now_ns, flow.first_ns))));
  }
}

// Like add_flows(), with a line for each owner.
void add_owners(std::vector<std::string>& lines, const TopFlows& top, TerminalSize size,
                size_t room) {
  if (room == 0) return;
  constexpr size_t kNumber = 9;
  const bool by_bytes = top.order() == TopOrder::kBytes;
  const bool with_rest = size.columns >= 60;
  const size_t numbers = kNumber * (with_rest ? 5 : 2);
  const size_t name = size.columns - std::min<size_t>(numbers, size.columns);
  const auto line_of = [&](const std::string& owner, const std::string& flows,
                           const std::string& sent, const std::string& received,
                           const std::string& packets, const std::string& bits) {
    std::string line = fit(owner, name);
    if (with_rest) line += right(flows, kNumber);
    line += right(sent, kNumber) + right(received, kNumber);
    if (with_rest) line += right(packets, kNumber) + right(bits, kNumber);
    return line;
  };
  lines.push_back(
      std::string(Terminal::kInverse) +
      fit(line_of("CONTAINER", "flows", by_bytes ? "SENT" : "sent",
                  by_bytes ? "RECEIVED" : "received", by_bytes ? "packets" : "PACKETS", "bit/s"),
          size.columns));
  for (size_t i = 0; i < top.owners().size() && i + 1 < room; i++) {
    const TopOwner& owner = top.owners()[i];
    lines.push_back(line_of(owner.name, short_number(static_cast<double>(owner.flows)),
                            short_number(static_cast<double>(owner.sent_bytes)),
                            short_number(static_cast<double>(owner.received_bytes)),
                            short_number(static_cast<double>(owner.packets)),
                            owner.bits_per_s ? short_number(*owner.bits_per_s) : "-"));
  }
}

}  // namespace

std::string short_number(double value) {
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T", "P", "E"};
  size_t unit = 0;
  // Values that would be printed as 1000.
  for (; value >= 999.5 && unit + 1 < std::size(kUnits); unit++) value /= 1000;
  char text[32];
  const int decimals = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  std::snprintf(text, sizeof(text), "%.*f%s", decimals, value, kUnits[unit]);
  return text;
}

std::vector<std::string> view_lines(const ViewCounters& now, const ViewCounters& before,
                                    uint64_t begin_ns, const TopFlows& top,
                                    const std::deque<std::string>& log, TerminalSize size) {
  std::vector<std::string> lines;
  const double seconds =
      before.now_ns ? static_cast<double>(now.now_ns - before.now_ns) / FM_SECOND_NS : 0;
  const std::string up = duration_text(now.now_ns - begin_ns);
  const std::string keys = std::string("b bytes  p packets  ") +
                           (!top.knows_owners() ? ""
                            : top.by_owner()    ? "c flows  "
                                                : "c containers  ") +
                           "q quit";
  std::string title = "flowmeter-ebpf  " + up;
  if (title.size() + 2 + keys.size() <= size.columns)
    title += std::string(size.columns - title.size() - keys.size(), ' ') + keys;
  else if (size.columns < title.size())
    title = up + "  q quit";
  lines.push_back(title);
  add_interfaces(lines, now, before, size);
  add_words(lines, "flows  ",
            {"open=" + std::to_string(now.flows_open), "ended=" + std::to_string(now.flows_ended),
             "ended/s=" + short_number(rate(now.flows_ended, before.flows_ended, seconds))},
            size.columns);
  add_words(lines, "packets", account_words(now.account), size.columns);
  std::vector<std::string> losses;
  for (const ViewCounters::Loss& loss : now.losses)
    losses.push_back(loss.name + ('=' + std::to_string(loss.count)));
  add_words(lines, "losses ", losses, size.columns);

  const size_t shown_log = std::min<size_t>(log.size(), kLogLines);
  const size_t used = lines.size() + shown_log;
  const size_t room = size.rows > used ? size.rows - used : 0;
  if (top.by_owner())
    add_owners(lines, top, size, room);
  else
    add_flows(lines, top, now.now_ns, size, room);
  if (shown_log > 0 && lines.size() + shown_log < size.rows)
    lines.resize(size.rows - shown_log);  // the log is at the bottom
  lines.insert(lines.end(), log.end() - static_cast<std::ptrdiff_t>(shown_log), log.end());
  if (lines.size() > size.rows) lines.resize(size.rows);
  for (std::string& line : lines)
    line.resize(std::min(
        line.size(),
        size.columns + (line.starts_with(Terminal::kInverse) ? Terminal::kInverse.size() : 0)));
  return lines;
}

Result<std::unique_ptr<LiveView>> LiveView::open(bool output_in_use, Host& host) {
  auto terminal = Terminal::open(output_in_use);
  if (!terminal) return terminal.error();
  return std::unique_ptr<LiveView>(new LiveView(std::move(*terminal), host));
}

LiveView::~LiveView() {
  if (begin_ns_ == 0) return;
  host_.set_log_observer(nullptr);
  terminal_->leave();
  if (not_kept_ > 0)
    kept_.push_front("(" + std::to_string(not_kept_) + " earlier lines not shown)");
  for (const std::string& line : kept_) std::fprintf(stderr, "%s\n", line.c_str());
}

Status LiveView::enter(uint64_t now_ns) {
  if (Status entered = terminal_->enter(); !entered) return entered;
  begin_ns_ = next_ns_ = now_ns;
  host_.set_log_observer([this, shared = ::isatty(STDERR_FILENO) != 0](std::string_view line) {
    const std::lock_guard lock(log_mutex_);
    log_.emplace_back(line);
    if (log_.size() > kLogLines) log_.pop_front();
    if (!shared) return false;
    kept_.emplace_back(line);
    if (kept_.size() > kKeptLines) {
      kept_.pop_front();
      not_kept_++;
    }
    return true;
  });
  return Done{};
}

bool LiveView::follow(const LiveFlows& flows, uint64_t now_ns) {
  bool redraw = terminal_->changed();
  for (const char key : terminal_->keys()) {
    if (key == 'q' || key == 'Q') return false;
    if (key == 'c' && top_.knows_owners())
      top_.set_by_owner(!top_.by_owner());
    else if (key == 'b' || key == 'p')
      top_.set_order(key == 'b' ? TopOrder::kBytes : TopOrder::kPackets);
    else
      continue;
    pass_pending_ = redraw = true;
  }
  if (pass_pending_ && top_.step(flows, now_ns)) {
    pass_pending_ = false;
    redraw = true;
  }
  if (redraw && now_.now_ns != 0) draw();
  return true;
}

void LiveView::show(ViewCounters now) {
  next_ns_ = now.now_ns + FM_SECOND_NS;
  before_ = std::exchange(now_, std::move(now));
  draw();
  pass_pending_ = true;  // a pass that takes more than a second continues
}

void LiveView::draw() {
  const TerminalSize size = terminal_->size();
  top_.set_count(size.rows);
  std::deque<std::string> log;
  {
    const std::lock_guard lock(log_mutex_);
    log = log_;
  }
  const std::vector<std::string> lines = view_lines(now_, before_, begin_ns_, top_, log, size);
  terminal_->draw(lines.data(), lines.size(), size);
}

}  // namespace flowmeter
