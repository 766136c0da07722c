// SPDX-License-Identifier: BSD-3-Clause
#include "features/identity.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

namespace flowmeter {
namespace {

fm_address address(int family, const char* text) {
  uint8_t bytes[16] = {};
  if (::inet_pton(family, text, bytes) != 1) std::abort();
  fm_address a;
  std::memcpy(&a, bytes, sizeof(a));
  return a;
}

std::string text(const Cell& cell) {
  return std::string(cell.text());
}

TEST(Identity, Ipv4) {
  for (const char* a : {"0.0.0.0", "1.2.3.4", "9.10.99.100", "192.0.2.255", "255.255.255.255"})
    EXPECT_EQ(text(address_text(address(AF_INET, a), 4)), a);
}

TEST(Identity, EveryIpv4Byte) {
  for (unsigned n = 0; n < 256; n++) {
    const std::string a = std::to_string(n) + ".0." + std::to_string(255 - n) + ".7";
    EXPECT_EQ(text(address_text(address(AF_INET, a.c_str()), 4)), a);
  }
}

TEST(Identity, Ipv6) {
  for (const char* a :
       {"::", "::1", "2001:db8::1", "fe80::1:0:0:1", "::ffff:1.2.3.4", "2001:db8:0:1:1:1:1:1",
        "1:0:0:2::3", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"})
    EXPECT_EQ(text(address_text(address(AF_INET6, a), 6)), a);
  EXPECT_EQ(text(address_text(address(AF_INET6, "2001:DB8:0:0:0:0:0:1"), 6)), "2001:db8::1");
}

TEST(Identity, Times) {
  const struct {
    const char* claim;
    ClockOrigin clock;
    uint64_t time_ns;
    const char* text;
  } rows[] = {
      {"the epoch", {}, 0, "1970-01-01 00:00:00.000000"},
      {"cut, not rounded", {}, 999'999'999, "1970-01-01 00:00:00.999999"},
      {"a usual time", {}, 1'700'000'000'250'000'000, "2023-11-14 22:13:20.250000"},
      {"the leap day of 2000", {}, 951'782'400'000'000'000, "2000-02-29 00:00:00.000000"},
      {"the end of pcap's seconds", {}, 4'294'967'295'000'000'000, "2106-02-07 06:28:15.000000"},
      {"the end of era 0", {}, ~uint64_t{0}, "2554-07-21 23:34:33.709551"},
      {"an origin adds its nanoseconds with carry",
       {1'700'000'000, 999'999'999},
       1'000'000'001,
       "2023-11-14 22:13:22.000000"},
      {"half a second before the epoch", {-1, 500'000'000}, 0, "1969-12-31 23:59:59.500000"},
      {"1969, counted from an origin", {-10, 0}, 9'999'999'999, "1969-12-31 23:59:59.999999"},
      {"the last microsecond of year 9999",
       {253'402'300'799, 0},
       999'999'999,
       "9999-12-31 23:59:59.999999"},
      {"year 10000: seconds since the epoch",
       {253'402'300'799, 0},
       1'000'000'000,
       "253402300800.000000"},
      {"the same by the origin", {253'402'300'800, 7'000}, 0, "253402300800.000007"},
      {"year 0", {-62'167'219'200, 0}, 0, "0000-01-01 00:00:00.000000"},
      {"before year 0: seconds since the epoch", {-62'167'219'201, 0}, 0, "-62167219201.000000"},
      {"year 586524", {18'446'744'073'709, 551'616'000}, 5'000, "18446744073709.551621"},
      {"the least number of seconds still fits", {INT64_MIN, 0}, 0, "-9223372036854775808.000000"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(text(time_text(row.clock, row.time_ns)), row.text) << row.claim;
}

}  // namespace
}  // namespace flowmeter
