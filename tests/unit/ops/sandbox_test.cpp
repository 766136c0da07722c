// SPDX-License-Identifier: BSD-3-Clause
// What a process in the sandbox can and cannot do, attempt by attempt. Each runs in a child of its
// own, because no one gets out of the sandbox again.
#include "ops/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "base/unique_fd.h"

namespace flowmeter {
namespace {

constexpr int kKilled = -1;
// 0: it succeeded.
using Attempt = std::function<int()>;

int error_of(long result) {
  return result >= 0 ? 0 : errno;
}

class SandboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const Sandbox sandbox = available_sandbox();
    if (!sandbox.is_whole()) GTEST_SKIP() << sandbox.text();
    char pattern[] = "/tmp/fmtest-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    directory_ = pattern;
    for (const char* each : {"in", "out", "other"}) std::filesystem::create_directory(path(each));
    for (const char* each : {"in/x.pcap", "out/old", "other/secret", "rows.csv"})
      std::ofstream(path(each)) << "text\n";
    needs_.reads = {path("in"), path("no-such-file"), "/dev/fd/0"};
    needs_.changes = {path("out"), path("rows.csv")};
  }
  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  // What became of the attempt in the sandbox: its errno value, 0 or kKilled.
  int outcome(const Attempt& attempt) const {
    constexpr int kNoSandbox = 254;
    const pid_t child = ::fork();
    if (child == 0) {
      // The exit status is the answer, so nothing may write a core.
      ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
      if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !enter_sandbox(needs_).is_whole())
        ::_exit(kNoSandbox);
      ::_exit(attempt());
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) return kKilled;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != kNoSandbox) << status;
    return WEXITSTATUS(status);
  }

  int opening(const std::string& file, int flags) const {
    return outcome([&] { return error_of(::open(file.c_str(), flags, 0600)); });
  }

  std::string directory_;
  Confinement needs_;
};

TEST_F(SandboxTest, ReadsItsInputsOnly) {
  EXPECT_EQ(opening(path("in/x.pcap"), O_RDONLY), 0);
  EXPECT_EQ(opening(path("in"), O_RDONLY | O_DIRECTORY), 0);
  EXPECT_EQ(opening(path("in/x.pcap"), O_WRONLY), EACCES);
  EXPECT_EQ(opening(path("in/new"), O_WRONLY | O_CREAT), EACCES);
  EXPECT_EQ(opening(path("other/secret"), O_RDONLY), EACCES);
  EXPECT_EQ(opening("/etc/passwd", O_RDONLY), EACCES);
  EXPECT_EQ(opening("/proc/self/mem", O_RDWR), EACCES);
  EXPECT_EQ(opening(path("in/../other/secret"), O_RDONLY), EACCES);
}

TEST_F(SandboxTest, ChangesItsOutputsOnly) {
  EXPECT_EQ(opening(path("rows.csv"), O_RDWR | O_TRUNC), 0);
  EXPECT_EQ(opening(path("out/old"), O_WRONLY | O_TRUNC), 0);
  EXPECT_EQ(opening(path("out/new"), O_WRONLY | O_CREAT | O_EXCL), 0);
  EXPECT_EQ(outcome([this] {
              return error_of(::rename(path("out/new").c_str(), path("out/old").c_str()));
            }),
            0);
  EXPECT_EQ(outcome([this] { return error_of(::unlink(path("out/old").c_str())); }), 0);
  EXPECT_EQ(outcome([this] { return error_of(::mkdir(path("out/spool").c_str(), 0700)); }), 0);
  EXPECT_EQ(outcome([this] { return error_of(::symlink("/etc", path("out/link").c_str())); }),
            ENOSYS);
  EXPECT_EQ(opening(path("other/new"), O_WRONLY | O_CREAT), EACCES);
  EXPECT_EQ(outcome([this] { return error_of(::unlink(path("other/secret").c_str())); }), EACCES);
  EXPECT_EQ(outcome([this] { return error_of(::truncate(path("other/secret").c_str(), 0)); }),
            ENOSYS);
  EXPECT_TRUE(std::filesystem::exists(path("other/secret")));
}

TEST_F(SandboxTest, RemovesADirectoryFromOneItMayNotChange) {
  std::filesystem::create_directory(path("other/pins"));
  const Attempt remove = [this] { return error_of(::rmdir(path("other/pins").c_str())); };
  EXPECT_EQ(outcome(remove), EACCES);
  needs_.removes_directories_from = {path("other")};
  EXPECT_EQ(outcome(remove), 0);
  EXPECT_EQ(outcome([this] { return error_of(::unlink(path("other/secret").c_str())); }), EACCES);
}

TEST_F(SandboxTest, RemovesAFileFromADirectoryItMayNotChange) {
  const Attempt remove = [this] { return error_of(::unlink(path("other/secret").c_str())); };
  EXPECT_EQ(outcome(remove), EACCES);
  needs_.removes_files_from = {path("other")};
  EXPECT_EQ(opening(path("other/new"), O_WRONLY | O_CREAT), EACCES);
  EXPECT_EQ(opening(path("other/secret"), O_RDONLY), EACCES);
  EXPECT_EQ(outcome(remove), 0);
}

TEST_F(SandboxTest, FilesThatAreOpenStayUsable) {
  const UniqueFd secret(::open(path("other/secret").c_str(), O_RDWR));
  EXPECT_EQ(outcome([&] {
              char byte = 0;
              if (::pread(secret.get(), &byte, 1, 0) != 1 || byte != 't') return EIO;
              return error_of(::ftruncate(secret.get(), 0));
            }),
            0);
}

TEST_F(SandboxTest, AnAttemptToTakeOverMoreEndsTheProcess) {
  struct Row {
    const char* what;
    Attempt attempt;
  };
  const Row rows[] = {
      {"execve", [] { return error_of(::execl("/bin/true", "true", nullptr)); }},
      {"ptrace", [] { return error_of(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)); }},
      {"mount", [] { return error_of(::mount("none", "/tmp", "tmpfs", 0, nullptr)); }},
      {"unshare", [] { return error_of(::unshare(CLONE_NEWUSER)); }},
      {"setns", [] { return error_of(::setns(0, 0)); }},
      {"chroot", [] { return error_of(::chroot("/")); }},
      {"init_module", [] { return error_of(::syscall(SYS_init_module, nullptr, 0, "")); }},
      {"kexec_load", [] { return error_of(::syscall(SYS_kexec_load, 0, 0, nullptr, 0)); }},
      {"perf_event_open",
       [] { return error_of(::syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0)); }},
      {"process_vm_readv",
       [] {
         return error_of(::syscall(SYS_process_vm_readv, ::getppid(), nullptr, 0, nullptr, 0, 0));
       }},
      {"bpf: load a program",
       [] { return error_of(::syscall(SYS_bpf, BPF_PROG_LOAD, nullptr, 0)); }},
      {"bpf: create a map",
       [] { return error_of(::syscall(SYS_bpf, BPF_MAP_CREATE, nullptr, 0)); }},
      {"the same in a thread",
       [] {
         std::thread([] { ::execl("/bin/true", "true", nullptr); }).join();
         return 0;
       }},
  };
  for (const bool meters : {false, true}) {
    needs_.meters = meters;
    for (const Row& row : rows)
      EXPECT_EQ(outcome(row.attempt), kKilled) << row.what << (meters ? ", live" : ", replay");
  }
}

TEST_F(SandboxTest, OtherCallsOnlyFail) {
  EXPECT_EQ(outcome([] { return error_of(::personality(0xffffffff)); }), ENOSYS);
  EXPECT_EQ(outcome([] { return error_of(::syscall(SYS_io_uring_setup, 1, nullptr)); }), ENOSYS);
  EXPECT_EQ(outcome([] { return error_of(::setuid(0)); }), ENOSYS);
  EXPECT_EQ(outcome([] { return error_of(::kill(::getppid(), 0)); }), ENOSYS);
  EXPECT_EQ(outcome([] { return error_of(::ioctl(STDIN_FILENO, TIOCSTI, "x")); }), ENOSYS);
  EXPECT_EQ(outcome([] { return error_of(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)); }), ENOSYS);
  EXPECT_EQ(outcome([] {
              // A child in new namespaces; fork() itself is allowed.
              return error_of(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
            }),
            ENOSYS);
}

// The attempt to map code that did not come with the program.
int map_code() {
  void* const code =
      ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return code == MAP_FAILED ? errno : 0;
}

TEST_F(SandboxTest, ThreadsStartAndShareIt) {
  EXPECT_EQ(
      outcome([this] {
        int error = 0;
        std::thread([&] { error = error_of(::open(path("other/secret").c_str(), 0)); }).join();
        return error;
      }),
      EACCES);
  EXPECT_EQ(outcome(map_code), ENOSYS);
}

// A connection to a listening socket of the test.
class SandboxedConnection : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    if (IsSkipped()) return;
    listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM, 0));
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address_);
    ASSERT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address_), size), 0);
    ASSERT_EQ(::listen(listener_.get(), 1), 0);
    ASSERT_EQ(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address_), &size), 0);
  }
  int connecting() const {
    return outcome([this] {
      const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
      if (fd < 0) return errno;
      return error_of(
          ::connect(fd, reinterpret_cast<const sockaddr*>(&address_), sizeof(address_)));
    });
  }
  UniqueFd listener_;
  sockaddr_in address_{};
};

TEST_F(SandboxedConnection, IsForRunsThatSendToServers) {
  EXPECT_EQ(connecting(), ENOSYS);
  EXPECT_EQ(outcome([] { return error_of(::socket(AF_UNIX, SOCK_DGRAM, 0)); }), ENOSYS);
  needs_.meters = true;  // queries interfaces, and no more
  EXPECT_EQ(connecting(), ENOSYS);
  EXPECT_EQ(outcome([] { return error_of(::socket(AF_UNIX, SOCK_DGRAM, 0)); }), 0);
  EXPECT_EQ(outcome([] { return error_of(::socket(AF_NETLINK, SOCK_RAW, 0)); }), 0);
  EXPECT_EQ(outcome([] { return error_of(::socket(AF_PACKET, SOCK_RAW, 0)); }), ENOSYS);
  EXPECT_EQ(outcome([] { return error_of(::socket(AF_INET6, SOCK_DGRAM, 0)); }), ENOSYS);
  needs_.connects = true;
  EXPECT_EQ(connecting(), 0);
  EXPECT_EQ(opening("/etc/resolv.conf", O_RDONLY), 0);
  EXPECT_EQ(opening("/etc/resolv.conf", O_RDWR), EACCES);
  EXPECT_EQ(outcome(map_code), 0);
}

TEST_F(SandboxedConnection, IsAcceptedOnOneSocketOnly) {
  const UniqueFd other(::dup(listener_.get()));
  ASSERT_EQ(::fcntl(listener_.get(), F_SETFL, O_NONBLOCK), 0);  // of both
  const auto accepting = [this](const UniqueFd& socket) {
    return outcome([&] { return error_of(::accept4(socket.get(), nullptr, nullptr, 0)); });
  };
  needs_.meters = true;
  EXPECT_EQ(accepting(listener_), ENOSYS);
  needs_.accepts = listener_.get();
  EXPECT_EQ(accepting(listener_), EAGAIN) << "nobody connects";
  EXPECT_EQ(accepting(other), ENOSYS);
  EXPECT_EQ(connecting(), ENOSYS);
}

}  // namespace
}  // namespace flowmeter
