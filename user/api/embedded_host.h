// SPDX-License-Identifier: BSD-3-Clause
// The host of a run inside another program. Log lines go to a list, any thread may ask for a stop,
// and the process is not changed.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/host.h"

namespace flowmeter {

// A line that the program would have written to standard error.
struct LogLine {
  std::string level;  // "info", "warning", "error"
  std::string text;
};

class EmbeddedHost final : public Host {
 public:
  void log(LogLevel level, std::string_view message) override {
    const std::lock_guard lock(mutex_);
    lines_.push_back({log_level_name(level), std::string(message)});
  }
  const volatile std::sig_atomic_t& stop_flag() const override { return stop_; }

  void note_progress(uint64_t packets, uint64_t bytes) override {
    packets_.store(packets, std::memory_order_relaxed);
    bytes_.store(bytes, std::memory_order_relaxed);
  }
  uint64_t packets_read() const { return packets_.load(std::memory_order_relaxed); }
  uint64_t bytes_read() const { return bytes_.load(std::memory_order_relaxed); }

  void stop() { stop_ = 1; }
  // Returns the lines since the last call.
  std::vector<LogLine> take_lines() {
    const std::lock_guard lock(mutex_);
    return std::exchange(lines_, {});
  }
  // Returns the last error among these lines, if there is one. Removes all lines.
  std::optional<std::string> take_last_error() {
    std::optional<std::string> text;
    for (LogLine& line : take_lines())
      if (line.level == "error") text = std::move(line.text);
    return text;
  }

 private:
  volatile std::sig_atomic_t stop_ = 0;
  std::atomic<uint64_t> packets_ = 0;
  std::atomic<uint64_t> bytes_ = 0;
  std::mutex mutex_;
  std::vector<LogLine> lines_;
};

}  // namespace flowmeter
