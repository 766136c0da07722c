// SPDX-License-Identifier: BSD-3-Clause
#include "run/outputs.h"

#include <gtest/gtest.h>

#include "output/csv.h"

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

}  // namespace
}  // namespace flowmeter
