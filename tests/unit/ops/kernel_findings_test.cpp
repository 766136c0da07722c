// SPDX-License-Identifier: BSD-3-Clause
// The memory limit over both versions of control groups, from files that the test writes.
#include "ops/kernel_findings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace flowmeter {
namespace {

class MemoryLimit : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string path = (std::filesystem::temp_directory_path() / "fmtest-XXXXXX").string();
    ASSERT_NE(::mkdtemp(path.data()), nullptr);
    root_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void file(const std::string& path, const std::string& text) {
    const std::filesystem::path full = root_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text << "\n";
  }
  std::optional<uint64_t> limit(const std::string& membership) {
    return cgroup_memory_limit(membership, root_);
  }

  std::string root_;
};

TEST_F(MemoryLimit, IsTheLeastOfTheGroupAndThoseAboveIt) {
  file("/a/b/memory.max", "max");
  file("/a/memory.max", "268435456");
  file("/memory.max", "536870912");
  EXPECT_EQ(limit("0::/a/b\n"), 268435456u);
  file("/a/b/memory.max", "1048576");
  EXPECT_EQ(limit("0::/a/b\n"), 1048576u);
}

TEST_F(MemoryLimit, OfAContainerIsAtTheMountWhateverThePathSays) {
  file("/memory.max", "536870912");
  EXPECT_EQ(limit("0::/\n"), 536870912u);
  EXPECT_EQ(limit("0::/system.slice/docker-1.scope\n"), 536870912u);
}

TEST_F(MemoryLimit, OfVersionOne) {
  file("/memory/a/memory.limit_in_bytes", "104857600");
  file("/memory/memory.limit_in_bytes", "9223372036854771712");
  EXPECT_EQ(limit("5:cpu,cpuacct:/a\n4:memory:/a\n0::/\n"), 104857600u);
  EXPECT_EQ(limit("4:hugetlb,memory:/a\n"), 104857600u);
  EXPECT_EQ(limit("4:memory:/\n"), std::nullopt);
}

TEST_F(MemoryLimit, IsNothingWithoutOne) {
  file("/a/memory.max", "max");
  for (const char* membership : {"0::/a\n", "0::/gone\n", "", "nonsense", "1:x", "::", "4:memory:"})
    EXPECT_EQ(limit(membership), std::nullopt) << membership;
}

}  // namespace
}  // namespace flowmeter
