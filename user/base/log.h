// SPDX-License-Identifier: BSD-3-Clause
// Lines to standard error: `flowmeter-ebpf: level: message`, or logfmt or JSON with a time. Each is
// written whole, also when several threads log. Not for the packet path: what can repeat per packet
// is a counter. What repeats all the same is limited (repeat_limit.h), so a message that may come
// again should be the same text each time. A run inside another program (embedding.h) tells that one
// instead.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace flowmeter {

enum class LogLevel { kError, kWarning, kInfo, kDebug };
enum class LogFormat { kText, kLogfmt, kJson };

std::optional<LogLevel> log_level_of(std::string_view name);
std::optional<LogFormat> log_format_of(std::string_view name);

// From now on; before, text and info.
void set_log_level(LogLevel most);
void set_log_format(LogFormat format);

void log_line(LogLevel level, std::string_view message);

inline void log_error(std::string_view message) {
  log_line(LogLevel::kError, message);
}
inline void log_warning(std::string_view message) {
  log_line(LogLevel::kWarning, message);
}
inline void log_info(std::string_view message) {
  log_line(LogLevel::kInfo, message);
}
inline void log_debug(std::string_view message) {
  log_line(LogLevel::kDebug, message);
}

// Counters, as "name=number name=number", of all or of what is named: fields of their own in logfmt
// and JSON. At level info, and never limited.
void log_account(std::string_view counters, std::string_view of = "");

// Prints how often which lines were suppressed: for the end.
void log_suppressed();

// Is told of each line, without its line feed; returns whether it keeps the line from standard
// error. For a screen that shares the terminal with it. Empty: nobody is told. Called by the thread
// that logs; it must not log itself.
void set_log_observer(std::function<bool(std::string_view line)> observer);

// The line of a log. fields: as in log_account(); unix_ns: the time (text has none).
std::string format_log_line(LogFormat format, LogLevel level, uint64_t unix_ns,
                            std::string_view message, std::string_view fields = "");

}  // namespace flowmeter
