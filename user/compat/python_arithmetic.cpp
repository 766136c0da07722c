// SPDX-License-Identifier: BSD-3-Clause
#include "compat/python_arithmetic.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "output/number.h"

namespace flowmeter {
namespace {

// numpy/core/src/umath/loops_utils.h.src, pairwise_sum: eight accumulators (one register of eight)
// up to PW_BLOCKSIZE values, halves above.
double pairwise_sum(const double* a, size_t n) {
  constexpr size_t kBlock = 128;
  if (n < 8) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i];
    return sum;
  }
  if (n <= kBlock) {
    double r[8];
    std::copy(a, a + 8, r);
    size_t i = 8;
    for (; i < n - n % 8; i += 8)
      for (size_t j = 0; j < 8; j++) r[j] += a[i + j];
    double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; i++) sum += a[i];
    return sum;
  }
  const size_t half = n / 2 - n / 2 % 8;
  return pairwise_sum(a, half) + pairwise_sum(a + half, n - half);
}

}  // namespace

double numpy_sum(std::span<const double> values) {
  // The reduction gets the array in pieces of its buffer (NPY_BUFSIZE).
  constexpr size_t kBuffer = 8192;
  double sum = 0;
  for (size_t i = 0; i < values.size(); i += kBuffer)
    sum += pairwise_sum(values.data() + i, std::min(kBuffer, values.size() - i));
  return sum;
}

PythonDeviation numpy_deviation(std::span<double> values, double mean) {
  for (double& value : values) {
    const double distance = value - mean;
    value = distance * distance;
  }
  const double variance = numpy_sum(values) / static_cast<double>(values.size());
  return {variance, std::sqrt(variance)};
}

char* put_python_float(char* at, double value) {
  char* end = put_real(at, value);
  // put_real leaves the point out of whole values that it writes without an exponent.
  if (std::fabs(value) < 1e16 && value == std::trunc(value)) {
    *end++ = '.';
    *end++ = '0';
  }
  return end;
}

// decimal.Decimal.__truediv__ and __str__. Sizes are whole numbers (exponent 0) and the time is in
// microseconds (exponent -6), so the exponent of an exact quotient is at most 6.
char* put_decimal_rate(char* at, uint64_t size, int64_t time_us) {
  constexpr int kPrecision = 28, kIdealExponent = 6;
  if (time_us < 0) *at++ = '-';
  const unsigned __int128 divisor =
      time_us < 0 ? -static_cast<uint64_t>(time_us) : static_cast<uint64_t>(time_us);

  // Long division, to the end or to 28 significant digits.
  char digits[kPrecision];
  int count = 0, exponent = kIdealExponent;
  if (const auto whole = static_cast<uint64_t>(size / divisor); whole > 0)
    count = static_cast<int>(std::to_chars(digits, digits + kPrecision, whole).ptr - digits);
  unsigned __int128 remainder = size % divisor;
  while (remainder > 0 && count < kPrecision) {
    remainder *= 10;
    const auto digit = static_cast<int>(remainder / divisor);
    remainder %= divisor;
    exponent--;
    if (count > 0 || digit > 0) digits[count++] = static_cast<char>('0' + digit);
  }
  const bool up = 2 * remainder > divisor ||
                  (2 * remainder == divisor && (digits[kPrecision - 1] - '0') % 2 == 1);
  if (up) {  // half to even; a quotient of such numbers is never so near a power of ten as 999…9
    int i = count - 1;
    while (digits[i] == '9') digits[i--] = '0';
    digits[i]++;
  }

  const int magnitude = count + exponent - 1;  // of the first digit
  const auto put = [&](int from, int to) {
    std::memcpy(at, digits + from, static_cast<size_t>(to - from));
    at += to - from;
  };
  if (exponent <= 0 && magnitude >= -6) {
    if (magnitude < 0) {
      *at++ = '0';
      *at++ = '.';
      for (int i = magnitude + 1; i < 0; i++) *at++ = '0';
      put(0, count);
    } else {
      put(0, magnitude + 1);
      if (exponent < 0) *at++ = '.';
      put(magnitude + 1, count);
    }
    return at;
  }
  put(0, 1);
  if (count > 1) *at++ = '.';
  put(1, count);
  *at++ = 'E';
  if (magnitude >= 0) *at++ = '+';
  return std::to_chars(at, at + 8, magnitude).ptr;
}

}  // namespace flowmeter
