// SPDX-License-Identifier: BSD-3-Clause
#include "metrics/address.h"

#include <gtest/gtest.h>

namespace flowmeter {
namespace {

TEST(MetricsAddress, IsAPortOfAnIpAddress) {
  const struct {
    const char* text;
    const char* host;
  } cases[] = {{"127.0.0.1:9464", "127.0.0.1"},     {":9464", ""},
               {"localhost:9464", "127.0.0.1"},     {"[::1]:9464", "::1"},
               {"[fe80::1%lo]:9464", "fe80::1%lo"}, {"0.0.0.0:9464", "0.0.0.0"}};
  for (const auto& each : cases) {
    const auto address = MetricsAddress::parse(each.text);
    ASSERT_TRUE(static_cast<bool>(address)) << each.text;
    auto copy = address;
    EXPECT_EQ(copy->host, each.host);
    EXPECT_EQ(copy->port, "9464");
    EXPECT_EQ(copy->path, "");
  }
}

TEST(MetricsAddress, IsAUnixSocket) {
  for (const char* text : {"/run/x.sock", "unix:/run/x.sock"}) {
    auto address = MetricsAddress::parse(text);
    ASSERT_TRUE(static_cast<bool>(address)) << text;
    EXPECT_EQ(address->path, "/run/x.sock");
  }
  EXPECT_TRUE(static_cast<bool>(MetricsAddress::parse("/" + std::string(106, 'x'))));
}

TEST(MetricsAddress, AnythingElseIsRefused) {
  for (const char* text : {"",
                           "9464",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.0.0.1:0",
                           "127.0.0.1:65536",
                           "127.0.0.1:x",
                           "127.0.0.1:-1",
                           "127.0.0.1:+1",
                           "127.0.0.1: 1",
                           "::1:9464",
                           "[::1]",
                           "[]:9464",
                           "[x]:9464",
                           "[127.0.0.1]:9464",
                           "example.com:9464",
                           "256.0.0.1:9464",
                           "0177.0.0.1:9464",
                           "0x7f.0.0.1:9464",
                           "1:9464",
                           "127.1:9464",
                           "2130706433:9464",
                           "127.0.0.1%lo:9464",
                           "[fe80::1%]:9464",
                           "[fe80::1%none]:9464",
                           "http://127.0.0.1:9464",
                           "unix:",
                           "unix:x.sock",
                           "x.sock",
                           "[::1:9464",
                           "127.0.0.1:9464/"})
    EXPECT_FALSE(static_cast<bool>(MetricsAddress::parse(text))) << text;
  EXPECT_FALSE(static_cast<bool>(MetricsAddress::parse("/" + std::string(107, 'x'))));
}

}  // namespace
}  // namespace flowmeter
