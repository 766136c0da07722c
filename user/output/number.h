// SPDX-License-Identifier: BSD-3-Clause
// Numbers as text, independent of the locale.
#pragma once

#include <cstdint>

namespace flowmeter {

// Longest text of a real: 17 digits, sign, point, and either 4 leading zeros or an exponent.
constexpr int kMaxRealText = 32;

// A whole value below 2^53 as an integer ("20"), any other as the shortest decimal that reads back
// to the same double: positional for 1e-4 <= |x| < 1e16 ("0.1"), else with an exponent of at least
// two digits ("6e-06"). Returns the end of the text. Requires: kMaxRealText bytes at `at`; value
// finite.
char* put_real(char* at, double value);

// Writes the same text as put_real(ns / 1e9), in a third of the time. Requires: kMaxRealText bytes
// at `at`.
char* put_seconds(char* at, uint64_t ns);

}  // namespace flowmeter
