// SPDX-License-Identifier: BSD-3-Clause
#include "features/instant.h"

#include <gtest/gtest.h>

#include <string>

#include "features/feature_sets.h"

namespace flowmeter {
namespace {

std::string text(const Cell& cell) {
  return std::string(cell.text());
}

TEST(Instant, TimeText) {
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

TEST(Instant, Formats) {
  using enum TimeFormat;
  const struct {
    const char* claim;
    TimeFormat format;
    unsigned decimals;
    ClockOrigin clock;
    uint64_t time_ns;
    const char* text;
  } rows[] = {
      {"as time_text", kPython, 6, {}, 1'700'000'000'250'000'999, "2023-11-14 22:13:20.250000"},
      {"always six decimals", kPython, 9, {}, 999'999'999, "1970-01-01 00:00:00.999999"},
      {"with its zone", kIso, 6, {}, 1'704'164'645'678'901'234, "2024-01-02T03:04:05.678901Z"},
      {"as precise as told",
       kIso,
       9,
       {},
       1'704'164'645'678'901'234,
       "2024-01-02T03:04:05.678901234Z"},
      {"1969", kIso, 6, {-1, 500'000'000}, 0, "1969-12-31T23:59:59.500000Z"},
      {"the last year", kIso, 6, {253'402'300'799, 0}, 999'999'999, "9999-12-31T23:59:59.999999Z"},
      {"no year 10000", kIso, 6, {253'402'300'799, 0}, 1'000'000'000, "253402300800.000000"},
      {"no year before 0", kIso, 6, {-62'167'219'201, 250'000'000}, 0, "-62167219200.750000"},
      {"seconds", kEpoch, 6, {}, 1'704'164'645'678'901'234, "1704164645.678901"},
      {"seconds, precise", kEpoch, 9, {}, 1'704'164'645'678'901'234, "1704164645.678901234"},
      {"before 1970", kEpoch, 9, {-1, 999'999'999}, 0, "-0.000000001"},
      {"towards the past", kEpoch, 6, {-1, 999'999'999}, 0, "-0.000001"},
      {"a whole second before 1970", kEpoch, 6, {-1, 0}, 0, "-1.000000"},
      {"the epoch", kEpoch, 6, {}, 0, "0.000000"},
      {"microseconds", kEpochMicroseconds, 9, {}, 1'704'164'645'678'901'999, "1704164645678901"},
      {"microseconds before 1970", kEpochMicroseconds, 6, {-1, 999'999'999}, 0, "-1"},
      {"far away", kEpochMicroseconds, 6, {INT64_MAX, 0}, 0, "9223372036854775807000000"},
      {"far before", kEpochMicroseconds, 6, {INT64_MIN, 0}, 0, "-9223372036854775808000000"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(text(instant_text(row.format, row.decimals, row.clock, row.time_ns)), row.text)
        << row.claim;
}

// Each set's own text, and the decimals of the others.
TEST(Instant, EveryTimeColumnHasEveryFormat) {
  using enum TimeFormat;
  fm_flow flow{};
  flow.counters.first_ns = 123'456'789;
  const FlowRecord record{fm_flow_key{}, flow, {1'704'164'645, 0}, FM_END_INPUT};
  unsigned found = 0;
  for (const NamedFeatureSet& set : feature_sets()) {
    for (const Column& column : set.columns) {
      if (column.type != ColumnType::kTime) continue;
      found++;
      const bool precise = set.name == "realtime97";
      const auto as = [&](TimeFormat format) { return text(column.getter_as(format)(record)); };
      EXPECT_EQ(text(column.get(record)), precise ? as(kEpoch) : as(kPython)) << set.name;
      EXPECT_EQ(as(kPython), "2024-01-02 03:04:05.123456") << set.name;
      EXPECT_EQ(as(kIso), std::string("2024-01-02T03:04:05.123456") + (precise ? "789Z" : "Z"));
      EXPECT_EQ(as(kEpoch), std::string("1704164645.123456") + (precise ? "789" : ""));
      EXPECT_EQ(as(kEpochMicroseconds), "1704164645123456");
    }
  }
  EXPECT_EQ(found, 3u);
}

}  // namespace
}  // namespace flowmeter
