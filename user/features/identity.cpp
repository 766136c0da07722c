// SPDX-License-Identifier: BSD-3-Clause
#include "features/identity.h"

#include <arpa/inet.h>

#include <charconv>
#include <chrono>

namespace flowmeter {
namespace {

char* put_number(char* at, unsigned value, int digits) {
  for (int i = digits - 1; i >= 0; i--, value /= 10) at[i] = static_cast<char>('0' + value % 10);
  return at + digits;
}

char* put_byte(char* at, unsigned value) {
  if (value >= 100) *at++ = static_cast<char>('0' + value / 100);
  if (value >= 10) *at++ = static_cast<char>('0' + value / 10 % 10);
  *at++ = static_cast<char>('0' + value % 10);
  return at;
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

}  // namespace

Cell address_text(const fm_address& address, uint8_t ip_version) {
  uint8_t bytes[sizeof(address)];
  std::memcpy(bytes, &address, sizeof(bytes));
  char text[INET6_ADDRSTRLEN];
  if (ip_version == 4) {
    char* at = text;
    for (int i = 0; i < 4; i++) {
      if (i > 0) *at++ = '.';
      at = put_byte(at, bytes[i]);
    }
    return std::string_view(text, static_cast<size_t>(at - text));
  }
  ::inet_ntop(AF_INET6, bytes, text, sizeof(text));
  return std::string_view(text);
}

std::string endpoint_text(const fm_flow_key& key, unsigned end) {
  std::string text(address_text(key.address[end], key.ip_version).text());
  if (key.kind != FM_KEY_PORTS) return text;
  if (key.ip_version == 6) text = '[' + text + ']';
  return text + ':' + std::to_string(key.port[end]);
}

std::string_view protocol_name(uint8_t protocol) {
  switch (protocol) {
    case FM_TCP:
      return "TCP";
    case FM_UDP:
      return "UDP";
    case FM_ICMP:
      return "ICMP";
    default:
      return "ICMPv6";
  }
}

Cell time_text(ClockOrigin clock, uint64_t time_ns) {
  using namespace std::chrono;
  constexpr uint64_t kSecond = 1'000'000'000;
  const uint64_t ns = time_ns % kSecond + clock.unix_ns;
  const __int128 unix_s = clock.unix_s + time_ns / kSecond + ns / kSecond;
  const auto microseconds = static_cast<unsigned>(ns % kSecond / 1000);

  char text[Cell::kShortText];
  char* at = text;
  constexpr int64_t kYear0 = -62'167'219'200, kYear10000 = 253'402'300'800;
  if (unix_s < kYear0 || unix_s >= kYear10000) {
    at = put_wide(at, unix_s);
  } else {
    const sys_seconds time{std::chrono::seconds{static_cast<int64_t>(unix_s)}};
    const auto day = floor<days>(time);
    const year_month_day date{day};
    const hh_mm_ss clock_time{time - day};
    at = put_number(at, static_cast<unsigned>(static_cast<int>(date.year())), 4);
    *at++ = '-';
    at = put_number(at, static_cast<unsigned>(date.month()), 2);
    *at++ = '-';
    at = put_number(at, static_cast<unsigned>(date.day()), 2);
    *at++ = ' ';
    at = put_number(at, static_cast<unsigned>(clock_time.hours().count()), 2);
    *at++ = ':';
    at = put_number(at, static_cast<unsigned>(clock_time.minutes().count()), 2);
    *at++ = ':';
    at = put_number(at, static_cast<unsigned>(clock_time.seconds().count()), 2);
  }
  *at++ = '.';
  at = put_number(at, microseconds, 6);
  return std::string_view(text, static_cast<size_t>(at - text));
}

Cell epoch_text(ClockOrigin clock, uint64_t time_ns) {
  constexpr int64_t kSecond = 1'000'000'000;
  __int128 ns = clock.unix_s * kSecond + clock.unix_ns + time_ns;
  char text[Cell::kShortText];
  char* at = text;
  if (ns < 0) {
    *at++ = '-';
    ns = -ns;
  }
  at = put_wide(at, ns / kSecond);
  *at++ = '.';
  at = put_number(at, static_cast<unsigned>(ns % kSecond), 9);
  return std::string_view(text, static_cast<size_t>(at - text));
}

}  // namespace flowmeter
