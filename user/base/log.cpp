// SPDX-License-Identifier: BSD-3-Clause
#include "base/log.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/clock.h"
#include "base/json_string.h"
#include "base/utf8.h"

namespace flowmeter {
namespace {

constexpr const char* kLevels[] = {"error", "warning", "info", "debug"};

char* put(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

// RFC 3339, UTC, to the microsecond.
char* put_time(char* at, uint64_t unix_ns) {
  using namespace std::chrono;
  const sys_time<microseconds> time{microseconds{unix_ns / 1000}};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock_time{time - day};
  const auto field = [&at](int64_t number, int digits, char after) {
    for (int i = digits - 1; i >= 0; i--, number /= 10)
      at[i] = static_cast<char>('0' + number % 10);
    at[digits] = after;
    at += digits + 1;
  };
  field(static_cast<int>(date.year()), 4, '-');
  field(static_cast<unsigned>(date.month()), 2, '-');
  field(static_cast<unsigned>(date.day()), 2, 'T');
  field(clock_time.hours().count(), 2, ':');
  field(clock_time.minutes().count(), 2, ':');
  field(clock_time.seconds().count(), 2, '.');
  field(clock_time.subseconds().count(), 6, 'Z');
  return at;
}

// The line up to its message: "flowmeter-ebpf: error: ", or the fields time and level.
char* put_line_start(char* at, LogFormat format, LogLevel level, uint64_t unix_ns) {
  const char* const name = log_level_name(level);
  if (format == LogFormat::kText) return put(put(put(at, "flowmeter-ebpf: "), name), ": ");
  const bool json = format == LogFormat::kJson;
  at = put_time(put(at, json ? "{\"time\":\"" : "time="), unix_ns);
  at = put(put(at, json ? "\",\"level\":\"" : " level="), name);
  return json ? put(at, "\"") : at;
}

// Replaces what is not printable by escapes.
std::string harmless(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::string_view bytes = text.substr(0, character.length);
    if (character.kind == CharacterKind::kPrintable) {
      out += bytes;
    } else {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\x%02x", static_cast<unsigned char>(bytes.back()));
      out += escape;
    }
    text.remove_prefix(bytes.size());
  }
  return out;
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
  char start[kLogFrameBytes];
  std::string line(start, put_line_start(start, format, level, unix_ns));
  if (format == LogFormat::kText) {
    line.append(harmless(message));
    if (!fields.empty()) line.append(message.empty() ? "" : ": ").append(harmless(fields));
    return line;
  }
  const bool json = format == LogFormat::kJson;
  const auto add = [&](std::string_view field, const std::string& value) {
    line.append(json ? ",\"" : " ").append(field).append(json ? "\":" : "=").append(value);
  };
  // logfmt takes JSON's strings.
  if (fields.empty()) {
    add("msg", json_string(message));
  } else {
    add("msg", json ? json_string("account") : "account");
    if (!message.empty()) add("of", json_string(message));
    each_field(fields, [&](std::string_view field, std::string_view value) {
      add(field, is_number(value) ? std::string(value) : json_string(value));
    });
  }
  if (json) line += '}';
  return line;
}

char* put_log_line(char* at, LogFormat format, LogLevel level, uint64_t unix_ns,
                   std::string_view message) {
  at = put_line_start(at, format, level, unix_ns);
  if (format == LogFormat::kText) return put(at, message);
  const bool json = format == LogFormat::kJson;
  return put(put(put(at, json ? ",\"msg\":\"" : " msg=\""), message), json ? "\"}" : "\"");
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
