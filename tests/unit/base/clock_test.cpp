// SPDX-License-Identifier: BSD-3-Clause
// The clocks of a live run, and the shift of a time namespace.
#include "base/clock.h"

#include <gtest/gtest.h>
#include <time.h>

namespace flowmeter::testing {
namespace {

constexpr int64_t kS = 1'000'000'000;

TEST(Clock, ShiftOfTimensOffsets) {
  struct Row {
    const char* claim;
    const char* text;
    std::optional<int64_t> shift_ns;
  };
  const Row rows[] = {
      {"none", "monotonic           0         0\nboottime            0         0\n", 0},
      {"ahead", "monotonic      864000 500000000\nboottime            7         0\n",
       864'000 * kS + kS / 2},
      {"behind: seconds are rounded down", "monotonic         -10 250000000\n", -10 * kS + kS / 4},
      {"monotonic need not be first", "boottime 1 2\nmonotonic 3 4\n", 3 * kS + 4},
      {"by number", "1          12         5\n7          99         0\n", 12 * kS + 5},
      {"without an end of line", "monotonic 3 4", 3 * kS + 4},
      {"tabs", "\tmonotonic\t3\t4\n", 3 * kS + 4},
      {"the latest", "monotonic 9223372035 999999999\n", 9'223'372'035 * kS + 999'999'999},
      {"seconds beyond 64 bits of nanoseconds", "monotonic 9223372036 0\n", std::nullopt},
      {"seconds beyond 64 bits", "monotonic 99999999999999999999 0\n", std::nullopt},
      {"far behind", "monotonic -9223372037 0\n", std::nullopt},
      {"a second too much of nanoseconds", "monotonic 1 1000000000\n", std::nullopt},
      {"negative nanoseconds", "monotonic 1 -1\n", std::nullopt},
      {"one number", "monotonic 1\n", std::nullopt},
      {"three numbers", "monotonic 1 2 3\n", std::nullopt},
      {"no number", "monotonic one 2\n", std::nullopt},
      {"a number with an end", "monotonic 1s 2\n", std::nullopt},
      {"another clock only", "boottime 1 2\n", std::nullopt},
      {"another word that begins alike", "monotonic_raw 1 2\n", std::nullopt},
      {"empty lines", "\n\n\n", std::nullopt},
      {"empty", "", std::nullopt},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.claim);
    EXPECT_EQ(parse_monotonic_shift_ns(row.text), row.shift_ns);
  }
}

TEST(Clock, OriginIsWallLessMonotonic) {
  // They differ by the time between the readings, if the wall clock does not step meanwhile.
  const __int128 before = static_cast<__int128>(wall_ns()) - monotonic_ns();
  const __int128 origin = monotonic_origin_unix_ns();
  const __int128 difference = origin - before;
  EXPECT_LT(difference, kS) << "ns";
  EXPECT_GT(difference, -kS) << "ns";
}

TEST(Clock, MonotonicGoesForward) {
  uint64_t last = monotonic_ns();
  for (int i = 0; i < 1000; i++) {
    const uint64_t now = monotonic_ns();
    ASSERT_GE(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace flowmeter::testing
