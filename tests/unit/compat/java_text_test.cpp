// SPDX-License-Identifier: BSD-3-Clause
// Texts and orders of the Java CICFlowMeter that come from Java's own library. The expected values
// were printed by OpenJDK 17.
#include "compat/java_text.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "compat/java_map_order.h"
#include "compat/java_packet.h"
#include "compat/java_statistics.h"

namespace flowmeter {
namespace {

std::string text(double value) {
  char buffer[kMaxJavaDouble];
  return {buffer, put_java_double(buffer, value)};
}

std::string timestamp(int64_t time_us) {
  char buffer[kMaxJavaTimestamp];
  return {buffer, put_java_timestamp(buffer, time_us)};
}

TEST(JavaText, Doubles) {
  const struct {
    double value;
    const char* text;
  } rows[] = {
      {0, "0.0"},
      {-0.0, "-0.0"},
      {3, "3.0"},
      {-3, "-3.0"},
      {0.1, "0.1"},
      {100, "100.0"},
      {1.0 / 3, "0.3333333333333333"},
      {0.001, "0.001"},
      {0.0012, "0.0012"},
      {0.00099999999999999980, "9.999999999999998E-4"},
      {1.234e-4, "1.234E-4"},
      {1e-10, "1.0E-10"},
      {9999999, "9999999.0"},
      {9999999.999999998, "9999999.999999998"},
      {1e7, "1.0E7"},
      {12345678.25, "1.234567825E7"},
      {-12345678, "-1.2345678E7"},
      {17203302, "1.7203302E7"},
      {1e100, "1.0E100"},
      {std::numeric_limits<double>::infinity(), "Infinity"},
      {-std::numeric_limits<double>::infinity(), "-Infinity"},
      {std::numeric_limits<double>::quiet_NaN(), "NaN"},
      {std::numeric_limits<double>::max(), "1.7976931348623157E308"},
  };
  for (const auto& row : rows) EXPECT_EQ(text(row.value), row.text);
}

// Every text reads back to its value, in the form that the range asks for, with no more digits than
// the shortest.
TEST(JavaText, RandomDoubles) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 200'000; i++) {
    double value = std::bit_cast<double>(random());
    if (i % 2)
      value = static_cast<double>(random() % 1'000'000) / static_cast<double>(random() % 5000 + 1);
    if (!std::isfinite(value)) continue;
    const std::string got = text(value);
    ASSERT_EQ(std::strtod(got.c_str(), nullptr), value) << got;
    const double magnitude = std::fabs(value);
    const bool positional = value == 0 || (magnitude >= 1e-3 && magnitude < 1e7);
    ASSERT_EQ(got.find('E') == std::string::npos, positional) << got;
    ASSERT_NE(got.find('.'), std::string::npos) << got;
    char shortest[64];
    const auto end = std::to_chars(shortest, shortest + sizeof(shortest), value).ptr;
    ASSERT_LE(got.size(), static_cast<size_t>(end - shortest) + 5 + (positional ? 8 : 0)) << got;
  }
}

TEST(JavaText, Timestamps) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  const struct {
    int64_t time_us;
    const char* text;
  } rows[] = {
      {0, "01/01/1970 12:00:00 AM"},
      {-999, "01/01/1970 12:00:00 AM"},
      {-1000, "31/12/1969 11:59:59 PM"},
      {-1'500'000, "31/12/1969 11:59:58 PM"},
      {43'200'000'000, "01/01/1970 12:00:00 PM"},
      {1'591'425'399'925'532, "06/06/2020 06:36:39 AM"},
      {-2'147'483'648'000'000, "13/12/1901 08:45:52 PM"},
      {253'402'300'799'999'999, "31/12/9999 11:59:59 PM"},
      {253'402'300'800'000'000, "01/01/+10000 12:00:00 AM"},
      {-62'135'596'800'000'000, "01/01/0001 12:00:00 AM"},
      {INT64_MAX, "10/01/+294247 04:00:54 AM"},
      {INT64_MIN, "21/12/+290309 07:59:05 PM"},
  };
  for (const auto& row : rows) EXPECT_EQ(timestamp(row.time_us), row.text);
  ::unsetenv("TZ");
  ::tzset();
}

TEST(JavaArithmetic, CastToLong) {
  EXPECT_EQ(java_long(2.9), 2);
  EXPECT_EQ(java_long(-2.9), -2);
  EXPECT_EQ(java_long(1e300), INT64_MAX);
  EXPECT_EQ(java_long(-1e300), INT64_MIN);
  EXPECT_EQ(java_long(std::numeric_limits<double>::quiet_NaN()), 0);
}

TEST(JavaArithmetic, Wraps) {
  EXPECT_EQ(java_add(INT64_MAX, 1), INT64_MIN);
  EXPECT_EQ(java_subtract(INT64_MIN, 1), INT64_MAX);
}

TEST(JavaStatistics, RunningForm) {
  JavaStatistics set;
  for (const double x : {0.0, 0.0, 22.0, 0.0}) set.add(x);
  EXPECT_EQ(set.variance(), 120.99999999999999);  // 121 in exact arithmetic
  EXPECT_EQ(set.deviation(), 11);
  EXPECT_EQ(set.max(), 22);
  EXPECT_EQ(set.min(), 0);
  JavaStatistics below;
  for (const double x : {-5.0, -7.0}) below.add(x);
  EXPECT_EQ(below.max(), -5);
  EXPECT_EQ(below.min(), -7);
  EXPECT_EQ(below.sum(), -12);
}

// The order of keys that were put into an empty java.util.HashMap one after the other.
std::vector<std::string> ordered(const std::vector<std::string>& keys) {
  JavaMapOrder map;
  for (const std::string& key : keys) map.inserted(java_map_hash(key));
  std::vector<std::string> order = keys;
  std::stable_sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
    return map.bucket(java_map_hash(a)) < map.bucket(java_map_hash(b));
  });
  return order;
}

TEST(JavaMapOrder, Hash) {
  EXPECT_EQ(java_map_hash(""), 0u);
  EXPECT_EQ(java_map_hash("a"), 97u);
  // "polygenelubricants".hashCode() is Integer.MIN_VALUE: the shift is unsigned.
  EXPECT_EQ(java_map_hash("polygenelubricants"), 0x80000000u ^ 0x8000u);
}

// A table grows with the entry that makes it more than three quarters full, and never shrinks.
TEST(JavaMapOrder, Growth) {
  JavaMapOrder map;
  for (uint32_t i = 0; i < 12; i++) map.inserted(i);
  EXPECT_EQ(map.bucket(16), 0u);
  map.inserted(12);
  EXPECT_EQ(map.bucket(16), 16u);
  EXPECT_EQ(map.bucket(32), 0u);
  for (uint32_t i = 0; i < 13; i++) map.erased(i);
  EXPECT_EQ(map.bucket(16), 16u);
  for (uint32_t i = 0; i < 24; i++) map.inserted(i);
  EXPECT_EQ(map.bucket(32), 0u);
  map.inserted(24);
  EXPECT_EQ(map.bucket(32), 32u);
}

// "Aa" and "BB" have one hash, and so have all words made of them. The ninth entry of a bucket
// doubles a small table, as does the tenth.
TEST(JavaMapOrder, FullBucket) {
  JavaMapOrder map;
  for (int i = 0; i < 8; i++) map.inserted(0);
  EXPECT_EQ(map.bucket(16), 0u);
  map.inserted(0);
  EXPECT_EQ(map.bucket(16), 16u);
  EXPECT_EQ(map.bucket(32), 0u);
  map.inserted(0);
  EXPECT_EQ(map.bucket(32), 32u);
  EXPECT_EQ(map.bucket(64), 0u);
  map.inserted(0);
  EXPECT_EQ(map.bucket(64), 0u);  // a tree now
}

TEST(JavaMapOrder, Keys) {
  std::vector<std::string> keys, expected;
  for (int port = 1000; port < 1014; port++)
    keys.push_back("10.0.0.1-10.0.0.2-" + std::to_string(port) + "-53-17");
  for (const int port :
       {1010, 1000, 1006, 1005, 1011, 1001, 1013, 1009, 1012, 1004, 1008, 1002, 1007, 1003})
    expected.push_back("10.0.0.1-10.0.0.2-" + std::to_string(port) + "-53-17");
  EXPECT_EQ(ordered(keys), expected);
}

}  // namespace
}  // namespace flowmeter
