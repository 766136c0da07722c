// SPDX-License-Identifier: BSD-3-Clause
#include "output/clickhouse_answer.h"

#include <gtest/gtest.h>

namespace flowmeter {
namespace {

TEST(ClickhouseAnswer, FindsTheException) {
  const struct {
    const char *header, *body;
    std::optional<int> exception;
  } rows[] = {
      {"", "Code: 27, e.displayText() = DB::Exception: Cannot parse input: expected { before", 27},
      {"", "Code: 60. DB::Exception: Table default.flows does not exist. (UNKNOWN_TABLE)", 60},
      {"117", "{\"exception\": \"Code: 1. DB::Exception\"}", 117},
      {"x", "", std::nullopt},
      {"", "Code: red", std::nullopt},
      {"", "Code: 27 of another program", std::nullopt},
      {"", "Code: -1. DB::Exception", std::nullopt},
      {"", "Code: 99999999999. DB::Exception", std::nullopt},
      {"", "<html>Code: 27. DB::Exception", std::nullopt},
      {"",
       "\r\n__exception__\r\ntag\r\nCode: 241. DB::Exception: Memory limit\r\n9 "
       "tag\r\n__exception__",
       241},
      {"", "__exception__ without a code, DB::", std::nullopt},
      {"", "Code: 5. DB::Exception behind text", 5},
      {"", "text before Code: 5. DB::Exception", std::nullopt},
      {"", "", std::nullopt},
  };
  for (const auto& row : rows)
    EXPECT_EQ(clickhouse_exception(row.header, row.body), row.exception) << row.body;
}

TEST(ClickhouseAnswer, TellsTooManyPartitionsFromTooManyParts) {
  EXPECT_TRUE(is_of_too_many_partitions(
      252,
      "Code: 252. DB::Exception: Too many partitions for single INSERT block (more than 100)"));
  EXPECT_FALSE(is_of_too_many_partitions(252, "Code: 252. DB::Exception: Too many parts (300)"));
  EXPECT_FALSE(is_of_too_many_partitions(27, "Too many partitions"));
}

TEST(ClickhouseAnswer, KnowsErrorsOfRows) {
  for (const int of_rows : {6, 16, 27, 41, 72, 117, 349, 376, 407, 469, 676})
    EXPECT_TRUE(is_error_of_rows(of_rows)) << of_rows;
  // No table, no database, syntax, no right, memory, too many parts, time-out, read-only.
  for (const int other : {60, 81, 62, 497, 516, 241, 252, 159, 242, 89, 0})
    EXPECT_FALSE(is_error_of_rows(other)) << other;
}

}  // namespace
}  // namespace flowmeter
