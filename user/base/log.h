// SPDX-License-Identifier: BSD-3-Clause
// Lines on standard error: `flowmeter-ebpf: level: message`, or logfmt or JSON with a time. Each
// line is written whole, also when several threads log. A repeated line is limited
// (repeat_limit.h), so a message that may repeat should have the same text each time. A run logs
// through its Host (host.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "base/repeat_limit.h"

namespace flowmeter {

enum class LogLevel { kError, kWarning, kInfo, kDebug };
enum class LogFormat { kText, kLogfmt, kJson };

const char* log_level_name(LogLevel level);

class Log {
 public:
  // The defaults are text and info.
  void set_level(LogLevel most);
  void set_format(LogFormat format);

  // The thread that logs calls the observer with each line, without its line feed; the observer
  // must not log. If it returns true, the line is not written to standard error (for a screen on
  // the same terminal). An empty function removes the observer.
  void set_observer(std::function<bool(std::string_view line)> observer);

  void line(LogLevel level, std::string_view message);

  // Counters, as "name=number name=number"; in logfmt and JSON each is a field. of: their owner, if
  // not the run. At level info, and never limited.
  void account(std::string_view counters, std::string_view of = "");

  // Prints which lines were suppressed, and how often.
  void suppressed();

 private:
  void print(LogLevel level, std::string_view message, std::string_view fields = "");

  std::mutex mutex_;
  LogLevel level_ = LogLevel::kInfo;
  LogFormat format_ = LogFormat::kText;
  RepeatLimit limit_;
  std::function<bool(std::string_view)> observer_;
};

// Formats one line of the log. fields: as in account(); unix_ns: the time, which the text format
// omits.
std::string format_log_line(LogFormat format, LogLevel level, uint64_t unix_ns,
                            std::string_view message, std::string_view fields = "");

// The same, for a signal handler: it allocates nothing. Returns the end of the line. Requires:
// kLogFrameBytes more than the message has at `at`; nothing in the message needs an escape.
char* put_log_line(char* at, LogFormat format, LogLevel level, uint64_t unix_ns,
                   std::string_view message);
constexpr size_t kLogFrameBytes = 96;

}  // namespace flowmeter
