// SPDX-License-Identifier: BSD-3-Clause
#include "output/csv.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

#include "api/embedded_host.h"
#include "features/columns_82.h"
#include "flows/replay.h"
#include "output/file_sink.h"
#include "support/capture_writer.h"
#include "support/file_size_limit.h"
#include "support/replay_rows.h"

namespace flowmeter {
namespace {

using testing::FileSizeLimit;
using testing::ipv4;
using testing::ipv6;
using testing::read_file;
using testing::TemporaryFile;

std::vector<Column> all_columns() {
  const FeatureSet set = columns_82();
  return {set.begin(), set.end()};
}

Result<std::unique_ptr<FileSink>> open_csv(const std::string& path, std::vector<Column> columns) {
  static EmbeddedHost host;
  return FileSink::open(path, std::make_unique<CsvFormat>(std::move(columns)), host);
}

std::string contents(const std::string& path) {
  const auto bytes = read_file(path);
  return {bytes.begin(), bytes.end()};
}

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> all;
  std::istringstream in(line);
  for (std::string cell; std::getline(in, cell, ',');) all.push_back(cell);
  return all;
}

// Gives the sink one row per frame: each is a flow of its own.
void write_flows(RecordSink& sink, unsigned count) {
  Replay replay(fm_default_settings(), {count + 1, 1}, sink);
  for (unsigned i = 0; i < count; i++) {
    const testing::Frame f =
        ipv4("10.0.0.1", "10.0.0.2")
            .udp(static_cast<uint16_t>(i / 60000 + 1), static_cast<uint16_t>(i % 60000 + 1))
            .payload(1);
    replay.add({i, 0, f.bytes.data(), static_cast<uint32_t>(f.bytes.size()), f.wire_length, 1});
  }
  replay.finish();
}

TEST(Csv, HeaderWithoutAnyFlow) {
  TemporaryFile file;
  auto sink = open_csv(file.path(), all_columns());
  ASSERT_TRUE(sink);
  ASSERT_TRUE((*sink)->flush());
  const std::string text = contents(file.path());
  ASSERT_FALSE(text.empty());
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(text.find('\r'), std::string::npos);
  ASSERT_EQ(lines(text).size(), 1u);
  EXPECT_EQ(cells(lines(text)[0]), testing::column_names());
  EXPECT_EQ((*sink)->rows_written(), 0u);
}

TEST(Csv, TheColumnsGivenInTheOrderGiven) {
  TemporaryFile file;
  const auto all = all_columns();
  const std::vector<Column> some = {all[11], all[0], all[4]};
  auto sink = open_csv(file.path(), some);
  ASSERT_TRUE(sink);
  write_flows(**sink, 1);
  ASSERT_TRUE((*sink)->flush());
  EXPECT_EQ(contents(file.path()), "tot_fwd_pkts,src_ip,protocol\n1,10.0.0.1,17\n");
  EXPECT_EQ((*sink)->rows_written(), 1u);
}

TEST(Csv, StyleOfNamesAndReals) {
  using Record = const FlowRecord&;
  const Column third{"Third/s", QuantityOf{Unit::kPerSecond, "", [](Record) { return 1.0 / 3; }}};
  const Column most{"MOST",
                    QuantityOf{Unit::kNone, "", [](Record) { return 1.7976931348623157e308; }}};
  const Column count{"COUNT", QuantityOf{Unit::kPackets, "", [](Record) { return 20u; }}};
  const Column time{
      "Time", QuantityOf{Unit::kSeconds, "", [](Record) { return Nanoseconds{20'000'000'000}; }}};
  struct {
    RowStyle style;
    const char* text;
  } const rows[] = {
      {{}, "Third/s,COUNT,Time\n0.3333333333333333,20,20\n"},
      {{{}, 0, false}, "Third/s,COUNT,Time\n0,20,20\n"},
      {{{}, 3, true}, "third/s,count,time\n0.333,20,20.000\n"},
      {{"", {}, false}, "Third/s,COUNT,Time,label\n0.3333333333333333,20,20,\n"},
      {{"a b", 1, false}, "Third/s,COUNT,Time,label\n0.3,20,20.0,a b\n"},
      {{"a,b", 1, true}, "third/s,count,time,label\n0.3,20,20.0,\"a,b\"\n"},
      {{"\"", 1, true}, "third/s,count,time,label\n0.3,20,20.0,\"\"\"\"\n"},
  };
  const fm_flow_key key{};
  const fm_flow flow{};
  const FlowRecord record{key, flow, {}, FM_END_INPUT};
  const auto text_of = [&record](const CsvFormat& format) {
    std::string text(format.bound(), '\0');
    char* const end = format.put_row(text.data(), record);
    EXPECT_LE(static_cast<size_t>(end - text.data()), format.bound());
    text.resize(static_cast<size_t>(end - text.data()));
    return format.header() + text;
  };
  for (const auto& row : rows)
    EXPECT_EQ(text_of(CsvFormat({third, count, time}, row.style)), row.text);
  // Without room for the decimals it is written in another form.
  EXPECT_EQ(text_of(CsvFormat({most}, {{}, 64, false})), "MOST\n1.7976931348623157e+308\n");
}

TEST(Csv, RowsAreTheCellsOfTheColumns) {
  const std::vector<testing::TimedFrame> frames = {
      ipv4("10.0.0.1", "10.0.0.2").icmp(8, 0, 1).at(0.25),
      ipv6("2001:db8::1", "::ffff:1.2.3.4").tcp(1, 2, FM_SYN).at(3),
      ipv4("10.0.0.2", "10.0.0.1").icmp(0, 0, 1).at(1),
  };
  TemporaryFile capture(testing::pcap(frames, {true, false})), file;
  auto sink = open_csv(file.path(), all_columns());
  ASSERT_TRUE(sink);
  auto reader = CaptureReader::open(capture.path());
  ASSERT_TRUE(reader);
  Replay replay(fm_default_settings(), {10, 10}, **sink);
  for (CapturedFrame f; reader->next(&f);) replay.add(f);
  replay.finish();
  ASSERT_TRUE((*sink)->flush());
  const auto rows = testing::replay(frames).rows;
  const auto text = lines(contents(file.path()));
  ASSERT_EQ(text.size(), 3u);
  EXPECT_EQ(cells(text[1]), rows[0].cells());
  EXPECT_EQ(cells(text[2]), rows[1].cells());
  EXPECT_NE(text[1].find(",-1,-1,1,1970-01-01 00:00:00.250000,0.75,"), std::string::npos)
      << text[1];
}

TEST(Csv, ManyRowsThroughTheBuffer) {
  TemporaryFile file;
  auto sink = open_csv(file.path(), all_columns());
  ASSERT_TRUE(sink);
  write_flows(**sink, 5000);  // several times the buffer
  ASSERT_TRUE((*sink)->flush());
  const auto all = lines(contents(file.path()));
  ASSERT_EQ(all.size(), 5001u);
  for (size_t i = 1; i < all.size(); i++) {
    const auto row = cells(all[i]);
    ASSERT_EQ(row.size(), 82u);
    ASSERT_EQ(row[3], std::to_string(i));
  }
  EXPECT_EQ((*sink)->rows_written(), 5000u);
}

TEST(Csv, TruncatesWhatWasThere) {
  TemporaryFile file(std::vector<uint8_t>(100000, 'x'));
  {
    auto sink = open_csv(file.path(), {all_columns()[0]});
    ASSERT_TRUE(sink);
    ASSERT_TRUE((*sink)->flush());
  }
  EXPECT_EQ(contents(file.path()), "src_ip\n");
}

TEST(Csv, CannotOpen) {
  const auto sink = open_csv("/nonexistent/directory/out.csv", all_columns());
  ASSERT_FALSE(sink);
  EXPECT_EQ(sink.error().os_error, ENOENT);
  EXPECT_NE(sink.error().message().find("/nonexistent/directory/out.csv"), std::string::npos);
}

TEST(Csv, FullDevice) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  auto sink = open_csv("/dev/full", all_columns());
  ASSERT_TRUE(sink) << "opening writes nothing yet";
  write_flows(**sink, 3);
  const Status status = (*sink)->flush();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().os_error, ENOSPC);
  const std::string message = status.error().message();
  EXPECT_NE(message.find("/dev/full"), std::string::npos) << message;
  EXPECT_NE(message.find("0 rows are in it, 3 are lost"), std::string::npos) << message;
  EXPECT_NE(message.find("No space left"), std::string::npos) << message;
  EXPECT_EQ((*sink)->rows_written(), 0u);
}

TEST(Csv, FullDeviceWithoutAnyRow) {
  if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full here";
  auto sink = open_csv("/dev/full", all_columns());
  ASSERT_TRUE(sink);
  EXPECT_FALSE((*sink)->flush()) << "the header row is lost";
}

// Checks the file and the message after the disk was full in the middle of a row.
void expect_whole_rows(rlim_t limit, unsigned rows, bool flush_header_first) {
  SCOPED_TRACE(::testing::Message() << "limit " << limit << ", " << rows << " rows");
  TemporaryFile file;
  auto sink = open_csv(file.path(), all_columns());
  ASSERT_TRUE(sink);
  if (flush_header_first) {
    ASSERT_TRUE((*sink)->flush());
  }
  Status status = Done{};
  {
    FileSizeLimit full(limit);
    write_flows(**sink, rows);
    status = (*sink)->flush();
  }
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().os_error, EFBIG);
  const std::string text = contents(file.path());
  ASSERT_FALSE(text.empty());
  EXPECT_EQ(text.back(), '\n') << "the part of a row is taken back";
  EXPECT_LE(text.size(), limit);
  const size_t in_file = lines(text).size() - 1;
  EXPECT_LT(in_file, rows);
  EXPECT_EQ((*sink)->rows_written(), in_file);
  const std::string expected =
      std::to_string(in_file) + " rows are in it, " + std::to_string(rows - in_file) + " are lost";
  EXPECT_NE(status.error().message().find(expected), std::string::npos)
      << status.error().message() << "\nexpected: " << expected;
}

TEST(Csv, PartOfARowIsTakenBack) {
  expect_whole_rows(5000, 100, true);
  expect_whole_rows(300001, 5000, true);  // in a later write of the buffer
}

// The header is not counted as a row.
TEST(Csv, PartOfARowIsTakenBackInTheWriteOfTheHeader) {
  expect_whole_rows(5000, 100, false);
}

TEST(Csv, NothingIsWrittenAfterAnError) {
  TemporaryFile file;
  auto sink = open_csv(file.path(), all_columns());
  ASSERT_TRUE(sink);
  ASSERT_TRUE((*sink)->flush());
  {
    FileSizeLimit full(5000);
    write_flows(**sink, 100);
    ASSERT_FALSE((*sink)->flush());
  }
  const std::string before = contents(file.path());
  write_flows(**sink, 5);  // there is room again
  EXPECT_FALSE((*sink)->flush());
  EXPECT_EQ(contents(file.path()), before) << "a hole in the rows";
}

TEST(Csv, ClosedPipe) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const auto old = ::signal(SIGPIPE, SIG_IGN);
  auto sink = open_csv("/proc/self/fd/" + std::to_string(ends[1]), all_columns());
  ::close(ends[0]);
  ::close(ends[1]);
  ASSERT_TRUE(sink);
  write_flows(**sink, 2);
  const Status status = (*sink)->flush();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().os_error, EPIPE);
  ::signal(SIGPIPE, old);
}

}  // namespace
}  // namespace flowmeter
