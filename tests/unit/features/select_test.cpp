// SPDX-License-Identifier: BSD-3-Clause
#include "features/select.h"

#include <gtest/gtest.h>

#include "features/columns_114.h"
#include "features/columns_82.h"
#include "features/columns_extra.h"

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

TEST(SelectColumns, AFurtherColumnReplacesTheOneOfItsName) {
  const auto names_and_units = [](const std::string& names, const std::string& more) {
    auto columns = select_columns(columns_114(), names, columns_extra(), more);
    EXPECT_TRUE(columns) << columns.error().message();
    std::string text;
    for (const Column& column : *columns)
      text += std::string(column.name) + (column.text.starts_with("UUID") ? "* " : " ");
    return text;
  };
  EXPECT_EQ(names_and_units("src_ip,flow_id", ""), "src_ip flow_id ");
  EXPECT_EQ(names_and_units("flow_id,src_ip", "flow_id"), "src_ip flow_id* ");
  EXPECT_EQ(names_and_units("flow_id,src_ip", "evictions"), "flow_id src_ip evictions ");
  EXPECT_EQ(names_and_units("flow_key", "flow_key"), "flow_key* ");
  EXPECT_EQ(names_and_units("src_ip", "src_ip"), "src_ip src_ip ") << "as it was";
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
