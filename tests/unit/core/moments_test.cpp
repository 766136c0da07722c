// SPDX-License-Identifier: BSD-3-Clause
// Moments against naive sums, in both versions of the square.
#include "flowmeter/moments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "core/moments_bpf.h"

namespace {

__extension__ typedef unsigned __int128 Wide;

// A value of any magnitude.
uint64_t any_magnitude(std::mt19937_64& random) {
  return random() >> (random() % 64);
}

std::vector<uint64_t> borders() {
  std::vector<uint64_t> values = {0, 1, 2, 3};
  for (unsigned bit = 2; bit < 64; bit++)
    for (int64_t d = -1; d <= 1; d++)
      values.push_back((uint64_t{1} << bit) + static_cast<uint64_t>(d));
  values.push_back(~uint64_t{0});
  values.push_back(~uint64_t{0} - 1);
  values.push_back(0xffffffff00000000);
  values.push_back(0xfffffffeffffffff);
  return values;
}

TEST(Moments, SquaresOfBorders) {
  for (const uint64_t x : borders()) {
    const Wide square = static_cast<Wide>(x) * x;
    // The second total is one below a carry into the upper word.
    for (const uint64_t start : {uint64_t{0}, ~uint64_t{0}}) {
      const Wide expected = square + start;
      fm_u128 native{start, 0};
      fm_u128_add_square(&native, x);
      EXPECT_EQ(native.low, static_cast<uint64_t>(expected)) << x;
      EXPECT_EQ(native.high, static_cast<uint64_t>(expected >> 64)) << x;
      uint64_t low = start, high = 0;
      flowmeter::testing::bpf_add_square(&low, &high, x);
      EXPECT_EQ(low, static_cast<uint64_t>(expected)) << "BPF version, " << x;
      EXPECT_EQ(high, static_cast<uint64_t>(expected >> 64)) << "BPF version, " << x;
    }
  }
}

TEST(Moments, EqualNaiveSums) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int list = 0; list < 300; list++) {
    fm_moments m{};
    Wide squares = 0;
    uint64_t sum = 0, bpf_low = 0, bpf_high = 0, least = 0, greatest = 0;
    const unsigned shift = static_cast<unsigned>(random() % 64);
    const unsigned count = static_cast<unsigned>(random() % 200);
    for (unsigned i = 0; i < count; i++) {
      const uint64_t x = list % 2 ? random() >> shift : any_magnitude(random);
      least = i == 0 ? x : std::min(least, x);
      greatest = std::max(greatest, x);
      sum += x;  // modulo 2^64, like the moments
      squares += static_cast<Wide>(x) * x;
      fm_moments_add(&m, x);
      flowmeter::testing::bpf_add_square(&bpf_low, &bpf_high, x);
    }
    ASSERT_EQ(m.count, count);
    ASSERT_EQ(m.sum, sum);
    ASSERT_EQ(m.sum_of_squares.low, static_cast<uint64_t>(squares));
    ASSERT_EQ(m.sum_of_squares.high, static_cast<uint64_t>(squares >> 64));
    ASSERT_EQ(bpf_low, m.sum_of_squares.low) << "BPF version";
    ASSERT_EQ(bpf_high, m.sum_of_squares.high) << "BPF version";
    ASSERT_EQ(m.min, least);
    ASSERT_EQ(m.max, greatest);
  }
}

TEST(Moments, MergeEqualsAddingAll) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int list = 0; list < 300; list++) {
    fm_moments parts[2]{}, all{};
    for (uint64_t i = random() % 20; i > 0; i--) {
      const uint64_t x = any_magnitude(random);
      fm_moments_add(&parts[random() % 2], x);
      fm_moments_add(&all, x);
    }
    fm_moments_merge(&parts[0], &parts[1]);
    ASSERT_EQ(parts[0].count, all.count);
    ASSERT_EQ(parts[0].sum, all.sum);
    ASSERT_EQ(parts[0].sum_of_squares.low, all.sum_of_squares.low);
    ASSERT_EQ(parts[0].sum_of_squares.high, all.sum_of_squares.high);
    ASSERT_EQ(parts[0].min, all.min);
    ASSERT_EQ(parts[0].max, all.max);
  }
}

TEST(Moments, MinimumAndMaximum) {
  fm_moments m{};
  fm_moments_add(&m, 5);
  EXPECT_EQ(m.min, 5u);
  EXPECT_EQ(m.max, 5u);
  fm_moments_add(&m, 0);
  EXPECT_EQ(m.min, 0u);
  fm_moments_add(&m, 7);
  EXPECT_EQ(m.min, 0u) << "0 is a sample, not the mark of an empty list";
  EXPECT_EQ(m.max, 7u);
}

}  // namespace
