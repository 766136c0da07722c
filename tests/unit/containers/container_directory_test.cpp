// SPDX-License-Identifier: BSD-3-Clause
#include "containers/container_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "api/embedded_host.h"
#include "containers/fake_engine.h"

namespace flowmeter {
namespace {

using namespace testing;

const std::string kId(64, 'a'), kOther(64, 'b');
const std::string kUid = "c0ffee00-1234-4abc-8def-0123456789ab";
constexpr uint64_t kStation = 0x0242ac110002;
constexpr uint64_t kSecond = 1'000'000'000;

// A directory tree stands for the tree of cgroups: their ids are inode numbers, too.
class Directory : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = ::testing::TempDir() + "container directory." + std::to_string(::getpid());
    std::filesystem::create_directories(root_ + "/cgroup");
    std::filesystem::create_directories(root_ + "/log");
    std::string mount = root_ + "/cgroup";
    mount.replace(mount.rfind(' '), 1, "\\040");
    std::ofstream(root_ + "/mountinfo")
        << "30 1 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        << "31 1 0:29 / " << mount << " rw,nosuid - cgroup2 cgroup2 rw\n";
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  uint64_t make(const std::string& path) {
    std::filesystem::create_directories(root_ + "/cgroup" + path);
    struct stat about {};
    ::stat((root_ + "/cgroup" + path).c_str(), &about);
    return about.st_ino;
  }
  void log(const std::string& name, const std::string& id) {
    std::ofstream(root_ + "/log/" + name + "-" + id + ".log") << "";
  }
  ContainerDirectory& directory() {
    if (!directory_)
      directory_ = std::make_unique<ContainerDirectory>(
          ContainerDirectory::Options{root_ + "/mountinfo",
                                      {root_ + "/log", root_ + "/docker"},
                                      [this] { return now_ns_; }},
          std::move(engine_), host_);
    return *directory_;
  }
  EndOwner socket(uint64_t cgroup) {
    EndTrace end;
    end.cgroup = cgroup;
    end.source = FM_OWNER_SOCKET;
    return directory().name(end);
  }
  EndOwner behind(uint32_t ifindex, uint64_t station = kStation) {
    EndTrace end;
    end.ifindex = ifindex;
    end.station = station;
    end.source = FM_OWNER_INTERFACE;
    return directory().name(end);
  }

  std::string root_;
  uint64_t now_ns_ = 1000 * kSecond;
  EmbeddedHost host_;
  std::unique_ptr<EngineNames> engine_;
  std::unique_ptr<ContainerDirectory> directory_;
};

TEST_F(Directory, NamesAContainerOfAPod) {
  const std::string path = "/kubepods/burstable/pod" + kUid + "/" + kId;
  const uint64_t cgroup = make(path);
  log("web_shop_nginx", kId);
  const EndOwner owner = socket(cgroup);
  EXPECT_EQ(owner.attribution, "socket");
  EXPECT_EQ(owner.container_id, kId);
  EXPECT_EQ(owner.container_name, "nginx");
  EXPECT_EQ(owner.pod_uid, kUid);
  EXPECT_EQ(owner.pod_name, "web");
  EXPECT_EQ(owner.pod_namespace, "shop");
  EXPECT_EQ(owner.cgroup, path);
  EXPECT_EQ(owner.pid, 0u);
}

TEST_F(Directory, TheTextsOfBothEndsAreThereTogether) {
  const uint64_t first = make("/docker/" + kId), second = make("/docker/" + kOther);
  EndTrace end;
  end.source = FM_OWNER_LISTENER;
  end.cgroup = first;
  end.pid = 7;
  std::string("ng,inx").copy(end.comm, sizeof(end.comm));
  const EndOwner one = directory().name(end);
  const EndOwner two = socket(second);
  EXPECT_EQ(one.attribution, "listener");
  EXPECT_EQ(one.container_id, kId);
  EXPECT_EQ(one.comm, "ng%2Cinx");
  EXPECT_EQ(one.pid, 7u);
  EXPECT_EQ(two.container_id, kOther);
  EXPECT_EQ(two.comm, "");
}

TEST_F(Directory, AContainerThatDiedEarlyIsNamed) {
  directory().created(77, "/docker/" + kId);
  directory().removed(77);
  now_ns_ += 100 * kSecond;
  EXPECT_EQ(socket(77).container_id, kId);
  // One of which only the tree told.
  const uint64_t cgroup = make("/docker/" + kOther);
  directory().note_sender(0, kStation, cgroup);
  std::filesystem::remove(root_ + "/cgroup/docker/" + kOther);
  now_ns_ += 100 * kSecond;
  EXPECT_EQ(socket(99).attribution, "none");  // walks
  EXPECT_EQ(socket(cgroup).container_id, kOther);
}

TEST_F(Directory, AnUnknownCgroupIsLookedForOnceASecond) {
  directory();
  const uint64_t cgroup = make("/docker/" + kId);
  EXPECT_EQ(socket(cgroup).attribution, "none");
  EXPECT_EQ(socket(cgroup).container_id, "");
  now_ns_ += 2 * kSecond;
  EXPECT_EQ(socket(cgroup).container_id, kId);
}

TEST_F(Directory, ANameThatComesLaterIsFound) {
  const uint64_t cgroup = make("/kubepods/pod" + kUid + "/" + kId);
  EXPECT_EQ(socket(cgroup).pod_name, "");
  log("web_shop_nginx", kId);
  now_ns_ += 2 * kSecond;
  EXPECT_EQ(socket(cgroup).pod_name, "web");
}

TEST_F(Directory, ARenamedContainerIsNamedAnewAfterAMinute) {
  const uint64_t cgroup = make("/docker/" + kId);
  const std::string file = root_ + "/docker/" + kId + "/config.v2.json";
  std::filesystem::create_directories(root_ + "/docker/" + kId);
  std::ofstream(file) << R"({"Name":"/old"})";
  EXPECT_EQ(socket(cgroup).container_name, "old");
  std::ofstream(file) << R"({"Name":"/new"})";
  now_ns_ += 59 * kSecond;
  EXPECT_EQ(socket(cgroup).container_name, "old");
  now_ns_ += 2 * kSecond;
  EXPECT_EQ(socket(cgroup).container_name, "new");
  std::filesystem::remove(file);  // the container was removed: the last name stays
  now_ns_ += 100 * kSecond;
  EXPECT_EQ(socket(cgroup).container_name, "new");
}

TEST_F(Directory, TheSandboxOfAPodHasThePodsName) {
  const uint64_t app = make("/kubepods/pod" + kUid + "/" + kId);
  const uint64_t sandbox = make("/kubepods/pod" + kUid + "/" + kOther);
  log("web_shop_nginx", kId);
  EXPECT_EQ(socket(app).container_name, "nginx");
  const EndOwner owner = socket(sandbox);
  EXPECT_EQ(owner.container_id, kOther);
  EXPECT_EQ(owner.container_name, "");
  EXPECT_EQ(owner.pod_name, "web");
  EXPECT_EQ(owner.pod_namespace, "shop");
}

TEST_F(Directory, TheEngineIsAskedBeforeARowNeedsTheName) {
  FakeEngine fake(root_ + "/engine", [](const std::string&) {
    return http_answer(R"([{"Id":")" + kId + R"(","Names":["/web"],"Labels":{}}])");
  });
  auto engine = EngineNames::open(fake.address(), host_);
  ASSERT_TRUE(engine);
  engine_ = std::move(*engine);
  const uint64_t cgroup = make("/docker/" + kId);
  directory().note_sender(3, kStation, cgroup);
  while (fake.connections() == 0) ::usleep(1000);
  for (int turn = 0; turn < 6000 && socket(cgroup).container_name.empty(); turn++) {
    ::usleep(10'000);
    now_ns_ += kSecond;
  }
  EXPECT_EQ(socket(cgroup).container_name, "web");
}

TEST_F(Directory, AUserCannotBorrowTheNameOfAContainer) {
  log("web_shop_nginx", kId);
  const uint64_t forged = make("/user.slice/user-1000.slice/libpod-" + kId + ".scope");
  const uint64_t own = make("/user.slice/user-1000.slice/libpod-" + kOther + ".scope");
  EXPECT_EQ(socket(forged).container_id, "");
  EXPECT_EQ(socket(forged).pod_name, "");
  EXPECT_EQ(socket(own).container_id, kOther);
}

TEST_F(Directory, AUserCannotBorrowThePodOfAContainer) {
  log("web_shop_nginx", kId);
  EXPECT_EQ(socket(make("/kubepods/pod" + kUid + "/" + kId)).pod_name, "web");
  const EndOwner owner =
      socket(make("/user.slice/user-1000.slice/kubepods/pod" + kUid + "/" + kOther));
  EXPECT_EQ(owner.pod_uid, "");
  EXPECT_EQ(owner.pod_name, "");
}

TEST_F(Directory, TheSystemsEngineDoesNotNameWhatAUserHasMade) {
  FakeEngine fake(root_ + "/engine", [](const std::string&) {
    return http_answer(R"([{"Id":")" + kId + R"(","Names":["/web"],"Labels":{}}])");
  });
  auto engine = EngineNames::open(fake.address(), host_);
  ASSERT_TRUE(engine);
  engine_ = std::move(*engine);
  const uint64_t real = make("/docker/" + kId);
  const uint64_t forged = make("/user.slice/user-12345.slice/docker-" + kId + ".scope");
  for (int turn = 0; turn < 6000 && socket(real).container_name.empty(); turn++) {
    ::usleep(10'000);
    now_ns_ += kSecond;
  }
  EXPECT_EQ(socket(real).container_name, "web");
  EXPECT_EQ(socket(forged).container_name, "");
  EXPECT_EQ(socket(forged).container_id, "");
}

TEST_F(Directory, AnInterfaceLeadsToTheContainerThatSendsThere) {
  const uint64_t cgroup = make("/docker/" + kId + "/init.scope");
  EXPECT_EQ(behind(3).attribution, "none");
  directory().note_sender(3, kStation, cgroup);
  directory().note_sender(3, kStation, make("/docker/" + kId + "/system.slice/web.service"));
  now_ns_ += 2 * kSecond;
  const EndOwner owner = behind(3);
  EXPECT_EQ(owner.attribution, "interface");
  EXPECT_EQ(owner.container_id, kId);
  EXPECT_EQ(owner.cgroup, "/docker/" + kId);
  EXPECT_EQ(behind(4).attribution, "none");
}

TEST_F(Directory, SeveralContainersOfOnePodAreThePod) {
  log("web_shop_nginx", kId);
  directory().note_sender(3, kStation, make("/kubepods/pod" + kUid + "/" + kId));
  now_ns_ += 2 * kSecond;
  directory().note_sender(3, kStation, make("/kubepods/pod" + kUid + "/" + kOther));
  now_ns_ += 2 * kSecond;
  const EndOwner owner = behind(3);
  EXPECT_EQ(owner.attribution, "interface");
  EXPECT_EQ(owner.container_id, "");
  EXPECT_EQ(owner.container_name, "");
  EXPECT_EQ(owner.pod_uid, kUid);
  EXPECT_EQ(owner.pod_name, "web");
}

TEST_F(Directory, SeveralUnrelatedContainersAreNobody) {
  directory().note_sender(3, kStation, make("/docker/" + kId));
  now_ns_ += 2 * kSecond;
  directory().note_sender(3, kStation, make("/docker/" + kOther));
  now_ns_ += 2 * kSecond;
  EXPECT_EQ(behind(3).attribution, "none");
  EXPECT_EQ(behind(3).cgroup, "");
}

TEST_F(Directory, AnInterfaceLeadsToNobodyFromAnotherAddress) {
  const uint64_t cgroup = make("/docker/" + kId);
  directory().note_sender(3, kStation, cgroup);
  EXPECT_EQ(behind(3).container_id, kId);
  EXPECT_EQ(behind(3, 0x333300000016).attribution, "none") << "a group";
  EXPECT_EQ(behind(3, kStation + 1).attribution, "none") << "the next one with this number";
}

TEST_F(Directory, AnUnknownCgroupBehindAnInterfaceMayBeAnotherContainer) {
  const uint64_t cgroup = make("/docker/" + kId);
  directory().note_sender(3, kStation, cgroup);
  EXPECT_EQ(behind(3).container_id, kId);
  directory().note_sender(3, kStation, 99);
  EXPECT_EQ(behind(3).attribution, "none");
  EndTrace end;
  end.cgroup = 99;
  end.source = FM_OWNER_SOCKET;
  end.ifindex = 3;
  end.station = kStation;
  EXPECT_EQ(directory().name(end).attribution, "none");
}

TEST_F(Directory, AnEngineThatAsksForItsContainerDoesNotCount) {
  const uint64_t engine = make("/system.slice/docker.service");
  directory().note_sender(3, kStation, engine);
  EXPECT_EQ(behind(3).attribution, "none");
  now_ns_ += 2 * kSecond;
  directory().note_sender(3, kStation, make("/docker/" + kId));
  now_ns_ += 2 * kSecond;
  EXPECT_EQ(behind(3).container_id, kId);
  EXPECT_EQ(socket(engine).container_id, "");
}

TEST_F(Directory, PathsOfAnyBytesAreShownSafely) {
  directory().created(5, std::string("/=a,\n\x1b\xff\0b", 9));
  EXPECT_EQ(socket(5).cgroup, "/%3Da%2C%0A%1B%FF%00b");
  directory().created(6, "/" + std::string(4095, 'x'));
  EXPECT_EQ(socket(6).cgroup.size(), EndOwner::kMaxText);
  EXPECT_TRUE(socket(6).cgroup.ends_with("x%~"));
}

TEST_F(Directory, WhatHasGoneIsForgottenFirst) {
  ContainerDirectory& all = directory();
  const size_t before = all.known();
  for (uint64_t id = 1; id <= 100; id++) all.created(1'000'000 + id, "/gone");
  for (uint64_t id = 1; id <= 100; id++) all.removed(1'000'000 + id);
  for (uint64_t id = 1; all.known() < ContainerDirectory::kMostCgroups; id++)
    all.created(2'000'000 + id, "/kept");
  for (uint64_t id = 1; id <= 100 - before; id++) all.created(3'000'000 + id, "/new");
  EXPECT_EQ(all.known(), ContainerDirectory::kMostCgroups);
  EXPECT_EQ(socket(1'000'001).attribution, "none");
  EXPECT_EQ(socket(2'000'001).cgroup, "/kept");
  EXPECT_EQ(socket(3'000'001).cgroup, "/new");
}

TEST_F(Directory, LongPathsAreBoundedTogether) {
  ContainerDirectory& all = directory();
  for (uint64_t id = 1; id <= 20'000; id++)
    all.created(1'000'000 + id, "/" + std::string(4000, 'x') + std::to_string(id));
  EXPECT_LE(all.known(), ContainerDirectory::kMostPathBytes / 4000 + 1);
}

TEST_F(Directory, WithoutCgroupV2NothingIsKnownAndThatIsSaidOnce) {
  std::ofstream(root_ + "/mountinfo") << "30 1 0:28 / /sys/fs/cgroup rw - cgroup cgroup rw\n";
  EXPECT_EQ(socket(7).attribution, "none");
  EXPECT_EQ(socket(8).attribution, "none");
  const auto lines = host_.take_lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].level, "warning");
  EXPECT_NE(lines[0].text.find("cgroup v2 is not mounted"), std::string::npos);
}

TEST_F(Directory, AProcessWithoutAKnownCgroupIsStillAProcess) {
  EndTrace end;
  end.cgroup = 99;
  end.pid = 12;
  end.source = FM_OWNER_SOCKET;
  EXPECT_EQ(directory().name(end).attribution, "socket");
  EXPECT_EQ(directory().name(end).pid, 12u);
  EXPECT_EQ(directory().name({}).attribution, "none");
}

// ---- what the next daemon is given ----

TEST_F(Directory, WhatHasEndedIsStillNamedByTheNextDaemon) {
  const std::string pod = "/kubepods/pod" + kUid;
  directory().created(77, pod + "/" + kId);
  log("web_shop_nginx", kId);
  directory().note_sender(5, kStation, 77);
  ValueBytes kept;
  directory().save(kept);
  directory_.reset();
  std::filesystem::remove_all(root_ + "/log");
  EXPECT_EQ(socket(77).attribution, "none");
  ValueReader reader(kept);
  ASSERT_TRUE(directory().restore(reader));
  EXPECT_TRUE(reader.at_end());
  for (const EndOwner& owner : {socket(77), behind(5)}) {
    EXPECT_EQ(owner.container_id, kId);
    EXPECT_EQ(owner.container_name, "nginx");
    EXPECT_EQ(owner.pod_uid, kUid);
    EXPECT_EQ(owner.pod_name, "web");
    EXPECT_EQ(owner.pod_namespace, "shop");
  }
}

// Until an engine has answered, for example.
TEST_F(Directory, WhatIsThereIsNamedAtOnceByTheNextDaemon) {
  const uint64_t cgroup = make("/docker/" + kId);
  log("web_shop_nginx", kId);
  EXPECT_EQ(socket(cgroup).pod_name, "web");
  ValueBytes kept;
  directory().save(kept);
  directory_.reset();
  std::filesystem::remove_all(root_ + "/log");
  ValueReader reader(kept);
  ASSERT_TRUE(directory().restore(reader));
  EXPECT_EQ(socket(cgroup).pod_name, "web");
}

TEST_F(Directory, WhatIsThereIsNotTakenFromAnEarlierDaemon) {
  const uint64_t cgroup = make("/docker/" + kId);
  directory().created(cgroup, "/docker/" + kOther);
  EXPECT_EQ(socket(cgroup).container_id, kOther);
  ValueBytes kept;
  directory().save(kept);
  directory_.reset();
  ValueReader reader(kept);
  ASSERT_TRUE(directory().restore(reader));
  EXPECT_EQ(socket(cgroup).container_id, kId);
}

TEST_F(Directory, DamageIsFound) {
  directory().created(77, "/docker/" + kId);
  directory().note_sender(5, kStation, 77);
  ValueBytes kept;
  directory().save(kept);
  for (size_t size = 0; size < kept.size(); size++) {
    directory_.reset();
    ValueReader reader(std::span<const std::byte>(kept).first(size));
    EXPECT_FALSE(directory().restore(reader)) << size;
  }
}

}  // namespace
}  // namespace flowmeter
