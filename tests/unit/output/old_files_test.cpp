// SPDX-License-Identifier: BSD-3-Clause
// Which rotated files are removed. That a run does so is tested in
// tests/program/outputs/files_test.py.
#include "output/old_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "api/embedded_host.h"
#include "output/whole_file_names.h"

namespace flowmeter {
namespace {

TEST(Retention, Limits) {
  const struct {
    const char* text;
    uint64_t files, bytes;  // 0 and 0: not a limit
  } rows[] = {
      {"48", 48, 0},
      {"1", 1, 0},
      {"10GB", 0, 10'000'000'000},
      {"500MB", 0, 500'000'000},
      {"4KiB", 0, 4096},
      {"500KB", 0, 500'000},
      {"0", 0, 0},
      {"", 0, 0},
      {"-1", 0, 0},
      {"1h", 0, 0},
      {"48 ", 0, 0},
      {"1.5GB", 0, 0},
      {"10gb", 0, 0},
      {"99999999999", 0, 0},
  };
  for (const auto& row : rows) {
    auto retention = Retention::parse(row.text);
    EXPECT_EQ(static_cast<bool>(retention), row.files + row.bytes > 0) << row.text;
    if (!retention) continue;
    EXPECT_EQ(retention->files, row.files) << row.text;
    EXPECT_EQ(retention->bytes, row.bytes) << row.text;
  }
}

class OldFilesIn : public ::testing::Test {
 protected:
  using Names = std::vector<std::string>;

  OldFilesIn() {
    std::string name = ::testing::TempDir() + "old-files-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~OldFilesIn() override { std::filesystem::remove_all(directory_); }

  void make(const Names& names, size_t bytes = 10) {
    for (const std::string& name : names)
      std::ofstream(directory_ / name) << std::string(bytes, 'x');
  }

  void remove(const Retention& retention, const char* path = "flows.csv") {
    OldFiles(directory_ / path, retention, host_).remove();
  }

  Names left() const {
    Names all;
    for (const auto& entry : std::filesystem::directory_iterator(directory_))
      all.push_back(entry.path().filename());
    std::sort(all.begin(), all.end());
    return all;
  }

  std::filesystem::path directory_;
  EmbeddedHost host_;
};

const std::vector<std::string> kThree = {
    "flows-20260101T000000Z-000009.csv",
    "flows-20260101T000001Z-000001.csv",
    "flows-20260101T000001Z-000002.csv",
};

TEST_F(OldFilesIn, TheOldestGo) {
  make(kThree);
  remove({.files = 3});
  EXPECT_EQ(left(), kThree);
  remove({.files = 2});
  EXPECT_EQ(left(), Names({kThree[1], kThree[2]}));
}

TEST_F(OldFilesIn, BySize) {
  make(kThree, 100);
  remove({.bytes = 300});
  EXPECT_EQ(left(), kThree);
  remove({.bytes = 299});
  EXPECT_EQ(left(), Names({kThree[1], kThree[2]}));
  // Were it removed, there would be no rows at all.
  remove({.bytes = 1});
  EXPECT_EQ(left(), Names({kThree[2]}));
}

TEST_F(OldFilesIn, NothingElseGoes) {
  const Names others = {
      "flows-20260101T000000Z-000001.csv.0123456789abcdef.part",
      "flows-20260101T000000Z-000001.csv.part",
      "flows-20260101T000000Z-000001.csv.zst",
      "flows-20260101T000000Z-000001.json",
      "flows-20260101T000000Z-00001.csv",
      "flows-20260101T000000Z-000001-copy.csv",
      "flows-b-20260101T000000Z-000001.csv",
      "flows-2026.csv",
      "flows.csv",
      "more-flows-20260101T000000Z-000001.csv",
  };
  make(others);
  make(kThree);
  const auto a_directory = directory_ / "flows-20250101T000000Z-000001.csv";
  const auto a_link = directory_ / "flows-20250101T000000Z-000002.csv";
  std::filesystem::create_directory(a_directory);
  std::filesystem::create_symlink(directory_ / "flows.csv", a_link);
  remove({.files = 1});
  Names expected = others;
  expected.insert(expected.end(), {kThree[2], a_directory.filename(), a_link.filename()});
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(left(), expected);
}

TEST_F(OldFilesIn, ThoseOfAnotherUserStay) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  make(kThree);
  ASSERT_EQ(::chown((directory_ / kThree[0]).c_str(), 1000, 1000), 0);
  remove({.files = 1});
  EXPECT_EQ(left(), Names({kThree[0], kThree[2]}));
}

TEST_F(OldFilesIn, AClockThatWasSetBack) {
  const std::string years_ahead = "flows-20990101T000000Z-000001.csv";
  const std::string soon =
      std::filesystem::path(rotated_name("flows.csv", 1, std::time(nullptr) + 600)).filename();
  make(kThree);
  make({years_ahead, soon});
  remove({.files = 2});
  EXPECT_EQ(left(), Names({kThree[2], soon}));
}

TEST_F(OldFilesIn, ADirectoryThatIsGoneIsNoMistake) {
  remove({.files = 1}, "none/flows.csv");
  EXPECT_TRUE(host_.take_lines().empty());
}

}  // namespace
}  // namespace flowmeter
