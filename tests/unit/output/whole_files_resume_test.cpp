// SPDX-License-Identifier: BSD-3-Clause
// Rotated and compressed files of a run that commits its rows: what is in them after a kill and
// another run. And of a run whose disk is full for a while.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "api/embedded_host.h"
#include "output/kept_rows.h"
#include "output/queued_sink.h"
#include "output/row_text.h"
#include "output/whole_files.h"
#include "support/file_size_limit.h"
#include "support/numbered_rows.h"

namespace flowmeter {
namespace {

using testing::FileSizeLimit;
using testing::NumberedRows;
namespace fs = std::filesystem;

constexpr Rotation kTwoRows{0, 250};
constexpr uint64_t kRun = 7;

struct Directory {
  fs::path path;
  Directory() {
    std::string name = ::testing::TempDir() + "whole-XXXXXX";
    path = ::mkdtemp(name.data());
  }
  ~Directory() { fs::remove_all(path); }

  std::vector<fs::path> files() const {
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(path)) all.push_back(entry.path());
    std::sort(all.begin(), all.end());
    return all;
  }
  // The rows of all files in the order of their names, without their headers.
  std::string rows() const {
    std::string all;
    for (const fs::path& file : files()) {
      EXPECT_NE(file.extension(), ".part") << "every file is complete";
      const UniqueFd fd(::open(file.c_str(), O_RDONLY));
      auto text = compression_suffix(file.string()).empty()
                      ? read_at(fd.get(), 0, 1 << 20)
                      : decompressed_start(file, fd.get(), 1 << 20);
      EXPECT_TRUE(text) << file;
      if (!text) continue;
      EXPECT_TRUE(text->starts_with(NumberedRows::kHeader)) << file;
      all += text->substr(std::strlen(NumberedRows::kHeader));
    }
    return all;
  }
};

struct Output {
  EmbeddedHost host;
  std::unique_ptr<QueuedSink> sink;

  Status open(const std::string& path, std::optional<Rotation> rotation, unsigned first_row,
              WholeFiles::Options options = {{}, true, true, true}) {
    auto format = std::make_unique<NumberedRows>(first_row);
    options.rotation = rotation;
    auto files = WholeFiles::open(path, *format, options, host);
    if (!files) return files.error();
    sink = std::make_unique<QueuedSink>(
        std::move(format), std::move(*files),
        QueuedSink::Options{1 << 20, OnFull::kDrop, RowQueue::seconds(60), options.commits});
    return Done{};
  }
  void write(unsigned rows) {
    static const fm_flow_key key{};
    static const fm_flow flow{};
    for (unsigned i = 0; i < rows; i++) sink->write({key, flow, {}, FM_END_INPUT});
  }
  // Writes rows as one batch. Returns where the files end then.
  std::vector<fm_output_position> batch(unsigned rows) {
    write(rows);
    EXPECT_TRUE(sink->flush());
    for (int i = 0; i < 10'000 && !sink->safe(); i++)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(sink->safe());
    std::vector<fm_output_position> all;
    sink->positions(all);
    EXPECT_EQ(all.size(), 1u);
    return all;
  }
  std::string said() {
    std::string text;
    for (const LogLine& line : host.take_lines()) text += line.level + ": " + line.text + "\n";
    return text;
  }
};

// A run that is killed: it commits these batches, and writes 2 more rows. Returns the last commit.
std::vector<fm_output_position> killed_run(const std::string& path,
                                           std::optional<Rotation> rotation,
                                           const std::vector<unsigned>& batches = {2, 1},
                                           uint64_t run = kRun) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    Output out;
    if (!out.open(path, rotation, 0) || !out.sink->resume({run})) ::_exit(1);
    std::vector<fm_output_position> committed;
    for (const unsigned rows : batches) committed = out.batch(rows);
    out.batch(2);
    const bool told = ::write(ends[1], committed.data(), sizeof(committed[0])) > 0;
    ::_exit(told ? 0 : 1);  // nothing is completed
  }
  std::vector<fm_output_position> committed(1);
  ::close(ends[1]);
  EXPECT_EQ(::read(ends[0], committed.data(), sizeof(committed[0])),
            static_cast<ssize_t>(sizeof(committed[0])));
  ::close(ends[0]);
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return committed;
}

class WholeFilesOfRuns
    : public ::testing::TestWithParam<std::tuple<const char*, std::optional<Rotation>>> {
 protected:
  const std::optional<Rotation> rotation_ = std::get<1>(GetParam());
  Directory directory_;
  const std::string path_ = directory_.path / std::get<0>(GetParam());
};

class OneFileOfRuns : public WholeFilesOfRuns {};

TEST_P(WholeFilesOfRuns, GoesOnAfterTheCommit) {
  const auto committed = killed_run(path_, rotation_);
  Output out;
  ASSERT_TRUE(out.open(path_, rotation_, 3));
  ASSERT_TRUE(out.sink->resume({kRun, committed}));
  const std::string said = out.said();
  EXPECT_NE(said.find("appending to"), std::string::npos) << said;
  EXPECT_NE(said.find("cut"), std::string::npos) << said;
  out.batch(4);
  ASSERT_TRUE(out.sink->finish());
  EXPECT_EQ(directory_.rows(), NumberedRows::rows(0, 7));
}

// A compressor may write the start of a frame before there are rows.
TEST_P(WholeFilesOfRuns, GoesOnAfterACommitWithoutRows) {
  const auto committed = killed_run(path_, rotation_, {0});
  Output out;
  ASSERT_TRUE(out.open(path_, rotation_, 0));
  ASSERT_TRUE(out.sink->resume({kRun, committed}));
  out.batch(3);
  ASSERT_TRUE(out.sink->finish());
  EXPECT_EQ(directory_.rows(), NumberedRows::rows(0, 3));
}

TEST_P(OneFileOfRuns, KeepsAllThatIsWholeWithoutACommit) {
  killed_run(path_, rotation_);
  Output out;
  ASSERT_TRUE(out.open(path_, rotation_, 5));
  out.batch(1);
  ASSERT_TRUE(out.sink->finish());
  EXPECT_EQ(directory_.rows(), NumberedRows::rows(0, 6));
}

TEST_P(OneFileOfRuns, CutsWhatIsIncomplete) {
  killed_run(path_, rotation_);
  const fs::path last = directory_.files().back();
  ASSERT_EQ(last.extension(), ".part");
  fs::resize_file(last, fs::file_size(last) - 3);
  Output out;
  // A frame has both rows of the last batch.
  ASSERT_TRUE(out.open(path_, rotation_, 3));
  out.batch(3);
  ASSERT_TRUE(out.sink->finish());
  EXPECT_EQ(directory_.rows(), NumberedRows::rows(0, 6));
}

TEST_P(WholeFilesOfRuns, ARunThatEndedIsContinued) {
  for (unsigned run = 0; run < 3; run++) {
    Output out;
    ASSERT_TRUE(out.open(path_, rotation_, 2 * run));
    ASSERT_TRUE(out.sink->resume({kRun}));
    out.batch(2);
    ASSERT_TRUE(out.sink->finish());
  }
  EXPECT_EQ(directory_.rows(), NumberedRows::rows(0, 6));
}

TEST_P(WholeFilesOfRuns, RowsOfOthersAreLeftAlone) {
  killed_run(path_, rotation_);
  const fs::path left = directory_.files().back();
  for (const bool is_text : {true, false}) {
    // A file that is not compressed at all, or whose text is of another format.
    std::ofstream(left, std::ios::trunc) << (is_text ? "some,thing\n1,2\n" : "\x28\xb5\x2f\xfd");
    if (!is_text) fs::resize_file(left, 0);
    const auto size = fs::file_size(left);
    Output out;
    Status opened = out.open(path_, rotation_, 0);
    if (opened && rotation_) opened = out.sink->resume({kRun});
    EXPECT_TRUE(fs::file_size(left) == size || (rotation_ && !is_text));
    if (!is_text) {
      EXPECT_TRUE(opened) << "an empty file can be anyone's";
    } else if (rotation_) {
      ASSERT_TRUE(opened) << "another file is started";
      EXPECT_NE(out.said().find("stays as it is"), std::string::npos);
    } else {
      ASSERT_FALSE(opened);
      EXPECT_NE(opened.error().message().find(left.string() + " holds something other"),
                std::string::npos);
    }
  }
}

TEST_P(WholeFilesOfRuns, WaitForAFullDisk) {
  for (const bool commits : {false, true}) {
    SCOPED_TRACE(commits);
    for (const fs::path& file : directory_.files()) fs::remove(file);
    Output out;
    ASSERT_TRUE(out.open(path_, rotation_, 0, {{}, true, commits, commits}));
    {
      const FileSizeLimit full(compression_suffix(path_).empty() ? 180 : 25);
      out.write(6);
      ASSERT_TRUE(out.sink->flush());
      if (commits || compression_suffix(path_).empty()) {
        std::string said;
        for (int i = 0; i < 10'000 && said.find("trying again") == std::string::npos; i++) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          said += out.said();
        }
        EXPECT_NE(said.find("trying again"), std::string::npos);
        EXPECT_EQ(out.sink->safe(), !commits);
      }
    }
    const Status finished = out.sink->finish();
    EXPECT_TRUE(finished) << finished.error().message();
    EXPECT_EQ(directory_.rows(), NumberedRows::rows(0, 6));
    EXPECT_NE(out.sink->accounts().at(0).text().find("rows=6 written=6 waiting=0 dropped=0"),
              std::string::npos);
  }
}

// The last rows of a run whose last commit failed.
TEST(WholeFilesOfRunsToo, ACompleteFileIsCutAtTheCommit) {
  for (const char* name : {"flows.csv", "flows.csv.gz", "flows.csv.zst"}) {
    SCOPED_TRACE(name);
    const Directory directory;
    std::vector<fm_output_position> committed;
    for (const unsigned first : {0u, 2u}) {
      Output out;
      ASSERT_TRUE(out.open(directory.path / name, Rotation{0, 1 << 20}, first));
      ASSERT_TRUE(out.sink->resume({kRun, committed}));
      EXPECT_EQ(out.said().find("cut") != std::string::npos, first > 0);
      committed = out.batch(2);
      out.write(1);
      ASSERT_TRUE(out.sink->finish());
    }
    EXPECT_EQ(directory.rows(), NumberedRows::rows(0, 5));
  }
}

// A run without rows leaves a file with its header, of which nothing is part of a commit.
TEST(WholeFilesOfRunsToo, ACompleteFileWithoutACommitIsRemoved) {
  for (const char* name : {"flows.csv", "flows.csv.gz", "flows.csv.zst"}) {
    SCOPED_TRACE(name);
    const Directory directory;
    std::vector<fm_output_position> committed;
    for (const unsigned rows : {0u, 2u}) {
      Output out;
      ASSERT_TRUE(out.open(directory.path / name, Rotation{0, 1 << 20}, 0));
      ASSERT_TRUE(out.sink->resume({kRun, committed}));
      committed = out.batch(rows);
      if (rows == 0) committed[0].bytes = 0;
      ASSERT_TRUE(out.sink->finish());
    }
    EXPECT_EQ(directory.rows(), NumberedRows::rows(0, 2));
    EXPECT_EQ(directory.files().size(), 1u);
  }
}

TEST(WholeFilesOfRunsToo, CompleteFilesMayBeTakenAway) {
  for (const char* name : {"flows.csv", "flows.csv.gz", "flows.csv.zst"}) {
    SCOPED_TRACE(name);
    const Directory directory, archive;
    const auto committed = killed_run(directory.path / name, kTwoRows);
    for (const fs::path& file : directory.files())
      if (file.extension() != ".part") fs::rename(file, archive.path / file.filename());
    ASSERT_EQ(directory.files().size(), 1u) << "its rows are not part of the commit";
    Output out;
    ASSERT_TRUE(out.open(directory.path / name, kTwoRows, 3));
    ASSERT_TRUE(out.sink->resume({kRun, committed}));
    out.batch(2);
    ASSERT_TRUE(out.sink->finish());
    EXPECT_EQ(archive.rows() + directory.rows(), NumberedRows::rows(0, 5));
  }
}

TEST(WholeFilesOfRunsToo, UnfinishedFilesOfOtherRunsStay) {
  for (const uint64_t other : {uint64_t{0}, uint64_t{8}}) {
    SCOPED_TRACE(other);
    const Directory directory;
    const std::string path = directory.path / "flows.csv";
    killed_run(path, Rotation{3600, 0}, {2}, other);
    const fs::path left = directory.files().at(0);
    ASSERT_EQ(left.extension(), ".part");
    Output out;
    ASSERT_TRUE(out.open(path, Rotation{3600, 0}, 0));
    ASSERT_TRUE(out.sink->resume({kRun}));
    out.batch(1);
    ASSERT_TRUE(out.sink->finish());
    ASSERT_TRUE(fs::remove(left)) << "it is still there";
    EXPECT_EQ(directory.rows(), NumberedRows::rows(0, 1));
  }
}

// An end in order commits all rows, but the last rename may fail.
TEST(WholeFilesOfRunsToo, AnUnfinishedFileOfARunThatEndedIsContinued) {
  const Directory directory;
  const std::string path = directory.path / "flows.csv";
  auto committed = killed_run(path, Rotation{3600, 0}, {3});
  Output out;
  ASSERT_TRUE(out.open(path, Rotation{3600, 0}, 3));
  ASSERT_TRUE(out.sink->resume({kRun, committed, /*ended=*/true}));
  out.batch(1);
  ASSERT_TRUE(out.sink->finish());
  EXPECT_EQ(directory.rows(), NumberedRows::rows(0, 4));
}

TEST_P(WholeFilesOfRuns, MissingRowsAreTold) {
  const auto rotation = rotation_ ? std::optional(Rotation{3600, 0}) : std::nullopt;
  const auto committed = killed_run(path_, rotation, {4});
  const fs::path left = directory_.files().back();
  fs::resize_file(left, committed[0].bytes - 3);
  Output out;
  ASSERT_TRUE(out.open(path_, rotation, 0));
  ASSERT_TRUE(out.sink->resume({kRun, committed}));
  EXPECT_NE(out.said().find("3 bytes shorter than at the last commit"), std::string::npos);
}

TEST(WholeFilesOfRunsToo, ACopyIsTold) {
  const Directory directory;
  const std::string path = directory.path / "flows.csv.gz";
  const auto committed = killed_run(path, {});
  fs::copy_file(path + ".part", path);
  fs::remove(path + ".part");
  Output out;
  ASSERT_TRUE(out.open(path, {}, 0));
  ASSERT_TRUE(out.sink->resume({kRun, committed}));
  EXPECT_NE(out.said().find("is not the file that the killed run has written"), std::string::npos);
}

TEST(WholeFilesOfRunsToo, ARenameIsTriedAgain) {
  const Directory directory;
  const fs::path path = directory.path / "flows.csv.gz";
  Output out;
  ASSERT_TRUE(out.open(path, {}, 0));
  out.batch(2);
  fs::create_directory(path);  // in its way
  std::string said;
  std::thread remover([&] {
    for (int i = 0; i < 10'000 && said.find("trying again") == std::string::npos; i++) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      said += out.said();
    }
    fs::remove(path);
  });
  const Status finished = out.sink->finish();
  remover.join();
  EXPECT_TRUE(finished) << finished.error().message();
  EXPECT_NE(said.find("trying again"), std::string::npos);
  EXPECT_EQ(directory.rows(), NumberedRows::rows(0, 2));
}

TEST(WholeFilesOfRunsToo, ACompleteFileIsNotReplacedByOneThatWasLeft) {
  const Directory directory;
  const std::string path = directory.path / "flows.csv.gz";
  std::ofstream(path) << "1";
  std::ofstream(path + ".part") << "2";
  Output out;
  const Status opened = out.open(path, {}, 0);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message().find("move one of them away"), std::string::npos);
  EXPECT_EQ(fs::file_size(path) + fs::file_size(path + ".part"), 2u);
}

TEST(WholeFilesOfRunsToo, TimeEndsAFileOnlyAfterTheCommitOfItsRows) {
  const Directory directory;
  Output out;
  ASSERT_TRUE(out.open(directory.path / "flows.csv", Rotation{1, 0}, 0));
  const auto first = out.batch(1);
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));  // a second has certainly ended
  std::vector<fm_output_position> later;
  out.sink->positions(later);
  EXPECT_EQ(later[0].inode, first[0].inode);
  out.sink->note_commit();
  for (int i = 0; i < 10'000 && directory.files().size() < 2; i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(directory.files().size(), 2u) << "the next file has been started";
  ASSERT_TRUE(out.sink->finish());
  out.sink.reset();  // removes the empty one
  EXPECT_EQ(directory.rows(), NumberedRows::rows(0, 1));
}

INSTANTIATE_TEST_SUITE_P(All, OneFileOfRuns,
                         ::testing::Values(std::tuple{"flows.csv.gz", std::nullopt},
                                           std::tuple{"flows.csv.zst", std::nullopt}));

INSTANTIATE_TEST_SUITE_P(All, WholeFilesOfRuns,
                         ::testing::Values(std::tuple{"flows.csv", kTwoRows},
                                           std::tuple{"flows.csv.gz", std::nullopt},
                                           std::tuple{"flows.csv.zst", std::nullopt},
                                           std::tuple{"flows.csv.gz", kTwoRows},
                                           std::tuple{"flows.csv.zst", kTwoRows}));

}  // namespace
}  // namespace flowmeter
