// SPDX-License-Identifier: BSD-3-Clause
// Numbers as Python 3.11 and numpy 1.24 make and print them, to the last bit. Needs IEEE doubles
// without fused multiply-add (-ffp-contract=off).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace flowmeter {

// numpy.add.reduce of contiguous doubles: pairwise, in blocks.
double numpy_sum(std::span<const double> values);

struct PythonDeviation {
  double variance, deviation;
};
// numpy.var and numpy.std (population) about this mean. Overwrites the values. Requires: not empty.
PythonDeviation numpy_deviation(std::span<double> values, double mean);

// repr(float): shortest decimal that reads back, always with a point or an exponent. Requires: 34
// bytes at `at`; value finite, not -0. Returns the end of the text.
char* put_python_float(char* at, double value);

// str(Decimal(size) / Decimal(time_us) scaled by 10^-6) in the default context of 28 digits.
// Requires: kMaxDecimalText bytes at `at`; size > 0; time_us not 0.
constexpr int kMaxDecimalText = 48;
char* put_decimal_rate(char* at, uint64_t size, int64_t time_us);

}  // namespace flowmeter
