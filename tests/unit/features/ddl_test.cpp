// SPDX-License-Identifier: BSD-3-Clause
#include "features/ddl.h"

#include <gtest/gtest.h>

#include "features/columns_extra.h"

namespace flowmeter {
namespace {

using Dialect = DdlOptions::Dialect;

std::string ddl(std::string_view set, DdlOptions options = {}) {
  auto text = clickhouse_ddl(*find_feature_set(set), options);
  EXPECT_TRUE(text);
  return text ? *text : "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Ddl, EveryColumnOfEverySetAndNothingUnfilled) {
  for (const NamedFeatureSet& set : feature_sets())
    for (const Dialect dialect : {Dialect::kClickhouse, Dialect::kClickhouse18}) {
      const std::string text =
          ddl(set.name, {.dialect = dialect, .brokers = "one:9092,[::1]:9092", .topic = "flows"});
      for (const FeatureSet columns : {set.columns, columns_extra()})
        for (const Column& column : columns)
          EXPECT_TRUE(has(text, "\n    `" + std::string(column.name) + "` ")) << column.name;
      EXPECT_FALSE(has(text, "{"));
      EXPECT_FALSE(has(text, " 0 AS")) << "a sum of nothing";
    }
}

TEST(Ddl, Types) {
  const std::string text = ddl("cic82");
  for (const char* column :
       {"`src_ip` IPv6 ", "`src_port` Int64 ", "`timestamp` DateTime64(6, 'UTC') ",
        "`flow_duration` Float64 ", "`meter_id` LowCardinality(String) ",
        "`flow_id` UUID DEFAULT generateUUIDv4() ", "`community_id` String "})
    EXPECT_TRUE(has(text, column)) << column;
  const std::string old = ddl("cic82", {.dialect = Dialect::kClickhouse18});
  for (const char* column : {"`src_ip` String,", "`timestamp` String,", "`meter_id` String,"})
    EXPECT_TRUE(has(old, column)) << column;
  for (const char* newer : {"DateTime64", "IPv6", "LowCardinality", "OVER", "COMMENT"})
    EXPECT_FALSE(has(old, newer)) << newer;
  const std::string realtime = ddl("realtime97");
  for (const char* column :
       {"`HTTP Request Count` Nullable(Int64) ", "`HTTP Content Length` Nullable(UInt64) ",
        "`Timestamp` DateTime64(9, 'UTC') ", "`Flow Bytes/s` Float64 "})
    EXPECT_TRUE(has(realtime, column)) << column;
}

TEST(Ddl, NamesAreChosenAndChecked) {
  const std::string text = ddl("cic82", {.table = "net.rows", .brokers = "a:1", .topic = "t"});
  for (const char* part : {"TABLE IF NOT EXISTS net.rows\n", "VIEW IF NOT EXISTS net.rows_1m ",
                           "net.rows_once ", "kafka_broker_list = 'a:1'", "kafka_topic_list = 't'",
                           "kafka_group_name = 'net_rows'", "TO net.rows AS"})
    EXPECT_TRUE(has(text, part)) << part;
  EXPECT_FALSE(has(ddl("cic82"), "Kafka"));
  for (const char* table : {"", "1", "a.b.c", "a b", "a`", "a;", ".a", "a.", "ä"})
    EXPECT_FALSE(clickhouse_ddl(*find_feature_set("cic82"), {.table = table})) << table;
}

}  // namespace
}  // namespace flowmeter
