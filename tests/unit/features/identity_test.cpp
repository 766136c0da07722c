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

}  // namespace
}  // namespace flowmeter
