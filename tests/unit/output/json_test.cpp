// SPDX-License-Identifier: BSD-3-Clause
#include "output/json.h"

#include <gtest/gtest.h>

#include "api/embedded_host.h"
#include "features/feature_sets.h"
#include "features/select.h"
#include "flows/replay.h"
#include "output/file_sink.h"
#include "support/capture_writer.h"
#include "support/replay_rows.h"

namespace flowmeter {
namespace {

TEST(Json, CellsByKind) {
  using Record = const FlowRecord&;
  QuantityOf empty{Unit::kText, "", [](Record) { return std::string_view(); }};
  Quantity unknown = empty;
  unknown.type = ColumnType::kInteger;
  Quantity digits =
      QuantityOf{Unit::kNone, "", [](Record) { return std::string_view("18446744073709551615"); }};
  digits.type = ColumnType::kInteger;
  const std::vector<Column> columns = {
      {"most", QuantityOf{Unit::kPackets, "", [](Record) { return ~uint64_t{0} - 1; }}},
      {"none", QuantityOf{Unit::kNone, "", [](Record) { return Cell::not_applicable(); }}},
      {"real", QuantityOf{Unit::kBytes, "", [](Record) { return 6e-6; }}},
      {"time", QuantityOf{Unit::kSeconds, "", [](Record) { return Nanoseconds{1500000000}; }}},
      {"no text", empty},
      {"unknown", unknown},
      {"digits", digits},
  };
  testing::TemporaryFile file;
  EmbeddedHost host;
  auto sink = FileSink::open(file.path(), std::make_unique<JsonFormat>(columns), host);
  ASSERT_TRUE(sink);
  Replay replay(fm_default_settings(), {10, 10}, **sink);
  const testing::Frame f = testing::ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload(1);
  replay.add({1, 0, f.bytes.data(), static_cast<uint32_t>(f.bytes.size()), f.wire_length, 1});
  replay.finish();
  ASSERT_TRUE((*sink)->flush());
  const auto bytes = testing::read_file(file.path());
  EXPECT_EQ(std::string(bytes.begin(), bytes.end()),
            "{\"most\":18446744073709551614,\"none\":-1,\"real\":6e-06,\"time\":1.5,"
            "\"no text\":\"\",\"unknown\":null,\"digits\":18446744073709551615}\n");
}

TEST(Json, TimesAreIsoUnlessTheStyleSaysOtherwise) {
  using enum TimeFormat;
  fm_flow flow{};
  flow.counters.first_ns = 123'456'789;
  const FlowRecord record{fm_flow_key{}, flow, {1'704'164'645, 0}, FM_END_INPUT};
  const struct {
    std::optional<TimeFormat> format;
    std::string cell;
  } rows[] = {{{}, "\"2024-01-02T03:04:05.123456Z\""},
              {kIso, "\"2024-01-02T03:04:05.123456Z\""},
              {kPython, "\"2024-01-02 03:04:05.123456\""},
              {kEpoch, "1704164645.123456"},
              {kEpochMicroseconds, "1704164645123456"}};
  for (const auto& [time_format, cell] : rows) {
    RowStyle style;
    style.time_format = time_format;
    auto columns = select_columns(find_feature_set("cic82")->columns, "timestamp,src_port", {}, "");
    ASSERT_TRUE(columns);
    const JsonFormat format(*columns, style);
    std::string text(format.bound(), '\0');
    text.resize(static_cast<size_t>(format.put_row(text.data(), record) - text.data()));
    EXPECT_EQ(text, "{\"timestamp\":" + cell + ",\"src_port\":0}\n");
  }
}

}  // namespace
}  // namespace flowmeter
