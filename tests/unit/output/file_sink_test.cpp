// SPDX-License-Identifier: BSD-3-Clause
// A file that accepts nothing for a while, that another run writes, or that earlier runs have
// written: which rows it has in the end, and what the user is told.
#include "output/file_sink.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "api/embedded_host.h"
#include "output/json.h"
#include "support/capture_writer.h"
#include "support/file_size_limit.h"
#include "support/numbered_rows.h"

namespace flowmeter {
namespace {

using testing::FileSizeLimit;
using testing::NumberedRows;
using testing::TemporaryFile;

std::string contents(const std::string& path) {
  const auto bytes = testing::read_file(path);
  return {bytes.begin(), bytes.end()};
}

constexpr auto& kHeader = NumberedRows::kHeader;

struct Written {
  TemporaryFile file;
  EmbeddedHost host;
  std::unique_ptr<FileSink> sink;

  // first: the number of the first row.
  Status open(const FileSink::Options& options, unsigned first = 0) {
    sink.reset();
    auto opened = FileSink::open(file.path(), std::make_unique<NumberedRows>(first), host, options);
    if (!opened) return opened.error();
    sink = std::move(*opened);
    return Done{};
  }
  void write(unsigned rows) {
    static const fm_flow_key key{};
    static const fm_flow flow{};
    for (unsigned i = 0; i < rows; i++) sink->write({key, flow, {}, FM_END_INPUT});
  }
  std::string account() const {
    const std::string text = sink->accounts().at(0).text();
    return text.substr(text.find("rows="));
  }
  void fill(const std::string& text) const {
    FILE* const out = std::fopen(file.path().c_str(), "w");
    std::fwrite(text.data(), 1, text.size(), out);
    std::fclose(out);
  }
  // The text of the only line of this level.
  std::string only_line(const std::string& level) {
    std::string text;
    for (const LogLine& line : host.take_lines()) {
      if (line.level != level) continue;
      EXPECT_EQ(text, "") << "told once: " << line.text;
      text = line.text;
    }
    return text;
  }
  fm_output_position position() const {
    std::vector<fm_output_position> all;
    sink->positions(all);
    EXPECT_EQ(all.size(), 1u);
    return all.at(0);
  }
};

FileSink::Options waiting(size_t most) {
  FileSink::Options options;
  options.buffer_bytes = 300;
  options.most_waiting = most;
  return options;
}

FileSink::Options committing() {
  FileSink::Options options = waiting(1000);
  options.commits = options.appends = true;
  return options;
}

template <typename Condition>
void wait_for(Condition condition) {
  for (int i = 0; i < 10'000 && !condition(); i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ASSERT_TRUE(condition());
}

TEST(FileSink, GoesOnAtItsByteWhenTheDiskHasSpaceAgain) {
  Written out;
  ASSERT_TRUE(out.open(waiting(10'000)));
  {
    const FileSizeLimit full(250);
    out.write(10);
    ASSERT_TRUE(out.sink->flush()) << "it is not final";
    EXPECT_EQ(contents(out.file.path()), (kHeader + NumberedRows::rows(0, 10)).substr(0, 250));
    EXPECT_EQ(out.account(), "rows=10 written=2 waiting=8 dropped=0");
    for (int i = 0; i < 300; i++) {
      ASSERT_TRUE(out.sink->flush());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_NE(out.only_line("warning").find("File too large; trying again"), std::string::npos);
  }
  out.write(5);
  wait_for([&] {
    EXPECT_TRUE(out.sink->flush());
    return out.account() == "rows=15 written=15 waiting=0 dropped=0";
  });
  EXPECT_EQ(contents(out.file.path()), kHeader + NumberedRows::rows(0, 15));
  EXPECT_NE(out.only_line("info").find("writes again after"), std::string::npos);
  EXPECT_TRUE(out.sink->finish());
}

TEST(FileSink, DropsWhatMayNotWaitAndSaysSo) {
  Written out;
  ASSERT_TRUE(out.open(waiting(1000)));
  {
    const FileSizeLimit full(250);
    out.write(30);
    ASSERT_TRUE(out.sink->flush());
  }
  // Two rows and a half are in the file, and these waited.
  wait_for([&] {
    EXPECT_TRUE(out.sink->flush());
    return out.account().find("waiting=0") != std::string::npos;
  });
  out.write(1);
  const Status finished = out.sink->finish();
  const std::string text = contents(out.file.path());
  const auto rows = static_cast<unsigned>((text.size() - 7) / 100) - 1;
  EXPECT_GE(rows, 10u);
  EXPECT_LE(rows, 13u);
  EXPECT_EQ(text, kHeader + NumberedRows::rows(0, rows) + NumberedRows::row(30));
  ASSERT_FALSE(finished);
  EXPECT_NE(finished.error().message().find(std::to_string(30 - rows) + " rows were dropped"),
            std::string::npos)
      << finished.error().message();
}

TEST(FileSink, GivesUpAtTheEnd) {
  Written out;
  FileSink::Options options = waiting(10'000);
  options.patience = RowQueue::seconds(0.2);
  ASSERT_TRUE(out.open(options));
  const FileSizeLimit full(250);
  out.write(10);
  const auto begin = RowQueue::now();
  const Status finished = out.sink->finish();
  EXPECT_GE(RowQueue::now() - begin, RowQueue::seconds(0.2));
  ASSERT_FALSE(finished);
  EXPECT_NE(finished.error().message().find("2 rows are in it, 8 are lost"), std::string::npos);
  EXPECT_EQ(contents(out.file.path()), kHeader + NumberedRows::rows(0, 2)) << "only whole rows";
  EXPECT_EQ(out.account(), "rows=10 written=2 waiting=0 dropped=8");
}

TEST(FileSink, CommittedRowsLeaveByFlushOnly) {
  Written out;
  ASSERT_TRUE(out.open(committing()));
  ASSERT_TRUE(out.sink->resume({}));
  out.write(5);
  EXPECT_EQ(contents(out.file.path()), "") << "though the buffer was full";
  EXPECT_FALSE(out.sink->full());
  ASSERT_TRUE(out.sink->flush());
  EXPECT_TRUE(out.sink->safe());
  EXPECT_EQ(out.position().bytes, 507u);
  out.write(20);
  EXPECT_TRUE(out.sink->full());
  {
    const FileSizeLimit full(600);
    ASSERT_TRUE(out.sink->flush());
    EXPECT_FALSE(out.sink->safe());
    out.write(10);
    ASSERT_TRUE(out.sink->retry()) << "these wait for the commit of the others";
  }
  wait_for([&] {
    if (!out.sink->safe()) (void)!out.sink->retry();
    return out.sink->safe();
  });
  EXPECT_EQ(contents(out.file.path()), kHeader + NumberedRows::rows(0, 25));
  EXPECT_EQ(out.position().bytes, 2507u);
  EXPECT_TRUE(out.sink->finish());
  EXPECT_EQ(contents(out.file.path()), kHeader + NumberedRows::rows(0, 35));
}

TEST(FileSink, AppendsAfterTheCommit) {
  Written out;
  ASSERT_TRUE(out.open(committing()));
  ASSERT_TRUE(out.sink->flush());
  out.write(3);
  ASSERT_TRUE(out.sink->flush());
  const fm_output_position committed = out.position();
  const struct {
    const char* what;
    std::string left;  // in the file, by the killed run
    std::vector<fm_output_position> positions;
    unsigned kept;  // rows
    std::string told, cut;
  } rows[] = {
      {"nothing more", NumberedRows::rows(0, 3), {committed}, 3, "3 rows there", ""},
      {"a batch without its commit",
       NumberedRows::rows(0, 5) + "5..",
       {committed},
       3,
       "5 rows there",
       "cut 203 bytes at its end (2 rows"},
      {"only a part of a row",
       NumberedRows::rows(0, 4) + "4..",
       {},
       4,
       "4 rows there",
       "cut 3 bytes at its end (an incomplete row)"},
      {"a commit of another file",
       NumberedRows::rows(0, 4),
       {{1, 2, 3}},
       4,
       "is not the file that the killed run has written",
       ""},
      {"fewer than committed",
       NumberedRows::rows(0, 2),
       {{1, 2, 3}, committed},
       2,
       "shorter than at the last commit",
       ""},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    out.sink.reset();
    out.fill(kHeader + row.left);
    out.host.take_lines();
    ASSERT_TRUE(out.open(committing(), row.kept));
    EXPECT_EQ(contents(out.file.path()), kHeader + row.left) << "nothing is changed before";
    ASSERT_TRUE(out.sink->resume({0, row.positions}));
    std::string said;
    for (const LogLine& line : out.host.take_lines()) said += line.text + "\n";
    EXPECT_NE(said.find(row.told), std::string::npos) << said;
    EXPECT_EQ(said.find("cut") != std::string::npos, !row.cut.empty()) << said;
    EXPECT_NE(said.find(row.cut), std::string::npos) << said;
    out.write(2);
    ASSERT_TRUE(out.sink->flush());
    EXPECT_EQ(contents(out.file.path()), kHeader + NumberedRows::rows(0, row.kept + 2));
  }
}

TEST(FileSink, WhatOthersAddAfterAnEndStays) {
  Written out;
  ASSERT_TRUE(out.open(committing()));
  out.write(2);
  ASSERT_TRUE(out.sink->flush());
  std::vector<fm_output_position> committed;
  out.sink->positions(committed);
  out.sink.reset();
  out.fill(kHeader + NumberedRows::rows(0, 5));
  ASSERT_TRUE(out.open(committing(), 5));
  ASSERT_TRUE(out.sink->resume({0, committed, /*ended=*/true}));
  EXPECT_EQ(contents(out.file.path()), kHeader + NumberedRows::rows(0, 5));
}

TEST(FileSink, OnlyItsOwnRowsAreContinued) {
  for (const char* text : {"x\n", "numbers\n1\n", "number", "num", ""}) {
    SCOPED_TRACE(text);
    const bool own = std::string_view("number").starts_with(text);
    Written out;
    out.fill(text);
    const Status opened = out.open(committing());
    ASSERT_EQ(static_cast<bool>(opened), own);
    EXPECT_EQ(contents(out.file.path()), text);
    if (!own) {
      EXPECT_NE(opened.error().message().find(out.file.path()), std::string::npos);
      EXPECT_NE(opened.error().message().find("--overwrite"), std::string::npos);
      FileSink::Options replacing = committing();
      replacing.appends = false;
      ASSERT_TRUE(out.open(replacing));
      ASSERT_TRUE(out.sink->resume({}));
    }
    out.write(1);
    ASSERT_TRUE(out.sink->flush());
    EXPECT_EQ(contents(out.file.path()), kHeader + NumberedRows::row(0))
        << "the header is complete";
  }
}

TEST(FileSink, OneRunWritesAFile) {
  Written out;
  ASSERT_TRUE(out.open({}));
  const std::string other = out.file.path() + "-link";
  ASSERT_EQ(::link(out.file.path().c_str(), other.c_str()), 0);
  auto second = FileSink::open(other, std::make_unique<NumberedRows>(), out.host);
  ASSERT_FALSE(second) << "another name does not help";
  EXPECT_NE(second.error().message().find(other + " is being written by this process"),
            std::string::npos)
      << second.error().message();
  out.sink.reset();
  EXPECT_TRUE(FileSink::open(other, std::make_unique<NumberedRows>(), out.host));
  ::unlink(other.c_str());
}

TEST(JsonFormat, RecognizesItsRows) {
  using Record = const FlowRecord&;
  const Column text{"a", QuantityOf{Unit::kNone, "", [](Record) { return 1u; }}};
  const Column number{"b\"", QuantityOf{Unit::kNone, "", [](Record) { return 2u; }}};
  RowStyle labelled;
  labelled.label = "x";
  const JsonFormat format({text, number}), with_label({text, number}, labelled);
  const std::string row = R"({"a":"1\",\"}","b\"":null})";
  for (size_t cut = 0; cut <= row.size(); cut++)
    EXPECT_TRUE(format.recognizes(row.substr(0, cut))) << cut;
  EXPECT_TRUE(format.recognizes(row + "\nwhatever follows\n"));
  EXPECT_FALSE(with_label.recognizes(row + "\n"));
  EXPECT_TRUE(with_label.recognizes(R"({"a":1,"b\"":2,"label":"another"})"));
  for (const char* other : {"x", "\n", "[", "{\n", "{\"a\":1}\n", "{\"a\":1\n", "{\"b\\\"\":1}\n",
                            R"({"a":1,"b\"":2,"c":3})", R"({"a":1,"c":3})", "a,b\n1,2\n"})
    EXPECT_FALSE(format.recognizes(other)) << other;
}

}  // namespace
}  // namespace flowmeter
