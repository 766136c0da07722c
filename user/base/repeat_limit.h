// SPDX-License-Identifier: BSD-3-Clause
// Limits lines that repeat: the same line is printed at most kBurst times within kWindowNs, and the
// others are counted. Memory is bounded: only the latest kLines different lines are remembered.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flowmeter {

class RepeatLimit {
 public:
  static constexpr unsigned kBurst = 5;
  static constexpr uint64_t kWindowNs = 10'000'000'000;
  static constexpr size_t kLines = 64;

  // Whether the line may be printed at this time of a monotonic clock. *suppressed: how often it
  // was suppressed since it was last printed.
  bool admit(std::string_view line, uint64_t now_ns, uint64_t* suppressed);

  // Returns the lines that were suppressed since they were last printed, and how often. Resets
  // these numbers.
  std::vector<std::pair<std::string, uint64_t>> take_suppressed();

 private:
  struct Known {
    std::string line;
    uint64_t window_begin_ns;
    unsigned printed;  // in this window
    uint64_t suppressed;
  };

  std::deque<Known> known_;
  std::vector<std::pair<std::string, uint64_t>>
      pushed_out_;  // forgotten lines that were suppressed
};

}  // namespace flowmeter
