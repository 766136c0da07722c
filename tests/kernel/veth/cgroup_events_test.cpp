// SPDX-License-Identifier: BSD-3-Clause
// What the kernel tells about cgroups that are made and removed.
#include "kernel/cgroup_events.h"

#include <map>
#include <set>
#include <vector>

#include "veth/cgroup_mount.h"
#include "veth/own_namespaces.h"

namespace flowmeter::testing {
namespace {

class CgroupEventsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_capability(CAP_SYS_ADMIN)) GTEST_SKIP() << "needs CAP_SYS_ADMIN for cgroups";
    ASSERT_NE(cgroup_mount(), "") << "no cgroup2 is mounted";
    auto opened = CgroupEvents::open();
    ASSERT_TRUE(opened) << opened.error().message();
    events_ = std::move(*opened);
  }

  // Other programs may make cgroups, too.
  bool drain() {
    return events_->drain([this](uint64_t id, std::string_view path) { made_[id] = path; },
                          [this](uint64_t id) { removed_.insert(id); });
  }

  std::unique_ptr<CgroupEvents> events_;
  std::map<uint64_t, std::string> made_;
  std::set<uint64_t> removed_;
};

TEST_F(CgroupEventsTest, PathIsKnownAlthoughTheCgroupIsGone) {
  const std::string name = "/a \"b\",\x1b[1m;=c";
  uint64_t inner = 0;
  std::string path;
  {
    const TestCgroup cgroup("events");
    std::filesystem::create_directory(cgroup.directory() + name);
    inner = cgroup.id(name);
    path = cgroup.path() + name;
    EXPECT_TRUE(drain());
    EXPECT_EQ(made_[cgroup.id()], cgroup.path());
    EXPECT_EQ(made_[inner], path);
    EXPECT_FALSE(removed_.contains(inner));
  }
  EXPECT_TRUE(drain());
  EXPECT_TRUE(removed_.contains(inner));
}

TEST_F(CgroupEventsTest, LossIsToldOnce) {
  const TestCgroup cgroup("events");
  const std::string name = cgroup.directory() + "/" + std::string(200, 'n');
  for (int i = 0; i < 2000; i++) {
    ASSERT_EQ(::mkdir(name.c_str(), 0755), 0) << std::strerror(errno);
    ASSERT_EQ(::rmdir(name.c_str()), 0) << std::strerror(errno);
  }
  EXPECT_FALSE(drain()) << "2000 events of 240 bytes, twice, fit into 256 KiB";
  EXPECT_TRUE(drain());
}

// The kernel gives no more than 1023 bytes of a path.
TEST_F(CgroupEventsTest, PathThatTheKernelCutsIsNotTold) {
  const TestCgroup cgroup("events");
  std::string path = cgroup.directory();
  for (int i = 0; i < 8; i++) {
    path += "/" + std::string(200, 'n');
    ASSERT_EQ(::mkdir(path.c_str(), 0755), 0) << std::strerror(errno);
  }
  EXPECT_FALSE(drain());
  for (const auto& [id, told] : made_) EXPECT_LT(told.size(), 1023u);
  EXPECT_EQ(made_.count(cgroup.id(path.substr(cgroup.directory().size()))), 0u);
}

}  // namespace
}  // namespace flowmeter::testing
