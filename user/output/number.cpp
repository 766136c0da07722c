// SPDX-License-Identifier: BSD-3-Clause
// Shortest decimals by Schubfach (R. Giulietti, "The Schubfach way to render doubles", 2021) for
// the range that is written positionally. std::to_chars writes other values, and the tests compare
// this code with it. A row has about twenty such reals, and formatting them was half of its cost
// (docs/decisions/0003).
#include "output/number.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "features/statistics.h"

namespace flowmeter {
namespace {

struct Power {
  uint64_t high, low;
};

// The powers of ten needed for doubles of 1e-4 … 2^53: 10^0 … 10^22. Each is exact, shifted to 128
// bits, plus one: the upper bound that the algorithm uses.
constexpr auto kPowers = [] {
  std::array<Power, 23> powers{};
  unsigned __int128 power = 1;
  for (Power& p : powers) {
    unsigned __int128 normalized = power;
    while (normalized >> 127 == 0) normalized <<= 1;
    normalized += 1;
    p = {static_cast<uint64_t>(normalized >> 64), static_cast<uint64_t>(normalized)};
    power *= 10;
  }
  return powers;
}();

// Exactly 8 digits as text, the first in the lowest byte. Both halves of the value, then quarters
// and eighths, are computed in parallel in one register. Requires: value < 10^8.
uint64_t text_8(uint32_t value) {
  const uint64_t fours = value / 10000 | uint64_t{value % 10000} << 32;
  const uint64_t hundreds = (fours * 10486 >> 20) & 0x7f0000007f;
  const uint64_t twos = hundreds | (fours - 100 * hundreds) << 16;
  const uint64_t tens = (twos * 103 >> 10) & 0xf000f000f000f;
  const uint64_t ones = tens | (twos - 10 * tens) << 8;
  return ones + 0x3030303030303030;
}

// Stores the lowest byte of word at the lowest address.
void store(char* at, uint64_t word) {
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  std::memcpy(at, &word, sizeof(word));
}

struct Decimal {
  uint64_t digits;
  int exponent;
};

uint64_t round_to_odd(Power g, uint64_t x) {
  using Wide = unsigned __int128;
  const Wide low = static_cast<Wide>(g.low) * x;
  const Wide sum = static_cast<Wide>(g.high) * x + static_cast<uint64_t>(low >> 64);
  return static_cast<uint64_t>(sum >> 64) | (static_cast<uint64_t>(sum) > 1);
}

// The shortest decimal within the rounding interval of value; among several, the nearest. It may
// end in zeros. Requires: 1e-4 <= value < 2^53, not whole.
Decimal shortest(double value) {
  const auto bits = std::bit_cast<uint64_t>(value);
  const uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
  const uint64_t c = fraction | uint64_t{1} << 52;
  const int q = static_cast<int>(bits >> 52) - 1075;
  const bool closer_below = fraction == 0;
  const uint64_t odd = c & 1;
  // floor(log10(2^q)), or of 3/4 2^q; floor(log2(10^-k)).
  const int k = (q * 1262611 - (closer_below ? 524031 : 0)) >> 22;
  const int h = q + ((-k * 1741647) >> 19) + 1;
  const Power g = kPowers[static_cast<size_t>(-k)];

  const uint64_t lower = round_to_odd(g, (4 * c - 2 + closer_below) << h) + odd;
  const uint64_t middle = round_to_odd(g, 4 * c << h);
  const uint64_t upper = round_to_odd(g, (4 * c + 2) << h) - odd;
  const uint64_t s = middle / 4;
  const uint64_t tens = s / 10;
  const bool tens_inside = lower <= 40 * tens, next_tens_inside = 40 * tens + 40 <= upper;
  if (tens_inside != next_tens_inside) return {tens + next_tens_inside, k + 1};
  const bool s_inside = lower <= 4 * s, next_inside = 4 * s + 4 <= upper;
  if (s_inside != next_inside) return {s + next_inside, k};
  const uint64_t half = 4 * s + 2;
  return {s + (middle > half || (middle == half && (s & 1))), k};
}

constexpr auto kTens = [] {
  std::array<uint64_t, 18> tens{1};
  for (size_t i = 1; i < tens.size(); i++) tens[i] = 10 * tens[i - 1];
  return tens;
}();

char* without_zeros(char* end) {
  while (end[-1] == '0') end--;
  return end;
}

char* put_decimal(char* at, Decimal decimal) {
  // As 17 digits; Schubfach gives at least 15.
  int digits = 17;
  while (decimal.digits < kTens[static_cast<size_t>(digits - 1)]) digits--;
  const uint64_t all = decimal.digits * kTens[static_cast<size_t>(17 - digits)];
  const int whole_digits = digits + decimal.exponent;
  const auto first = static_cast<uint32_t>(all / 1'000'000'000);  // 8 of them
  const auto rest = static_cast<uint32_t>(all % 1'000'000'000);   // and 9
  const uint64_t head = text_8(first), tail = text_8(rest / 10);
  const char last = static_cast<char>('0' + rest % 10);

  if (whole_digits <= 0) {
    store(at, 0x3030303030302e30);  // "0.000000"
    at += 2 - whole_digits;
    store(at, head);
    store(at + 8, tail);
    at[16] = last;
    return without_zeros(at + digits);
  }
  // Writes all digits one place too far to the right, then those before the point in their place.
  store(at + 1, head);
  store(at + 9, tail);
  at[17] = last;
  if (whole_digits < 8) {
    const int shift = 8 * whole_digits;
    const uint64_t before = (uint64_t{1} << shift) - 1;
    store(at, (head & before) | uint64_t{'.'} << shift | (head & ~before) << 8);
  } else {
    std::memmove(at, at + 1, static_cast<size_t>(whole_digits));
    at[whole_digits] = '.';
  }
  return without_zeros(at + 1 + digits);
}

}  // namespace

char* put_real(char* at, double value) {
  const double magnitude = std::fabs(value);
  if (magnitude < 0x1p53) {
    const auto whole = static_cast<int64_t>(value);
    if (static_cast<double>(whole) == value) return std::to_chars(at, at + kMaxRealText, whole).ptr;
    if (magnitude >= 1e-4) {
      if (value < 0) *at++ = '-';
      return put_decimal(at, shortest(magnitude));
    }
  }
  const bool positional = magnitude >= 1e-4 && magnitude < 1e16;
  return std::to_chars(at, at + kMaxRealText, value,
                       positional ? std::chars_format::fixed : std::chars_format::scientific)
      .ptr;
}

char* put_seconds(char* at, uint64_t ns) {
  constexpr uint64_t kSecond = 1'000'000'000;
  // A decimal of at most 15 digits is the shortest one of its double. Below 1e-4 there is an
  // exponent.
  constexpr uint64_t kLeast = kSecond / 10'000, kExact = 1'000'000'000'000'000;
  if (ns % kSecond == 0) return std::to_chars(at, at + kMaxRealText, ns / kSecond).ptr;
  if (ns < kLeast || ns >= kExact) return put_real(at, seconds(ns));
  at = std::to_chars(at, at + kMaxRealText, ns / kSecond).ptr;
  const auto fraction = static_cast<uint32_t>(ns % kSecond);
  *at++ = '.';
  *at++ = static_cast<char>('0' + fraction / 100'000'000);
  store(at, text_8(fraction % 100'000'000));
  return without_zeros(at + 8);
}

}  // namespace flowmeter
