// SPDX-License-Identifier: BSD-3-Clause
// Namespaces of the test's own process. They end with it, however it ends, so nothing has to be
// removed.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>

namespace flowmeter::testing {

inline bool has_capability(int capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  return (data[capability / 32].effective >> (capability % 32) & 1) != 0;
}

// Returns what the command writes to standard output. If it fails, the test fails.
inline std::string run(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) {
    ADD_FAILURE() << command << ": " << std::strerror(errno);
    return "";
  }
  std::string output;
  char part[4096];
  while (const size_t size = std::fread(part, 1, sizeof(part), pipe)) output.append(part, size);
  const int status = ::pclose(pipe);
  EXPECT_EQ(status, 0) << command;
  return output;
}

// A child process that runs `begin` and then sleeps until it is destroyed (or this process ends).
class Child {
 public:
  // Returns when the child has run `begin`, which returns whether it succeeded.
  explicit Child(const std::function<bool()>& begin) {
    int ready[2];
    if (::pipe2(ready, O_CLOEXEC) != 0) return;
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent || !begin()) ::_exit(1);
      if (::write(ready[1], "", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char byte;
    good_ = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  bool good() const { return good_; }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  bool good_ = false;
};

// Returns the result of `say`, run in a child process, which may give up privileges and namespaces.
inline std::string in_child(const std::function<std::string()>& say) {
  int answer[2];
  if (::pipe2(answer, O_CLOEXEC) != 0) return "cannot make a pipe";
  const pid_t pid = ::fork();
  if (pid == 0) {
    const std::string text = say();
    ::_exit(::write(answer[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0
                                                                                              : 1);
  }
  ::close(answer[1]);
  std::string text;
  char part[4096];
  for (ssize_t size; (size = ::read(answer[0], part, sizeof(part))) > 0;)
    text.append(part, static_cast<size_t>(size));
  ::close(answer[0]);
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0) << "the child process failed";
  return text;
}

// Runs each test in its own network namespace, which is silent: without IPv6 only the test sends
// packets.
class OwnNetworkNamespace : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!has_capability(CAP_SYS_ADMIN) || !has_capability(CAP_NET_ADMIN))
      GTEST_SKIP() << "needs CAP_SYS_ADMIN and CAP_NET_ADMIN for network namespaces";
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0) << std::strerror(errno);
    for (const char* which : {"all", "default"})
      std::ofstream(std::string("/proc/sys/net/ipv6/conf/") + which + "/disable_ipv6") << 1;
  }
};

}  // namespace flowmeter::testing
