// SPDX-License-Identifier: BSD-3-Clause
// The table's numbers; its layout is tested in tests/program/outputs/table_test.py.
#include "output/table.h"

#include <gtest/gtest.h>

namespace flowmeter {
namespace {

TEST(Table, Bytes) {
  const std::pair<uint64_t, const char*> rows[] = {
      {0, "0 B"},
      {999, "999 B"},
      {1000, "1.0 kB"},
      {1449, "1.4 kB"},
      {99'949, "99.9 kB"},
      {99'950, "100 kB"},
      {999'499, "999 kB"},
      {999'500, "1.0 MB"},
      {12'300'000, "12.3 MB"},
      {UINT64_MAX, "18.4 EB"},
  };
  for (const auto& [bytes, expected] : rows) EXPECT_EQ(human_bytes(bytes), expected) << bytes;
}

TEST(Table, Counts) {
  EXPECT_EQ(human_count(99'999), "99999");
  EXPECT_EQ(human_count(100'000), "100 k");
  EXPECT_EQ(human_count(1'234'567), "1.2 M");
}

TEST(Table, Durations) {
  const std::pair<uint64_t, const char*> rows[] = {
      {0, "0 s"},
      {1, "1 ns"},
      {999, "999 ns"},
      {12'400, "12 us"},
      {999'600, "1.0 ms"},
      {1'500'000, "1.5 ms"},
      {150'000'000, "150 ms"},
      {999'600'000, "1.0 s"},
      {12'340'000'000, "12.3 s"},
      {59'960'000'000, "1m 00s"},
      {125'000'000'000, "2m 05s"},
      {3'599'600'000'000, "1h 00m"},
      {11'220'000'000'000, "3h 07m"},
      {1'047'600'000'000'000, "12d 03h"},
  };
  for (const auto& [ns, expected] : rows) EXPECT_EQ(human_duration(ns), expected) << ns;
}

TEST(Table, ShortenedInTheMiddle) {
  const std::string address = "[2001:db8:1:2:3:4:5:6]:40000";
  EXPECT_EQ(shortened(address, 28), address);
  for (size_t width = 0; width < 28; width++) {
    const std::string text = shortened(address, width);
    EXPECT_EQ(text.size(), width);
    if (width >= 13) {
      EXPECT_TRUE(text.ends_with(":40000")) << "the port stays: " << text;
    }
  }
}

}  // namespace
}  // namespace flowmeter
