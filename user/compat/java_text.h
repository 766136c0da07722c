// SPDX-License-Identifier: BSD-3-Clause
// Numbers and times as the Java CICFlowMeter prints them.
#pragma once

#include <cstdint>

namespace flowmeter {

// Longest text of a double: sign, 17 digits, point, "E-", three digits.
constexpr int kMaxJavaDouble = 32;
// Longest text of a time stamp: dd/MM/+yyyyyy hh:mm:ss AM.
constexpr int kMaxJavaTimestamp = 32;

// Double.toString: at least one digit after the point ("3.0"), an exponent below 1e-3 and from 1e7
// on ("1.0E7"), "NaN", "Infinity". The digits are the shortest that read back to the same double;
// Java 18 and older print one more digit for a few doubles in a thousand, but none of these is
// known to occur in rows. Returns the end of the text. Requires: kMaxJavaDouble bytes at `at`.
char* put_java_double(char* at, double value);

// dd/MM/yyyy hh:mm:ss AM|PM in the local time zone, hours from 1 to 12. Requires: kMaxJavaTimestamp
// bytes at `at`.
char* put_java_timestamp(char* at, int64_t time_us);

}  // namespace flowmeter
