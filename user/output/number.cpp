// SPDX-License-Identifier: BSD-3-Clause
#include "output/number.h"

#include <charconv>
#include <cmath>
#include <cstdint>

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

}  // namespace flowmeter
