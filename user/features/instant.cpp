// SPDX-License-Identifier: BSD-3-Clause
#include "features/instant.h"

#include <charconv>
#include <chrono>

namespace flowmeter {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

char* put_number(char* at, unsigned value, int digits) {
  for (int i = digits - 1; i >= 0; i--, value /= 10) at[i] = static_cast<char>('0' + value % 10);
  return at + digits;
}

// Seconds may need more than an int64_t: a pcapng time stamp can be 2^64 of them.
char* put_wide(char* at, __int128 value) {
  if (value < 0) {
    *at++ = '-';
    value = -value;
  }
  constexpr __int128 kHalf = 1'000'000'000'000'000'000;
  if (value < kHalf) return std::to_chars(at, at + 20, static_cast<uint64_t>(value)).ptr;
  at = std::to_chars(at, at + 20, static_cast<uint64_t>(value / kHalf)).ptr;
  auto rest = static_cast<uint64_t>(value % kHalf);
  for (int i = 17; i >= 0; i--, rest /= 10) at[i] = static_cast<char>('0' + rest % 10);
  return at + 18;
}

struct Parts {
  __int128 seconds;  // since the epoch, towards the past
  unsigned ns;
};

Parts parts(ClockOrigin clock, uint64_t time_ns) {
  const uint64_t ns = time_ns % kSecond + clock.unix_ns;
  return {clock.unix_s + __int128{time_ns / kSecond} + ns / kSecond,
          static_cast<unsigned>(ns % kSecond)};
}

// A point and so many of the nine digits.
char* put_fraction(char* at, unsigned ns, unsigned decimals) {
  *at++ = '.';
  return put_number(at, decimals == 9 ? ns : ns / 1000, decimals == 9 ? 9 : 6);
}

bool has_date(const Parts& time) {
  constexpr int64_t kYear0 = -62'167'219'200, kYear10000 = 253'402'300'800;
  return time.seconds >= kYear0 && time.seconds < kYear10000;
}

// "YYYY-MM-DD", the separator, "HH:MM:SS". Requires: has_date(time).
char* put_date_time(char* at, const Parts& time, char separator) {
  using namespace std::chrono;
  const sys_seconds point{std::chrono::seconds{static_cast<int64_t>(time.seconds)}};
  const auto day = floor<days>(point);
  const year_month_day date{day};
  const hh_mm_ss clock_time{point - day};
  at = put_number(at, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  *at++ = '-';
  at = put_number(at, static_cast<unsigned>(date.month()), 2);
  *at++ = '-';
  at = put_number(at, static_cast<unsigned>(date.day()), 2);
  *at++ = separator;
  at = put_number(at, static_cast<unsigned>(clock_time.hours().count()), 2);
  *at++ = ':';
  at = put_number(at, static_cast<unsigned>(clock_time.minutes().count()), 2);
  *at++ = ':';
  return put_number(at, static_cast<unsigned>(clock_time.seconds().count()), 2);
}

// Seconds since the epoch. Before it: a minus sign and the absolute value.
char* put_epoch(char* at, Parts time, unsigned decimals) {
  if (decimals < 9) time.ns -= time.ns % 1000;
  if (time.seconds < 0) {
    *at++ = '-';
    time.seconds = -time.seconds;
    if (time.ns > 0) {
      time.seconds--;
      time.ns = static_cast<unsigned>(kSecond) - time.ns;
    }
  }
  return put_fraction(put_wide(at, time.seconds), time.ns, decimals);
}

Cell text_of(const char* text, const char* end) {
  return std::string_view(text, static_cast<size_t>(end - text));
}

}  // namespace

Cell time_text(ClockOrigin clock, uint64_t time_ns) {
  const Parts time = parts(clock, time_ns);
  char text[Cell::kShortText];
  char* const at = has_date(time) ? put_date_time(text, time, ' ') : put_wide(text, time.seconds);
  return text_of(text, put_fraction(at, time.ns, 6));
}

Cell epoch_text(ClockOrigin clock, uint64_t time_ns) {
  char text[Cell::kShortText];
  return text_of(text, put_epoch(text, parts(clock, time_ns), 9));
}

Cell instant_text(TimeFormat format, unsigned decimals, ClockOrigin clock, uint64_t time_ns) {
  const Parts time = parts(clock, time_ns);
  char text[Cell::kShortText];
  switch (format) {
    case TimeFormat::kPython:
      break;
    case TimeFormat::kIso: {
      if (!has_date(time)) return text_of(text, put_epoch(text, time, decimals));
      char* at = put_fraction(put_date_time(text, time, 'T'), time.ns, decimals);
      *at++ = 'Z';
      return text_of(text, at);
    }
    case TimeFormat::kEpoch:
      return text_of(text, put_epoch(text, time, decimals));
    case TimeFormat::kEpochMicroseconds:
      return text_of(text, put_wide(text, time.seconds * 1'000'000 + time.ns / 1000));
  }
  return time_text(clock, time_ns);
}

}  // namespace flowmeter
