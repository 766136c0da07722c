// SPDX-License-Identifier: BSD-3-Clause
#include "base/log.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "base/clock.h"
#include "base/utf8.h"

namespace flowmeter {
namespace {

constexpr const char* kLevels[] = {"error", "warning", "info", "debug"};

// RFC 3339, UTC, to the microsecond.
std::string time_text(uint64_t unix_ns) {
  using namespace std::chrono;
  const sys_time<microseconds> time{microseconds{unix_ns / 1000}};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock_time{time - day};
  char text[40];
  std::snprintf(text, sizeof(text), "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(clock_time.hours().count()),
                static_cast<int>(clock_time.minutes().count()),
                static_cast<int>(clock_time.seconds().count()),
                static_cast<int>(clock_time.subseconds().count()));
  return text;
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < ' ' || c == '\x7f';
}

// U+0080 to U+009F also control a terminal.
bool is_c1_control(std::string_view character) {
  return character.size() == 2 && character[0] == '\xc2' &&
         static_cast<unsigned char>(character[1]) < 0xa0;
}

enum class Escapes { kForTerminal, kForQuotes };

// Replaces control characters and invalid UTF-8 by escapes. kForQuotes: by the escapes that JSON
// and logfmt have in common, also quotes and backslashes.
std::string escaped(std::string_view text, Escapes escapes) {
  const bool in_quotes = escapes == Escapes::kForQuotes;
  std::string out;
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const std::string_view character = text.substr(0, std::max<size_t>(length, 1));
    if (length == 0 && in_quotes) {
      out += "\\ufffd";
    } else if (length == 0 || is_control(character[0]) || is_c1_control(character)) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), in_quotes ? "\\u%04x" : "\\x%02x",
                    static_cast<unsigned char>(character.back()));
      out += escape;
    } else {
      if (in_quotes && (character == "\"" || character == "\\")) out += '\\';
      out += character;
    }
    text.remove_prefix(character.size());
  }
  return out;
}

std::string quoted(std::string_view text) {
  return '"' + escaped(text, Escapes::kForQuotes) + '"';
}

std::string harmless(std::string_view text) {
  return escaped(text, Escapes::kForTerminal);
}

// Calls take(name, value) for each "name=value" of fields.
template <typename Take>
void each_field(std::string_view fields, Take&& take) {
  while (!fields.empty()) {
    const size_t end = std::min(fields.find(' '), fields.size());
    const std::string_view field = fields.substr(0, end);
    fields.remove_prefix(std::min(end + 1, fields.size()));
    const size_t equals = field.find('=');
    if (equals != std::string_view::npos) take(field.substr(0, equals), field.substr(equals + 1));
  }
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos &&
         (text.size() == 1 || text[0] != '0');
}

std::string with_suppressed(std::string_view message, uint64_t suppressed) {
  return std::string(message).append(" (" + std::to_string(suppressed) + " suppressed)");
}

}  // namespace

const char* log_level_name(LogLevel level) {
  return kLevels[static_cast<size_t>(level)];
}

std::string format_log_line(LogFormat format, LogLevel level, uint64_t unix_ns,
                            std::string_view message, std::string_view fields) {
  const char* const name = log_level_name(level);
  if (format == LogFormat::kText) {
    std::string line = "flowmeter-ebpf: ";
    line.append(name).append(": ").append(harmless(message));
    if (!fields.empty()) line.append(message.empty() ? "" : ": ").append(harmless(fields));
    return line;
  }
  const bool json = format == LogFormat::kJson;
  std::string line;
  const auto add = [&](std::string_view field, const std::string& value) {
    if (json)
      line.append(line.empty() ? "{\"" : ",\"").append(field).append("\":");
    else
      line.append(line.empty() ? "" : " ").append(field).append("=");
    line.append(value);
  };
  const auto word = [&](std::string_view value) {
    return json ? quoted(value) : std::string(value);
  };
  add("time", word(time_text(unix_ns)));
  add("level", word(name));
  if (fields.empty()) {
    add("msg", quoted(message));
  } else {
    add("msg", word("account"));
    if (!message.empty()) add("of", quoted(message));
    each_field(fields, [&](std::string_view field, std::string_view value) {
      add(field, is_number(value) ? std::string(value) : quoted(value));
    });
  }
  if (json) line += '}';
  return line;
}

void Log::set_level(LogLevel most) {
  const std::lock_guard lock(mutex_);
  level_ = most;
}

void Log::set_format(LogFormat format) {
  const std::lock_guard lock(mutex_);
  format_ = format;
}

void Log::set_observer(std::function<bool(std::string_view)> observer) {
  const std::lock_guard lock(mutex_);
  observer_ = std::move(observer);
}

// Requires: mutex_ is held.
void Log::print(LogLevel level, std::string_view message, std::string_view fields) {
  std::string line = format_log_line(format_, level, wall_ns(), message, fields);
  if (observer_ && observer_(line)) return;
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);  // unbuffered: one write(2)
}

void Log::line(LogLevel level, std::string_view message) {
  const std::lock_guard lock(mutex_);
  if (level > level_) return;
  uint64_t suppressed = 0;
  std::string key(1, static_cast<char>(level));  // the same text at two levels is two lines
  key.append(message);
  if (!limit_.admit(key, monotonic_ns(), &suppressed)) return;
  print(level, suppressed ? with_suppressed(message, suppressed) : std::string(message));
}

void Log::account(std::string_view counters, std::string_view of) {
  const std::lock_guard lock(mutex_);
  if (LogLevel::kInfo <= level_) print(LogLevel::kInfo, of, counters);
}

void Log::suppressed() {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, times] : limit_.take_suppressed())
    print(static_cast<LogLevel>(key[0]), with_suppressed(std::string_view(key).substr(1), times));
}

}  // namespace flowmeter
