// SPDX-License-Identifier: BSD-3-Clause
#include "features/owner_text.h"

#include <gtest/gtest.h>

namespace flowmeter {
namespace {

TEST(OwnerName, IsTheShortestThatTellsWho) {
  EndOwner owner;
  EXPECT_EQ(owner_name(owner), "");
  owner.cgroup = "/system.slice/ssh.service";
  EXPECT_EQ(owner_name(owner), "ssh.service");
  owner.pod_uid = "uid";
  EXPECT_EQ(owner_name(owner), "uid");
  owner.container_id = "0123456789abcdef";
  EXPECT_EQ(owner_name(owner), "0123456789ab");
  owner.container_name = "web";
  EXPECT_EQ(owner_name(owner), "web");
}

TEST(EndText, HasTheNameInsteadOfTheAddress) {
  fm_flow_key key{};
  key.ip_version = 4;
  key.kind = FM_KEY_PORTS;
  key.port[0] = 443;
  EXPECT_EQ(end_text(key, 0, ""), "0.0.0.0:443");
  EXPECT_EQ(end_text(key, 0, "shop/web-1"), "shop/web-1:443");
  key.ip_version = 6;
  EXPECT_EQ(end_text(key, 0, ""), "[::]:443");
  EXPECT_EQ(end_text(key, 0, "a:b"), "a:b:443");
  key.kind = FM_KEY_ICMP_TYPE;
  EXPECT_EQ(end_text(key, 0, ""), "::");
  EXPECT_EQ(end_text(key, 0, "web"), "web");
}

}  // namespace
}  // namespace flowmeter
