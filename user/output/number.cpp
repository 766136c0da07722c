// SPDX-License-Identifier: BSD-3-Clause
#include "output/number.h"

#include <charconv>
#include <cmath>
#include <cstdint>

#include "features/statistics.h"

namespace flowmeter {

char* put_real(char* at, double value) {
  const double magnitude = std::fabs(value);
  if (magnitude < 0x1p53) {
    const auto whole = static_cast<int64_t>(value);
    if (static_cast<double>(whole) == value) return std::to_chars(at, at + kMaxRealText, whole).ptr;
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
  const uint64_t fraction = ns % kSecond;
  if (fraction == 0) return std::to_chars(at, at + kMaxRealText, ns / kSecond).ptr;
  if (ns < kLeast || ns >= kExact) return put_real(at, seconds(ns));
  at = std::to_chars(at, at + kMaxRealText, ns / kSecond).ptr;
  *at++ = '.';
  auto rest = static_cast<uint32_t>(fraction);
  for (int i = 8; i >= 0; i--, rest /= 10) at[i] = static_cast<char>('0' + rest % 10);
  at += 9;
  while (at[-1] == '0') at--;
  return at;
}

}  // namespace flowmeter
