// SPDX-License-Identifier: BSD-3-Clause
// Compares features/statistics.h with naive computations in 128 bits and in long double.
#include "features/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace flowmeter {
namespace {

__extension__ typedef unsigned __int128 Wide;

fm_moments moments(const std::vector<uint64_t>& samples) {
  fm_moments m{};
  for (const uint64_t x : samples) fm_moments_add(&m, x);
  return m;
}

// The moments of a list that has each sample `times` times, without making the list.
fm_moments repeated(const fm_moments& once, uint64_t times) {
  fm_moments m = once;
  const Wide squares =
      ((static_cast<Wide>(once.sum_of_squares.high) << 64) | once.sum_of_squares.low) * times;
  m.count *= times;
  m.sum *= times;
  m.sum_of_squares = {static_cast<uint64_t>(squares), static_cast<uint64_t>(squares >> 64)};
  return m;
}

// Σ(x − mean)² / n, from the differences to the first sample, which are small if the spread is.
long double naive_variance(const std::vector<uint64_t>& samples) {
  long double sum = 0;
  const auto n = static_cast<long double>(samples.size());
  for (const uint64_t x : samples)
    sum += static_cast<long double>(static_cast<int64_t>(x - samples[0]));
  const long double mean = sum / n;
  long double squares = 0;
  for (const uint64_t x : samples) {
    const long double d = static_cast<long double>(static_cast<int64_t>(x - samples[0])) - mean;
    squares += d * d;
  }
  return squares / n;
}

void expect_close(double value, long double exact, const char* what) {
  const long double error = std::fabs(static_cast<long double>(value) - exact);
  EXPECT_LE(error, 1e-15L * std::fabs(exact)) << what << ": " << value;
}

TEST(Statistics, EmptyAndSingle) {
  EXPECT_EQ(mean(fm_moments{}), 0);
  EXPECT_EQ(variance(fm_moments{}), 0);
  EXPECT_EQ(deviation(fm_moments{}), 0);
  EXPECT_EQ(mean_seconds(fm_moments{}), 0);
  EXPECT_EQ(deviation_seconds(fm_moments{}), 0);
  const fm_moments one = moments({7});
  EXPECT_EQ(mean(one), 7);
  EXPECT_EQ(variance(one), 0);
}

TEST(Statistics, ByHand) {
  const fm_moments m = moments({60, 60, 60, 154, 100});
  EXPECT_EQ(mean(m), 86.8);
  EXPECT_EQ(variance(m), 1368.96);
  EXPECT_DOUBLE_EQ(deviation(m), 36.999459455510966);
  EXPECT_EQ(variance(moments({1, 2})), 0.25);
  EXPECT_EQ(deviation(moments({2, 4, 4, 4, 5, 5, 7, 9})), 2);
}

TEST(Statistics, EqualSamplesHaveNoSpread) {
  for (const uint64_t x : {uint64_t{1}, uint64_t{1514}, uint64_t{1} << 40, ~uint64_t{0} / 8})
    EXPECT_EQ(variance(moments({x, x, x, x, x, x, x})), 0) << x;
}

// 10^18 samples around 10^9 with a variance of 1/4: n Σx² needs 180 bits, and a double of it would
// lose everything.
TEST(Statistics, BigCountTinySpread) {
  const uint64_t count = 5'000'000'000'000'000'000 / 1'000'000'000;
  const fm_moments m = repeated(moments({1'000'000'000, 1'000'000'001}), count / 2);
  EXPECT_EQ(variance(m), 0.25);
  EXPECT_EQ(deviation(m), 0.5);
  EXPECT_EQ(mean(m), 1'000'000'000.5);
  // One sample in a million differs by 1.
  fm_moments rare = repeated(moments({1500}), 1'000'000'000'000);
  fm_moments_add(&rare, 1501);
  const long double n = 1'000'000'000'001.0L;
  expect_close(variance(rare), (n - 1) / (n * n), "variance");
}

TEST(Statistics, GreatestGaps) {
  // Gaps of up to half a century in nanoseconds: squares of 2^121.
  const std::vector<uint64_t> gaps = {1'577'880'000'000'000'000, 1, 1'577'880'000'000'000'001};
  expect_close(variance(moments(gaps)), naive_variance(gaps), "variance");
}

TEST(Statistics, EqualNaive) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int list = 0; list < 3000; list++) {
    const uint64_t base = random() >> (8 + random() % 56), spread = random() >> (8 + random() % 56);
    std::vector<uint64_t> samples;
    for (uint64_t n = 2 + random() % 50; n > 0; n--)
      samples.push_back(base + (spread ? random() % spread : 0));
    const fm_moments m = moments(samples);
    const long double exact = naive_variance(samples);
    ASSERT_NEAR(static_cast<double>(static_cast<long double>(variance(m)) / (exact ? exact : 1)),
                exact != 0 ? 1 : 0, 1e-14)
        << "base " << base << " spread " << spread;
    Wide sum = 0;
    for (const uint64_t x : samples) sum += x;
    expect_close(mean(m),
                 static_cast<long double>(static_cast<uint64_t>(sum)) /
                     static_cast<long double>(samples.size()),
                 "mean");
    ASSERT_EQ(deviation(m), std::sqrt(variance(m)));
  }
}

TEST(Statistics, Ratio) {
  EXPECT_EQ(ratio(7, 0), 0);
  EXPECT_EQ(ratio(0, 7), 0);
  EXPECT_EQ(ratio(1, 3), 1.0 / 3);
  EXPECT_EQ(ratio(~uint64_t{0}, 1), 0x1p64);
  EXPECT_EQ(ratio(~uint64_t{0}, ~uint64_t{0}), 1);
  // Beyond 2^53 both would be rounded before the division: 2^53 + 1 is not a double.
  EXPECT_EQ(ratio((uint64_t{1} << 53) + 1, (uint64_t{1} << 53) + 1), 1);
  expect_close(ratio((uint64_t{1} << 60) + 1, 3), ((uint64_t{1} << 60) + 1) / 3.0L, "ratio");
}

TEST(Statistics, PerSecond) {
  EXPECT_EQ(per_second(434, 2'000'000'000), 217);
  EXPECT_EQ(per_second(5, 0), 0);
  EXPECT_EQ(per_second(1, 1), 1e9);
  EXPECT_EQ(per_second(1, 3'000'000'000), 1.0 / 3);
  EXPECT_EQ(per_second(40'000'000'000'000'000, 1'000'000'000), 40'000'000'000'000'000.0);
}

TEST(Statistics, Seconds) {
  EXPECT_EQ(seconds(100'000'000), 0.1);
  EXPECT_EQ(seconds(1), 1e-9);
  EXPECT_EQ(seconds(240'000'000'001), 240.000000001);
  EXPECT_EQ(mean_seconds(moments({100'000'000, 200'000'000})), 0.15);
  EXPECT_EQ(mean_seconds(moments({1, 2})), 1.5e-9);
  EXPECT_EQ(deviation_seconds(moments({1'000'000'000, 3'000'000'000})), 1);
  // More samples than 2^53 / 10^9.
  EXPECT_EQ(mean_seconds(repeated(moments({500'000'000}), 30'000'000'000)), 0.5);
}

}  // namespace
}  // namespace flowmeter
