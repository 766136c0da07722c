// SPDX-License-Identifier: BSD-3-Clause
// From integer moments to reals: the only place where the meter leaves the integers.
//
// Every result is the exact value rounded once or twice to a double (relative error below 1e-15). A
// sum of squares has 128 bits, so n * sum of squares may need 192: it is formed exactly, because
// the difference of two almost equal numbers would lose the variance of large samples with a small
// spread.
#pragma once

#include <cmath>
#include <cstdint>

#include "flowmeter/moments.h"

namespace flowmeter {

// numerator / divisor; 0 if the divisor is 0.
inline double ratio(uint64_t numerator, uint64_t divisor) {
  if (divisor == 0) return 0;
  constexpr uint64_t kExact = uint64_t{1} << 53;
  if (numerator <= kExact && divisor <= kExact)
    return static_cast<double>(numerator) / static_cast<double>(divisor);
  return static_cast<double>(static_cast<long double>(numerator) /
                             static_cast<long double>(divisor));
}

inline double seconds(uint64_t ns) {
  return ratio(ns, 1'000'000'000);
}

// amount per second; 0 if the duration is 0.
inline double per_second(uint64_t amount, uint64_t duration_ns) {
  if (duration_ns == 0) return 0;
  // amount * 1e9 is exact in an 80-bit long double up to 2^64 / 1e9 ≈ 1.8e10, and rounded once
  // beyond.
  return static_cast<double>(static_cast<long double>(amount) * 1e9L /
                             static_cast<long double>(duration_ns));
}

inline double mean(const fm_moments& m) {
  return ratio(m.sum, m.count);
}

// Population variance: (n Σx² − (Σx)²) / n².
inline double variance(const fm_moments& m) {
  if (m.count < 2) return 0;
  using Wide = unsigned __int128;
  const Wide low_product = static_cast<Wide>(m.sum_of_squares.low) * m.count;
  const Wide high_product = static_cast<Wide>(m.sum_of_squares.high) * m.count;
  const Wide square = static_cast<Wide>(m.sum) * m.sum;
  // n Σx² as three 64-bit words, then minus the square; it is never negative (Cauchy-Schwarz).
  const uint64_t word0 = static_cast<uint64_t>(low_product);
  const Wide upper = high_product + static_cast<uint64_t>(low_product >> 64);
  const Wide low = (static_cast<Wide>(static_cast<uint64_t>(upper)) << 64) | word0;
  const uint64_t word2 = static_cast<uint64_t>(upper >> 64) - (low < square);
  const Wide rest = low - square;
  const long double numerator =
      static_cast<long double>(word2) * 0x1p128L +
      static_cast<long double>(static_cast<uint64_t>(rest >> 64)) * 0x1p64L +
      static_cast<long double>(static_cast<uint64_t>(rest));
  const long double n = static_cast<long double>(m.count);
  return static_cast<double>(numerator / (n * n));
}

inline double deviation(const fm_moments& m) {
  return std::sqrt(variance(m));
}

// The same for moments of nanoseconds, in seconds.
inline double mean_seconds(const fm_moments& m) {
  if (m.count == 0) return 0;
  constexpr uint64_t kExactCount = (uint64_t{1} << 53) / 1'000'000'000;
  if (m.count <= kExactCount) return ratio(m.sum, m.count * 1'000'000'000);
  return static_cast<double>(static_cast<long double>(m.sum) /
                             (static_cast<long double>(m.count) * 1e9L));
}
inline double deviation_seconds(const fm_moments& m) {
  return deviation(m) / 1e9;
}

}  // namespace flowmeter
