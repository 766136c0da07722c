// SPDX-License-Identifier: BSD-3-Clause
#include "run/outputs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "api/embedded_host.h"
#include "output/csv.h"
#include "run/config.h"

namespace flowmeter {
namespace {

TEST(Outputs, WhatCannotBe) {
  struct Row {
    const char* what;
    std::vector<std::string> paths;
    const char* error;  // a part of it; null: there is none
  };
  for (const Row& row : {
           Row{"two files", {"x.csv", "y.csv.gz"}, nullptr},
           Row{"no name", {""}, "needs a file name"},
           Row{"standard output twice", {"-", "/dev/stdout"}, "only one output"},
           Row{"one file in two spellings", {"x.csv", "./x.csv"}, "named twice"},
           Row{"Parquet", {"x.csv", "x.parquet"}, "output x.parquet would not be Parquet"},
           Row{"compressed Parquet", {"x.parquet.zst"}, "flowmeter.write_parquet()"},
           Row{"Feather", {"x.feather"}, "flowmeter.write_feather()"},
           Row{"Arrow", {"/tmp/x.arrow"}, "flowmeter.write_feather()"},
           Row{"Arrow IPC", {"x.ipc"}, "flowmeter.write_feather()"},
           Row{"a name that only contains it", {"x.parquet.csv", "parquet"}, nullptr},
       }) {
    SCOPED_TRACE(row.what);
    OutputOptions options;
    for (const std::string& path : row.paths) options.targets.push_back({&kCsvOutput, path});
    const Status checked = check_outputs(options);
    ASSERT_EQ(static_cast<bool>(checked), row.error == nullptr);
    if (!row.error) continue;
    EXPECT_TRUE(checked.error().usage);
    EXPECT_NE(checked.error().message().find(row.error), std::string::npos)
        << checked.error().message();
  }
}

TEST(Outputs, FilesAreOfTheirOwnerAndGroup) {
  struct Row {
    const char* what;
    const char* name;
    Rotation rotation;
    bool commits;
  };
  const FeatureSet set = Config().features->columns;
  const std::vector<Column> columns(set.begin(), set.end());
  const mode_t before = ::umask(0);
  for (const Row& row : {
           Row{"plain", "x.csv", {}, false},
           Row{"plain, appended to (--pin)", "x.csv", {}, true},
           Row{"compressed", "x.csv.gz", {}, false},
           Row{"rotated", "x.csv", {3600, 0}, false},
           Row{"rotated and compressed (--pin)", "x.csv.zst", {3600, 0}, true},
       }) {
    SCOPED_TRACE(row.what);
    std::string directory = ::testing::TempDir() + "outputs-XXXXXX";
    ASSERT_NE(::mkdtemp(directory.data()), nullptr);
    OutputOptions options;
    options.on_full = OnFull::kBlock;
    options.rotation = row.rotation;
    options.commits = row.commits;
    options.targets.push_back({&kCsvOutput, directory + "/" + row.name});
    EmbeddedHost host;
    {
      auto sinks = open_outputs(options, columns, host);
      ASSERT_TRUE(sinks) << sinks.error().message();
      ASSERT_TRUE((*sinks)->resume({}));
      ASSERT_TRUE((*sinks)->flush());
      ASSERT_TRUE((*sinks)->finish());
    }
    size_t files = 0;
    for (const auto& file : std::filesystem::directory_iterator(directory)) {
      struct stat status {};
      ASSERT_EQ(::stat(file.path().c_str(), &status), 0);
      EXPECT_EQ(status.st_mode & 07777, 0640u) << file.path();
      files++;
    }
    EXPECT_EQ(files, 1u);
    std::filesystem::remove_all(directory);
  }
  ::umask(before);
}

}  // namespace
}  // namespace flowmeter
