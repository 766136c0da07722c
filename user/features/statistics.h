// SPDX-License-Identifier: BSD-3-Clause
// From integer moments to reals: the only place where the meter uses floating point for statistics.
//
// Every result is the exact value with at most four roundings to double (relative error below
// 1e-15). A sum of squares has 128 bits, so n * sum of squares may need 192. It is computed
// exactly, because otherwise the difference of two almost equal numbers would lose the variance of
// large samples with a small spread.
#pragma once

#include <cmath>
#include <cstdint>

#include "flowmeter/moments.h"

namespace flowmeter {

constexpr double kNanosecondsPerSecond = 1e9;

// numerator / divisor; 0 if the divisor is 0.
inline double ratio(uint64_t numerator, uint64_t divisor) {
  return divisor == 0 ? 0 : static_cast<double>(numerator) / static_cast<double>(divisor);
}

inline double seconds(uint64_t ns) {
  return static_cast<double>(ns) / kNanosecondsPerSecond;
}

// amount per second; 0 if the duration is 0.
inline double per_second(uint64_t amount, uint64_t duration_ns) {
  return duration_ns == 0 ? 0
                          : static_cast<double>(amount) * kNanosecondsPerSecond /
                                static_cast<double>(duration_ns);
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
  double numerator = static_cast<double>(low - square);
  if (word2 != 0) numerator += static_cast<double>(word2) * 0x1p128;
  const double n = static_cast<double>(m.count);
  return numerator / (n * n);
}

inline double deviation(const fm_moments& m) {
  return std::sqrt(variance(m));
}

// The same in seconds, for moments of nanoseconds.
inline double mean_seconds(const fm_moments& m) {
  return m.count == 0
             ? 0
             : static_cast<double>(m.sum) / (static_cast<double>(m.count) * kNanosecondsPerSecond);
}
inline double deviation_seconds(const fm_moments& m) {
  return deviation(m) / kNanosecondsPerSecond;
}

}  // namespace flowmeter
