// SPDX-License-Identifier: BSD-3-Clause
// Expected values: by hand, or from Python's decimal and float, whose output is quoted.
#include "compat/python_arithmetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace flowmeter {
namespace {

std::string float_text(double value) {
  char text[40];
  return {text, put_python_float(text, value)};
}

TEST(PythonArithmetic, FloatsPrintAsPythonsRepr) {
  const std::pair<double, const char*> rows[] = {
      {0.0, "0.0"},
      {3.0, "3.0"},
      {-3.0, "-3.0"},
      {0.1, "0.1"},
      {1e-4, "0.0001"},
      {9.9e-5, "9.9e-05"},
      {-1e-6, "-1e-06"},
      {61.666666666666664, "61.666666666666664"},
      {9007199254740992.0, "9007199254740992.0"},
      {9007199254740994.0, "9007199254740994.0"},
      {9999999999999998.0, "9999999999999998.0"},
      {1e16, "1e+16"},
      {2.5e16, "2.5e+16"},
      {1.7976931348623157e308, "1.7976931348623157e+308"},
  };
  for (const auto& [value, text] : rows) EXPECT_EQ(float_text(value), text);
}

std::string rate_text(uint64_t size, int64_t time_us) {
  char text[kMaxDecimalText];
  return {text, put_decimal_rate(text, size, time_us)};
}

// str(Decimal(size) / Decimal(time_us).scaleb(-6))
TEST(PythonArithmetic, RatesAreDecimals) {
  struct Row {
    uint64_t size;
    int64_t time_us;
    const char* text;
  };
  const Row rows[] = {
      {1, 1'000'000, "1"},
      {90, 1'000'000, "9E+1"},
      {20, 1, "2.0E+7"},
      {200, 10, "2.0E+7"},
      {196, 10, "1.96E+7"},
      {1234567, 1, "1.234567E+12"},
      {719, 2'000'000, "359.5"},
      {96, 1'000'000, "96"},
      {40, 700'000, "57.14285714285714285714285714"},
      {2, 3, "666666.6666666666666666666667"},
      {1, 3, "333333.3333333333333333333333"},
      {1, 3'000'000'000'000, "3.333333333333333333333333333E-7"},
      {1, 300'000'000'000, "0.000003333333333333333333333333333"},
      {1, 1'000'000'000'000, "0.000001"},
      {1, 10'000'000'000'000, "1E-7"},
      {1, 8'000'000, "0.125"},
      {40, -400'000, "-1E+2"},
      {2, -3, "-666666.6666666666666666666667"},
      // 28 digits exactly; a 29th that is a tie goes to the even digit, down and up.
      {1, int64_t{1} << 40, "9.094947017729282379150390625E-7"},
      {1, int64_t{1} << 41, "4.547473508864641189575195312E-7"},
      {3, int64_t{1} << 40, "0.000002728484105318784713745117188"},
      {3, 7'000'000'000, "0.0004285714285714285714285714286"},
      {4398046511103, 1, "4.398046511103E+18"},
      {UINT64_MAX, 1, "1.8446744073709551615E+25"},
      {1, INT64_MAX, "1.084202172485504434125002236E-13"},
  };
  for (const Row& row : rows) EXPECT_EQ(rate_text(row.size, row.time_us), row.text);
}

// 1e16 swallows each 1 that is added to it alone, so the order of additions shows.
TEST(PythonArithmetic, SumsAreNumpys) {
  const auto sum = [](size_t n, size_t big) {
    std::vector<double> values(n, 1.0);
    values[big] = 1e16;
    return numpy_sum(values);
  };
  const auto cancelled = [](size_t n, size_t up, size_t down, double second) {
    std::vector<double> values(n, 1.0);
    values[1] = second;
    values[up] = 1e16;
    values[down] = -1e16;
    return numpy_sum(values);
  };
  // Fewer than 8: left to right. The ones before the big value are added up first, those after it
  // are lost.
  EXPECT_EQ(sum(7, 4), 1e16 + 4);
  EXPECT_EQ(sum(7, 0), 1e16);
  // 8: four pairs. The big value loses its partner, the pair beside it is added as 2, the other
  // half as 4.
  EXPECT_EQ(sum(8, 0), 1e16 + 6);
  // 17: two values per accumulator, and one after them. 1e16 + 1 loses the one, the other values
  // are added as 2, 4, 8. The last value makes a tie, which goes up from 14 (odd in units of 2) to
  // 16.
  EXPECT_EQ(sum(17, 0), 1e16 + 16);
  EXPECT_EQ(sum(17, 1), 1e16 + 16);
  EXPECT_EQ(sum(17, 16), 1e16 + 16);
  // 136: halves of 64 and 72. In the half with the big value, its accumulator loses 7, and the rest
  // is added: 56 + 72.
  EXPECT_EQ(sum(136, 0), 1e16 + 56 + 72);
  // 130: 64 and 66. The second one ends with two values after its accumulators, which are added one
  // by one.
  EXPECT_EQ(sum(130, 129), 1e16 + 64 + 66 - 2);
  // 8193: a buffer, and one value by itself.
  EXPECT_EQ(sum(8193, 8192), 1e16 + 8192);
  EXPECT_EQ(sum(8193, 0), 1e16 + 8192 - 16);
  // Two big values in two buffers cancel each other. In each, 15 ones of its block of 128 are lost
  // to its accumulator. One array without buffers would be divided into other blocks.
  EXPECT_EQ(cancelled(8320, 0, 8192, 1), 8320 - 32);
  // The first buffer's sum is odd and loses nothing to the second one's, in which the two cancel.
  EXPECT_EQ(cancelled(16384, 8192, 12288, 2), 16384 - 32 + 1);
  EXPECT_EQ(numpy_sum({}), 0.0);
}

TEST(PythonArithmetic, DeviationIsOfThePopulation) {
  std::vector<double> values = {1, 2, 3, 4};
  const PythonDeviation d = numpy_deviation(values, 2.5);
  EXPECT_EQ(d.variance, 1.25);
  EXPECT_EQ(d.deviation, std::sqrt(1.25));
}

}  // namespace
}  // namespace flowmeter
