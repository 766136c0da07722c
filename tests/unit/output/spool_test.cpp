// SPDX-License-Identifier: BSD-3-Clause
#include "output/spool.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "output/row_text.h"

namespace flowmeter {
namespace {

class SpoolTest : public ::testing::Test {
 protected:
  SpoolTest() {
    std::string name = ::testing::TempDir() + "spool-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~SpoolTest() override { std::filesystem::remove_all(directory_); }

  std::unique_ptr<Spool> open(uint64_t limit = 1 << 20) {
    auto spool = Spool::open(directory_, {.limit_bytes = limit});
    EXPECT_TRUE(spool) << spool.error().message();
    return std::move(*spool);
  }
  static std::string first(const Spool& spool) {
    size_t offset = 0;
    auto text = spool.first(&offset);
    return text ? text->substr(offset) : "none";
  }

  // How many rows were set aside.
  static uint64_t keep_refused(Spool& spool, const std::string& rows, const std::string& words) {
    std::string error;
    const uint64_t kept = spool.keep_refused(rows, words, &error);
    EXPECT_EQ(error.empty(), kept == count_rows(rows)) << error;
    return kept;
  }

  std::string directory_;
};

TEST_F(SpoolTest, GivesBackInOrder) {
  const auto spool = open();
  ASSERT_TRUE(spool->keep("1\n2\n"));
  ASSERT_TRUE(spool->keep("3\n4\n"));
  EXPECT_EQ(spool->rows(), 4u);
  EXPECT_EQ(first(*spool), "1\n2\n");
  ASSERT_TRUE(spool->acknowledge(4, 2));
  EXPECT_EQ(first(*spool), "3\n4\n");
  ASSERT_TRUE(spool->acknowledge(4, 2));
  EXPECT_TRUE(spool->empty());
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(SpoolTest, ANewRunGoesOnWhereTheLastAnswerCame) {
  {
    const auto spool = open();
    ASSERT_TRUE(spool->keep("1\n2\n3\n"));
    ASSERT_TRUE(spool->acknowledge(2, 1));
  }
  const auto spool = open();
  EXPECT_EQ(spool->rows(), 2u);
  EXPECT_EQ(first(*spool), "2\n3\n");
  ASSERT_TRUE(spool->keep("4\n"));
  EXPECT_EQ(first(*spool), "2\n3\n") << "new rows come after them";
  ASSERT_TRUE(spool->acknowledge(6, 2));
  EXPECT_EQ(first(*spool), "4\n");
}

TEST_F(SpoolTest, WhatIsMadeAgainIsCut) {
  fm_output_position committed{};
  {
    const auto spool = open();
    ASSERT_TRUE(spool->keep("1\n"));
    ASSERT_TRUE(spool->keep("2\n"));
    committed = spool->end();
    ASSERT_TRUE(spool->keep("3\n4\n"));
    ASSERT_TRUE(spool->acknowledge(2, 1));
    ASSERT_TRUE(spool->keep("5\n"));
  }
  const auto spool = open();
  const fm_output_position others[] = {{1, 2, 1}, {}};
  EXPECT_EQ(*spool->resume({0, others}), 0u);
  EXPECT_EQ(spool->rows(), 4u);
  const fm_output_position ends[] = {{1, 2, 1}, committed, {}};
  EXPECT_EQ(*spool->resume({0, ends}), 3u);
  EXPECT_EQ(spool->rows(), 1u);
  ASSERT_TRUE(spool->keep("3\n"));
  EXPECT_EQ(first(*spool), "2\n");
  ASSERT_TRUE(spool->acknowledge(2, 1));
  EXPECT_EQ(first(*spool), "3\n");
}

TEST_F(SpoolTest, WhatOthersHaveStoredStays) {
  fm_output_position committed{};
  {
    const auto spool = open();
    ASSERT_TRUE(spool->resume({7, {}}));
    ASSERT_TRUE(spool->keep("1\n"));
    committed = spool->end();
    ASSERT_TRUE(spool->keep("2\n"));
  }
  ASSERT_TRUE(open()->keep("others\n"));
  const auto spool = open();
  EXPECT_EQ(*spool->resume({7, {&committed, 1}}), 1u);
  EXPECT_EQ(first(*spool), "1\n");
  ASSERT_TRUE(spool->acknowledge(2, 1));
  EXPECT_EQ(first(*spool), "others\n");
  ASSERT_TRUE(spool->acknowledge(3, 0));
  ASSERT_TRUE(spool->acknowledge(7, 1));
  EXPECT_TRUE(spool->empty());
}

// A later commit must not be that of files that a new run would number from the start.
TEST_F(SpoolTest, NumbersGoOnAfterACut) {
  fm_output_position committed{};
  {
    const auto spool = open();
    for (int i = 0; i < 5; i++) {
      ASSERT_TRUE(spool->keep("1\n"));
      ASSERT_TRUE(spool->acknowledge(2, 1));
    }
    committed = spool->end();
  }
  const auto spool = open();
  EXPECT_EQ(*spool->resume({0, {&committed, 1}}), 0u);
  EXPECT_EQ(spool->end().bytes, committed.bytes);
}

TEST_F(SpoolTest, IsBounded) {
  const auto spool = open(10);
  ASSERT_TRUE(spool->keep("123456\n"));
  EXPECT_FALSE(spool->keep("789\n"));
  EXPECT_NE(spool->error().find("--spool-limit"), std::string::npos) << spool->error();
  EXPECT_EQ(spool->rows(), 1u);
  ASSERT_TRUE(spool->acknowledge(7, 1));
  EXPECT_EQ(spool->keep("789\n"), 4u) << "there is room again";
  EXPECT_EQ(spool->keep("abc\nd\nef\n"), 6u) << "whole rows up to the limit";
  EXPECT_EQ(spool->rows(), 3u);
}

TEST_F(SpoolTest, WhatWasNeverCompleteIsNotSent) {
  std::ofstream(directory_ + "/000000000001-0.ndjson.part") << "{\"half";
  std::ofstream(directory_ + "/notes.txt") << "somebody's";
  const auto spool = open();
  EXPECT_TRUE(spool->empty());
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/000000000001-0.ndjson.part"));
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/notes.txt"));
}

TEST_F(SpoolTest, OneAtATime) {
  const auto spool = open();
  const auto second = Spool::open(directory_, {.limit_bytes = 10});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message().find("in use"), std::string::npos);
}

TEST_F(SpoolTest, IsForItsOwner) {
  const std::string inner = directory_ + "/inner";
  auto spool = Spool::open(inner, {.limit_bytes = 1 << 20});
  ASSERT_TRUE(spool);
  ASSERT_TRUE((*spool)->keep("1\n"));
  struct stat status {};
  ASSERT_EQ(::stat(inner.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  ASSERT_EQ(::stat((inner + "/000000000001-0.ndjson").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0077, 0u);
}

TEST_F(SpoolTest, WithoutSynchronisingFilesAreTheSame) {
  auto spool = Spool::open(directory_, {.limit_bytes = 1 << 20, .sync = Spool::Sync::kNone});
  ASSERT_TRUE(spool);
  ASSERT_TRUE((*spool)->keep("1\n"));
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/000000000001-0.ndjson"));
  spool->reset();
  EXPECT_EQ(first(*open()), "1\n");
}

TEST_F(SpoolTest, RowsThatCannotBeReadAreSetAside) {
  const auto spool = open();
  ASSERT_TRUE(spool->keep("1\n2\n"));
  ASSERT_TRUE(spool->keep("3\n"));
  std::filesystem::remove(directory_ + "/000000000001-0.ndjson");
  EXPECT_EQ(first(*spool), "none");
  spool->set_aside();
  EXPECT_EQ(spool->rows(), 1u);
  EXPECT_EQ(first(*spool), "3\n");
}

TEST_F(SpoolTest, RowsOfOthersAreNeitherTakenNorReplaced) {
  const std::string name = directory_ + "/000000000001-0.ndjson", precious = directory_ + "/p";
  std::ofstream(precious) << "precious";
  for (const auto& plant : {::symlink, ::link}) {
    ASSERT_EQ(plant(precious.c_str(), name.c_str()), 0);
    const auto spool = Spool::open(directory_, {.limit_bytes = 1 << 20});
    ASSERT_FALSE(spool);
    EXPECT_NE(spool.error().message().find(name), std::string::npos) << spool.error().message();
    EXPECT_NE(spool.error().message().find("remove it"), std::string::npos);
    std::filesystem::remove(name);
  }
  // A link where the next file would be written: it goes, and what it points to stays.
  ASSERT_EQ(::symlink(precious.c_str(), (name + ".part").c_str()), 0);
  {
    const auto spool = open();
    ASSERT_TRUE(spool->keep("1\n"));
    ASSERT_EQ(::symlink(precious.c_str(), (directory_ + "/000000000002-0.ndjson.part").c_str()), 0);
    EXPECT_FALSE(spool->keep("2\n"));
    EXPECT_NE(spool->error().find("File exists"), std::string::npos) << spool->error();
  }
  EXPECT_EQ(std::filesystem::file_size(precious), 8u);
  ASSERT_EQ(::chmod(directory_.c_str(), 0770), 0);
  const auto shared = Spool::open(directory_, {.limit_bytes = 1 << 20});
  ASSERT_FALSE(shared);
  EXPECT_NE(shared.error().message().find("chmod go-w " + directory_), std::string::npos);
}

std::string content(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST_F(SpoolTest, KeepsRefusedRowsForPeople) {
  {
    const auto spool = open();
    EXPECT_EQ(keep_refused(*spool, "{\"a\":1}\n{\"a\":2}\n", "HTTP 400: \"no\""), 2u);
    EXPECT_EQ(keep_refused(*spool, "1.2.3.4,\"x\"\n", "HTTP 400"), 1u);
    EXPECT_TRUE(spool->empty());
  }
  const auto spool = open();
  EXPECT_TRUE(spool->empty()) << "they are not sent";
  EXPECT_EQ(keep_refused(*spool, "{}\n", "HTTP 422"), 1u);
  EXPECT_EQ(content(spool->refused_path()),
            "{\"answer\":\"HTTP 400: \\\"no\\\"\",\"row\":{\"a\":1}}\n"
            "{\"answer\":\"HTTP 400: \\\"no\\\"\",\"row\":{\"a\":2}}\n"
            "{\"answer\":\"HTTP 400\",\"row\":\"1.2.3.4,\\\"x\\\"\"}\n"
            "{\"answer\":\"HTTP 422\",\"row\":{}}\n");
  struct stat status {};
  ASSERT_EQ(::stat(spool->refused_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(SpoolTest, RefusedRowsAreWholeAlsoOnAFullDisk) {
  const auto spool = open();
  ASSERT_EQ(keep_refused(*spool, "{}\n", "no"), 1u);
  const auto one = std::filesystem::file_size(spool->refused_path());
  const auto before = std::signal(SIGXFSZ, SIG_IGN);
  rlimit all{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &all), 0);
  const rlimit some = {2 * one + one / 2, all.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &some), 0);
  EXPECT_EQ(keep_refused(*spool, "{}\n{}\n{}\n", "no"), 1u);
  EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &all), 0);
  std::signal(SIGXFSZ, before);
  EXPECT_EQ(std::filesystem::file_size(spool->refused_path()), 2 * one);
  ASSERT_EQ(keep_refused(*spool, "{}\n", "no"), 1u);
  const std::string object = "{\"answer\":\"no\",\"row\":{}}\n";
  EXPECT_EQ(content(spool->refused_path()), object + object + object);
}

TEST_F(SpoolTest, RefusedRowsTakeAQuarterAtMost) {
  const std::string row = std::string(60, 'x') + '\n';
  for (int run = 0; run < 2; run++) {
    const auto spool = open(1000);
    EXPECT_EQ(keep_refused(*spool, row + row + row, "HTTP 400"), run == 0 ? 2u : 0u) << "what fits";
  }
  const uintmax_t used = std::filesystem::file_size(directory_ + "/refused.ndjson");
  const auto spool = open(1000);
  std::string many;
  for (int i = 0; i < 100; i++) many += "123456789\n";
  EXPECT_EQ(spool->keep(many), (1000 - used) / 10 * 10) << "of what is left";
}

TEST_F(SpoolTest, RefusedRowsOfAFullSpoolHaveRoom) {
  std::string rows;
  for (int i = 0; i < 20; i++) rows += std::string(99, '1') + '\n';
  const auto spool = open(4000);
  ASSERT_EQ(spool->keep(rows), 2000u);
  ASSERT_EQ(spool->keep(rows), 2000u);
  ASSERT_TRUE(spool->acknowledge(500, 5));
  EXPECT_EQ(keep_refused(*spool, rows.substr(500, 400), "HTTP 400"), 4u);
  ASSERT_TRUE(spool->acknowledge(900, 4));
}

}  // namespace
}  // namespace flowmeter
