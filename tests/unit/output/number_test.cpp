// SPDX-License-Identifier: BSD-3-Clause
#include "output/number.h"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <clocale>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "features/statistics.h"

namespace flowmeter {
namespace {

std::string text(double value) {
  char buffer[kMaxRealText];
  return {buffer, put_real(buffer, value)};
}

TEST(Number, Rows) {
  const struct {
    double value;
    const char* text;
  } rows[] = {
      {0, "0"},
      {-0.0, "0"},
      {20, "20"},
      {-3, "-3"},
      {0.1, "0.1"},
      {0.5, "0.5"},
      {61.666666666666664, "61.666666666666664"},
      {1.0 / 3, "0.3333333333333333"},
      {1368.96, "1368.96"},
      {0.0001, "0.0001"},
      {0.00012345678901234567, "0.00012345678901234567"},
      {0.000099999999999999991, "9.999999999999999e-05"},
      {6e-06, "6e-06"},
      {1e-9, "1e-09"},
      {2.5e-100, "2.5e-100"},
      {9007199254740991, "9007199254740991"},
      {9007199254740992, "9007199254740992"},
      {9007199254740994, "9007199254740994"},
      {1e15, "1000000000000000"},
      {9999999999999998, "9999999999999998"},
      {1e16, "1e+16"},
      {2.5e16, "2.5e+16"},
      {1.8446744073709552e19, "1.8446744073709552e+19"},
      {-0.25, "-0.25"},
      {-6e-06, "-6e-06"},
      {std::numeric_limits<double>::max(), "1.7976931348623157e+308"},
      {std::numeric_limits<double>::denorm_min(), "5e-324"},
  };
  for (const auto& row : rows) EXPECT_EQ(text(row.value), row.text);
}

TEST(Number, ReadsBackAndFits) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 200000; i++) {
    double value;
    if (i % 2 == 0) {
      const uint64_t bits = random();
      std::memcpy(&value, &bits, sizeof(value));
    } else {  // magnitudes that features have
      value = static_cast<double>(random() >> (random() % 64)) /
              static_cast<double>((random() >> (random() % 64)) | 1);
    }
    if (!std::isfinite(value)) continue;
    const std::string s = text(value);
    ASSERT_LE(s.size(), static_cast<size_t>(kMaxRealText));
    ASSERT_EQ(std::strtod(s.c_str(), nullptr), value) << s;
    const double magnitude = std::fabs(value);
    ASSERT_EQ(s.find('e') == std::string::npos,
              (magnitude >= 1e-4 && magnitude < 1e16) || magnitude == 0)
        << s;
    const bool has_fraction = s.find('.') != std::string::npos && s.find('e') == std::string::npos;
    ASSERT_FALSE(has_fraction && s.back() == '0') << s;
  }
}

// The text that the standard library gives, in the notation of number.h.
std::string by_standard_library(double value) {
  const double magnitude = std::fabs(value);
  char buffer[64];
  char* end = buffer + sizeof(buffer);
  if (magnitude < 0x1p53 && value == std::trunc(value))
    return {buffer, std::to_chars(buffer, end, static_cast<int64_t>(value)).ptr};
  const bool positional = magnitude >= 1e-4 && magnitude < 1e16;
  return {buffer,
          std::to_chars(buffer, end, value,
                        positional ? std::chars_format::fixed : std::chars_format::scientific)
              .ptr};
}

TEST(Number, AgreesWithTheStandardLibrary) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto check = [](double value) {
    ASSERT_EQ(text(value), by_standard_library(value));
    ASSERT_EQ(text(-value), by_standard_library(-value));
  };
  for (int exponent = -40; exponent < 60; exponent++) {
    const double power = std::ldexp(1.0, exponent);  // its lower neighbour is nearer than the upper
    check(power);
    check(std::nextafter(power, 0.0));
    check(std::nextafter(power, 1e300));
  }
  for (unsigned i = 0; i < 300'000; i++) {
    const auto a = random() >> (random() % 64), b = (random() >> (random() % 64)) | 1;
    check(static_cast<double>(a) / static_cast<double>(b));           // means
    check(std::sqrt(static_cast<double>(a)) / 1e9);                   // deviations
    check(static_cast<double>(a % 100'000) / std::pow(10.0, i % 8));  // few digits
    const double any = std::bit_cast<double>((random() >> 12) | (uint64_t{1010u + i % 66} << 52));
    check(any);  // every mantissa
  }
}

TEST(Number, SecondsAreTheTextOfTheirDouble) {
  const auto seed = static_cast<unsigned>(std::random_device{}());
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  std::vector<uint64_t> values = {0,
                                  1,
                                  99'999,
                                  100'000,
                                  100'001,
                                  999'999'999,
                                  1'000'000'000,
                                  1'000'000'001,
                                  1'500'000'000,
                                  999'999'999'999'999,
                                  1'000'000'000'000'001,
                                  UINT64_MAX};
  for (int i = 0; i < 200'000; i++) {
    const uint64_t value = random() >> (random() % 64);
    values.push_back(value);
    values.push_back(value / 1000 * 1000);
  }
  for (const uint64_t ns : values) {
    char whole[kMaxRealText], real[kMaxRealText];
    ASSERT_EQ(std::string(whole, put_seconds(whole, ns)),
              std::string(real, put_real(real, seconds(ns))))
        << ns << " ns";
  }
}

TEST(Number, IndependentOfLocale) {
  const std::string before = std::setlocale(LC_NUMERIC, nullptr);
  bool found = false;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "nl_NL.UTF-8"})
    if (std::setlocale(LC_NUMERIC, name)) {
      found = true;
      break;
    }
  if (!found) GTEST_SKIP() << "no locale with a decimal comma is installed";
  EXPECT_EQ(text(0.5), "0.5");
  std::setlocale(LC_NUMERIC, before.c_str());
}

}  // namespace
}  // namespace flowmeter
