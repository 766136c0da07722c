// SPDX-License-Identifier: BSD-3-Clause
#include "compat/java_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <ctime>
#include <string_view>

#include "output/number.h"

namespace flowmeter {
namespace {

char* put(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

char* put_two_digits(char* at, int value) {
  *at++ = static_cast<char>('0' + value / 10 % 10);
  *at++ = static_cast<char>('0' + value % 10);
  return at;
}

}  // namespace

char* put_java_double(char* at, double value) {
  if (std::isnan(value)) return put(at, "NaN");
  if (std::signbit(value)) {
    *at++ = '-';
    value = -value;
  }
  if (std::isinf(value)) return put(at, "Infinity");
  if (value == 0) return put(at, "0.0");
  if (value >= 1e-3 && value < 1e7) {
    const char* begin = at;
    at = put_real(at, value);
    return std::find(begin, static_cast<const char*>(at), '.') == at ? put(at, ".0") : at;
  }
  // d[.ddd]e[+-]xx
  char text[kMaxRealText];
  const char* end =
      std::to_chars(text, text + sizeof(text), value, std::chars_format::scientific).ptr;
  const char* exponent = std::find(static_cast<const char*>(text), end, 'e');
  at = put(at, {text, static_cast<size_t>(exponent - text)});
  if (exponent - text == 1) at = put(at, ".0");
  *at++ = 'E';
  exponent++;
  if (*exponent == '-') *at++ = '-';
  exponent++;
  while (*exponent == '0') exponent++;
  return put(at, {exponent, static_cast<size_t>(end - exponent)});
}

// DateFormatter.convertMilliseconds2String. The division to milliseconds rounds towards zero, the
// division to seconds rounds down.
char* put_java_timestamp(char* at, int64_t time_us) {
  const int64_t ms = time_us / 1000;
  const std::time_t second = ms / 1000 - (ms % 1000 < 0 ? 1 : 0);
  std::tm local{};
  ::localtime_r(&second, &local);
  at = put_two_digits(at, local.tm_mday);
  *at++ = '/';
  at = put_two_digits(at, local.tm_mon + 1);
  *at++ = '/';
  // Only pcapng can hold such years. The year of the era has at least four digits, and a sign if it
  // has more.
  int64_t year = int64_t{local.tm_year} + 1900;
  if (year <= 0) year = 1 - year;
  if (year > 9999) *at++ = '+';
  for (int64_t least = 1000; least > year && least > 1; least /= 10) *at++ = '0';
  at = std::to_chars(at, at + 12, year).ptr;
  *at++ = ' ';
  at = put_two_digits(at, (local.tm_hour + 11) % 12 + 1);
  *at++ = ':';
  at = put_two_digits(at, local.tm_min);
  *at++ = ':';
  at = put_two_digits(at, local.tm_sec);
  return put(at, local.tm_hour < 12 ? " AM" : " PM");
}

}  // namespace flowmeter
