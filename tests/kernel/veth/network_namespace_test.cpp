// SPDX-License-Identifier: BSD-3-Clause
// Entering network namespaces by name, path and PID, and the errors if that fails.
#include "ops/network_namespace.h"

#include <sys/stat.h>

#include "veth/own_namespaces.h"

namespace flowmeter::testing {
namespace {

ino_t inode(const std::string& path) {
  struct stat file {};
  return ::stat(path.c_str(), &file) == 0 ? file.st_ino : 0;
}

// Enters the namespace in a child process, because there is no way back. Returns the namespace that
// the thread is in afterwards, or the error.
std::string enter(const std::string& which, uid_t uid = 0) {
  return in_child([&]() -> std::string {
    if (uid != 0 && ::setresuid(uid, uid, uid) != 0) return "cannot become another user";
    Status entered = enter_network_namespace(which);
    if (!entered) return (entered.error().usage ? "usage: " : "") + entered.error().message();
    return std::to_string(inode("/proc/thread-self/ns/net"));
  });
}

// /run is a separate, empty file system. Nobody else sees the named namespaces in it.
class NetworkNamespaceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_capability(CAP_SYS_ADMIN) || !has_capability(CAP_NET_ADMIN))
      GTEST_SKIP() << "needs CAP_SYS_ADMIN and CAP_NET_ADMIN for namespaces";
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0) << std::strerror(errno);
    ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(::mount("none", "/run", "tmpfs", 0, nullptr), 0) << std::strerror(errno);
  }
};

TEST_F(NetworkNamespaceTest, ByNamePathAndPid) {
  run("ip netns add blue && ip netns add green");
  const std::string blue = std::to_string(inode("/run/netns/blue"));
  EXPECT_NE(blue, std::to_string(inode("/proc/self/ns/net")));
  EXPECT_EQ(enter("blue"), blue);
  EXPECT_EQ(enter("/run/netns/blue"), blue);
  EXPECT_EQ(enter("green"), std::to_string(inode("/run/netns/green")));

  const Child process([] { return ::unshare(CLONE_NEWNET) == 0; });
  ASSERT_TRUE(process.good());
  const std::string pid = std::to_string(process.pid());
  const std::string of_process = std::to_string(inode("/proc/" + pid + "/ns/net"));
  EXPECT_EQ(enter(pid), of_process);
  EXPECT_EQ(enter("/proc/" + pid + "/ns/net"), of_process);

  run("ip netns add " + pid);
  EXPECT_EQ(enter(pid), std::to_string(inode("/run/netns/" + pid))) << "a name takes precedence";
}

TEST_F(NetworkNamespaceTest, InterfacesAreThoseOfTheNamespace) {
  run("ip netns add blue && ip -n blue link add only-there type veth peer peer-there");
  EXPECT_EQ(in_child([] {
              if (!enter_network_namespace("blue")) return std::string("not entered");
              return run("ip -o link show dev only-there").empty() ? std::string("not there")
                                                                   : std::string("there");
            }),
            "there");
}

TEST_F(NetworkNamespaceTest, Errors) {
  EXPECT_EQ(enter("blue"), "no network namespace blue (there are none in /run/netns)");
  run("ip netns add green && ip netns add blue");
  EXPECT_EQ(enter("red"), "no network namespace red (there are: blue, green)");
  EXPECT_EQ(enter(""), "usage: --netns needs the name, the path or the PID of a network namespace");
  // Beyond pid_max, which is at most 2^22.
  EXPECT_EQ(enter("99999999"),
            "no process 99999999 and no network namespace of this name (there are: blue, green)");
  EXPECT_EQ(enter("/run/nosuch"),
            "cannot open the network namespace /run/nosuch: No such file or directory");
  EXPECT_EQ(enter("."),
            "cannot enter the network namespace .: /run/netns/. is not a network "
            "namespace");
  EXPECT_EQ(enter("/proc/self/ns/uts"),
            "cannot enter the network namespace /proc/self/ns/uts: /proc/self/ns/uts is not a "
            "network namespace");
  run("touch /run/netns/stale && mkfifo /run/fifo");
  EXPECT_EQ(
      enter("stale"),
      "cannot enter the network namespace stale: /run/netns/stale is not a network namespace");
  EXPECT_EQ(enter("/run/fifo"),
            "cannot enter the network namespace /run/fifo: /run/fifo is not a network namespace");
  EXPECT_EQ(enter("/dev/null"),
            "cannot enter the network namespace /dev/null: /dev/null is not a network namespace");
}

TEST_F(NetworkNamespaceTest, WithoutPrivileges) {
  run("ip netns add blue");
  EXPECT_EQ(enter("blue", 65534),
            "cannot enter the network namespace blue: CAP_SYS_ADMIN is needed");
  const Child process([] { return ::unshare(CLONE_NEWNET) == 0; });
  ASSERT_TRUE(process.good());
  const std::string pid = std::to_string(process.pid());
  EXPECT_EQ(enter(pid, 65534), "cannot open the network namespace of process " + pid +
                                   ": CAP_SYS_PTRACE or root is needed");
}

}  // namespace
}  // namespace flowmeter::testing
