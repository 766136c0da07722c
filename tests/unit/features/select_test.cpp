// SPDX-License-Identifier: BSD-3-Clause
#include "features/select.h"

#include <gtest/gtest.h>

#include "features/columns_82.h"

namespace flowmeter {
namespace {

TEST(SelectColumns, NoNamesMeanAllInOrder) {
  for (const char* none : {"", "  "}) {
    auto columns = select_columns(columns_82(), none);
    ASSERT_TRUE(columns);
    ASSERT_EQ(columns->size(), 82u);
    EXPECT_EQ((*columns)[0].name, "src_ip");
    EXPECT_EQ((*columns)[81].name, "subflow_bwd_byts");
  }
}

TEST(SelectColumns, GivesTheOrderOfTheNamesAndIgnoresBlanks) {
  auto columns = select_columns(columns_82(), " dst_ip ,src_ip,\tprotocol");
  ASSERT_TRUE(columns);
  ASSERT_EQ(columns->size(), 3u);
  EXPECT_EQ((*columns)[0].name, "dst_ip");
  EXPECT_EQ((*columns)[1].name, "src_ip");
  EXPECT_EQ((*columns)[2].name, "protocol");
}

TEST(SelectColumns, AnUnknownNameIsAUsageErrorThatListsTheNearOnes) {
  auto columns = select_columns(columns_82(), "src_ip,flow_iat_men");
  ASSERT_FALSE(columns);
  EXPECT_TRUE(columns.error().usage);
  EXPECT_NE(columns.error().message().find("\"flow_iat_men\""), std::string::npos);
  EXPECT_NE(columns.error().message().find("flow_iat_mean"), std::string::npos);
  EXPECT_EQ(columns.error().message().find("subflow"), std::string::npos);
}

TEST(SelectColumns, APartOfANameFindsIt) {
  auto columns = select_columns(columns_82(), "duration");
  ASSERT_FALSE(columns);
  EXPECT_NE(columns.error().message().find("flow_duration"), std::string::npos);
}

TEST(SelectColumns, AnEmptyNameAmongOthersIsAnError) {
  EXPECT_FALSE(select_columns(columns_82(), "src_ip,,dst_ip"));
  EXPECT_FALSE(select_columns(columns_82(), "src_ip,"));
}

}  // namespace
}  // namespace flowmeter
