// SPDX-License-Identifier: BSD-3-Clause
// When files end, and how limits are written. Their contents are tested in
// tests/program/outputs/files_test.py.
#include "output/whole_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <regex>
#include <thread>

#include "api/embedded_host.h"

namespace flowmeter {
namespace {

TEST(Rotation, Limits) {
  const struct {
    const char* text;
    uint64_t seconds, bytes;  // 0 and 0: not a limit
  } rows[] = {
      {"90s", 90, 0},
      {"15m", 900, 0},
      {"1h", 3600, 0},
      {"7d", 604800, 0},
      {"500KB", 0, 500'000},
      {"500MB", 0, 500'000'000},
      {"2GB", 0, 2'000'000'000},
      {"4KiB", 0, 4096},
      {"1MiB", 0, 1 << 20},
      {"1GiB", 0, 1 << 30},
      {"", 0, 0},
      {"1", 0, 0},
      {"0h", 0, 0},
      {"1H", 0, 0},
      {"1 h", 0, 0},
      {"-1h", 0, 0},
      {"1.5h", 0, 0},
      {"1hh", 0, 0},
      {"99999999999d", 0, 0},
      {"MB", 0, 0},
      {"500mb", 0, 0},
  };
  for (const auto& row : rows) {
    auto rotation = Rotation::parse(row.text);
    EXPECT_EQ(static_cast<bool>(rotation), row.seconds + row.bytes > 0) << row.text;
    if (!rotation) continue;
    EXPECT_EQ(rotation->seconds, row.seconds) << row.text;
    EXPECT_EQ(rotation->bytes, row.bytes) << row.text;
  }
}

class Line final : public RowFormat {
 public:
  std::string header() const override { return "h\n"; }
  char* put_row(char* at, const FlowRecord&) const override { return at; }
  size_t bound() const override { return 10; }
};

// Time and number come before the suffix, even if a name only looks as if it had one.
TEST(WholeFiles, NamesAndTimes) {
  std::string name = ::testing::TempDir() + "files.d-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(name.data());
  const std::pair<const char*, const char*> rows[] = {
      {"flows.csv", R"(flows-\d{8}T\d{6}Z-00000[12]\.csv)"},
      {"flows.json.gz", R"(flows-\d{8}T\d{6}Z-00000[12]\.json\.gz)"},
      {"a.b.csv.zst", R"(a\.b-\d{8}T\d{6}Z-00000[12]\.csv\.zst)"},
      {"flows", R"(flows-\d{8}T\d{6}Z-00000[12])"},
      {"flows.gz", R"(flows-\d{8}T\d{6}Z-00000[12]\.gz)"},
  };
  for (const auto& [path, pattern] : rows) {
    SCOPED_TRACE(path);
    const auto where = directory / path;
    EmbeddedHost host;
    std::filesystem::create_directory(where);
    auto files = WholeFiles::open(where / path, Line(), {Rotation{1, 0}}, host);
    ASSERT_TRUE(files) << files.error().message();
    RowQueue queue(1000, OnFull::kBlock);
    auto run =
        std::async(std::launch::async, [&] { return static_cast<bool>((*files)->run(queue)); });
    ASSERT_TRUE(queue.append("1\n", 1));
    const auto whole = [&] {
      std::vector<std::string> all;
      for (const auto& entry : std::filesystem::directory_iterator(where))
        if (entry.path().extension() != ".part") all.push_back(entry.path().filename());
      return all;
    };
    // The file ends with its second, even if no more rows come.
    for (int i = 0; i < 1000 && whole().empty(); i++)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(whole().size(), 1u);
    ASSERT_TRUE(queue.append("2\n", 1));
    queue.close(RowQueue::kForEver);
    EXPECT_TRUE(run.get());
    EXPECT_EQ(whole().size(), 2u);
    for (const std::string& each : whole())
      EXPECT_TRUE(std::regex_match(each, std::regex(pattern))) << each;
    EXPECT_EQ((*files)->written(), 2u);
    OutputAccount account;
    (*files)->describe(account);
    EXPECT_EQ(account.files, 2u);
  }
  std::filesystem::remove_all(directory);
}

// What another user could leave in a directory like /tmp. The name is known without rotation.
TEST(WholeFiles, PartsOfOthersAreNotWritten) {
  std::string directory = ::testing::TempDir() + "parts-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/x.csv.gz", part = path + ".part",
                    precious = directory + "/precious";
  EmbeddedHost host;
  const auto refused = [&](const std::string& words) {
    const auto files = WholeFiles::open(path, Line(), {}, host);
    ASSERT_FALSE(files) << words;
    EXPECT_NE(files.error().message().find(part), std::string::npos) << files.error().message();
    EXPECT_FALSE(WholeFiles::open(path, Line(), {{}, true, true, true}, host)) << "nor continued";
    EXPECT_NE(files.error().message().find(words), std::string::npos) << files.error().message();
    EXPECT_EQ(std::filesystem::file_size(precious), 8u);
    ASSERT_TRUE(std::filesystem::remove(part));
  };
  std::ofstream(precious) << "precious";
  ASSERT_EQ(::symlink(precious.c_str(), part.c_str()), 0);
  refused("is a symbolic link: remove it");
  ASSERT_EQ(::symlink((directory + "/absent").c_str(), part.c_str()), 0);
  refused("is a symbolic link: remove it");
  EXPECT_FALSE(std::filesystem::exists(directory + "/absent"));
  ASSERT_EQ(::link(precious.c_str(), part.c_str()), 0);
  refused("hard link");
  ASSERT_EQ(::mkfifo(part.c_str(), 0600), 0);
  {
    const UniqueFd reader(::open(part.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    refused("is not a regular file");
  }
  ASSERT_EQ(::mkfifo(part.c_str(), 0600), 0);
  refused("No such device");
  if (::geteuid() == 0) {
    std::ofstream(part) << "planted";
    ASSERT_EQ(::chown(part.c_str(), 4242, 4242), 0);
    refused("belongs to user 4242: remove it, or chown 0");
  }
  {
    std::ofstream(part) << "of a killed run";
    EXPECT_TRUE(WholeFiles::open(path, Line(), {}, host));
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace flowmeter
