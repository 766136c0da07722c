// SPDX-License-Identifier: BSD-3-Clause
// The notes that the cgroup programs and the iterator leave in sockets.
#include "kernel/socket_owners.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <vector>

#include "api/embedded_host.h"
#include "base/unique_fd.h"
#include "flowmeter/abi.h"
#include "support/raw_bpf.h"
#include "veth/cgroup_mount.h"
#include "veth/own_namespaces.h"

namespace flowmeter::testing {
namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int call(int (*function)(int, const sockaddr*, socklen_t), const UniqueFd& socket, uint16_t port) {
  const sockaddr_in to = loopback(port);
  return function(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to));
}

int send_to(int socket, const sockaddr* to, socklen_t size) {
  return ::sendto(socket, "x", 1, 0, to, size) == 1 ? 0 : -1;
}

class SocketOwnersTest : public OwnNetworkNamespace {
 protected:
  void SetUp() override {
    OwnNetworkNamespace::SetUp();
    if (IsSkipped()) return;
    ASSERT_NE(cgroup_mount(), "") << "no cgroup2 is mounted";
    libbpf_set_print(nullptr);  // it would print every refusal
    map_ = create_socket_owners_map();
    run("ip link set lo up");
  }

  void open() {
    auto opened = SocketOwners::open(cgroup_mount(), map_.get(), host_);
    ASSERT_TRUE(opened) << opened.error().message();
    owners_ = std::move(*opened);
  }

  std::string log() {
    std::string text;
    for (const LogLine& line : host_.take_lines()) text += line.level + ": " + line.text + "\n";
    return text;
  }

  std::optional<fm_socket_owner> owner(const UniqueFd& socket) const {
    const int key = socket.get();
    fm_socket_owner found{};
    if (bpf_map_lookup_elem(map_.get(), &key, &found) != 0) return std::nullopt;
    return found;
  }

  void expect_pid(const UniqueFd& socket, pid_t pid, const char* what) const {
    const auto found = owner(socket);
    ASSERT_TRUE(found) << what << ": no note";
    EXPECT_EQ(found->pid, static_cast<uint32_t>(pid)) << what;
  }

  static UniqueFd new_socket(int type) {
    UniqueFd socket(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    EXPECT_TRUE(socket) << std::strerror(errno);
    return socket;
  }

  EmbeddedHost host_;
  UniqueFd map_;
  std::unique_ptr<SocketOwners> owners_;
};

TEST_F(SocketOwnersTest, WhoMakesASocketOwnsIt) {
  ASSERT_NO_FATAL_FAILURE(open());
  ::prctl(PR_SET_NAME, "a \"b\",\n=c");
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    const UniqueFd socket = new_socket(type);
    expect_pid(socket, ::getpid(), "made here");
    EXPECT_STREQ(reinterpret_cast<const char*>(owner(socket)->comm), "a \"b\",\n=c");
  }
}

TEST_F(SocketOwnersTest, WhoUsesASocketThatWasPassedOwnsIt) {
  ASSERT_NO_FATAL_FAILURE(open());
  const struct {
    const char* what;
    int type;
    int (*function)(int, const sockaddr*, socklen_t);
  } uses[] = {{"bind", SOCK_STREAM, ::bind},
              {"connect", SOCK_DGRAM, ::connect},
              {"sendto", SOCK_DGRAM, send_to}};
  for (const auto& use : uses) {
    const UniqueFd socket = new_socket(use.type);
    const Child child([&] { return call(use.function, socket, 4242) == 0; });
    ASSERT_TRUE(child.good()) << use.what;
    expect_pid(socket, child.pid(), use.what);
  }
  const UniqueFd socket = new_socket(SOCK_DGRAM);
  const Child idle([&] { return ::send(socket.get(), "x", 1, 0) < 0; });  // it is not connected
  expect_pid(socket, ::getpid(), "open in another process, which does not use it");
}

TEST_F(SocketOwnersTest, ConnectionHasTheOwnerOfItsListener) {
  ASSERT_NO_FATAL_FAILURE(open());
  const UniqueFd listener = new_socket(SOCK_STREAM);
  const Child server(
      [&] { return call(::bind, listener, 4242) == 0 && ::listen(listener.get(), 8) == 0; });
  ASSERT_TRUE(server.good());
  const UniqueFd client = new_socket(SOCK_STREAM);
  ASSERT_EQ(call(::connect, client, 4242), 0) << std::strerror(errno);
  const UniqueFd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  expect_pid(accepted, server.pid(), "accepted");
  expect_pid(client, ::getpid(), "connected");
}

TEST_F(SocketOwnersTest, NoteOutlivesTheProcess) {
  ASSERT_NO_FATAL_FAILURE(open());
  const UniqueFd socket = new_socket(SOCK_DGRAM);
  pid_t gone = 0;
  {
    const Child child([&] { return call(send_to, socket, 4242) == 0; });
    gone = child.pid();
  }
  expect_pid(socket, gone, "the last that has sent, which has ended");
}

// The sockets are older than the programs. An open file of another kind is no obstacle.
TEST_F(SocketOwnersTest, OlderSocketsAreNotedAtStart) {
  const UniqueFd listener = new_socket(SOCK_STREAM);
  const UniqueFd datagrams(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const UniqueFd local(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(call(::bind, listener, 4242), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  ASSERT_FALSE(owner(listener));
  ASSERT_NO_FATAL_FAILURE(open());
  expect_pid(listener, ::getpid(), "an older listener");
  if (datagrams) expect_pid(datagrams, ::getpid(), "an older IPv6 socket");
  EXPECT_FALSE(owner(local)) << "not an IP socket";
  const UniqueFd client = new_socket(SOCK_STREAM);
  ASSERT_EQ(call(::connect, client, 4242), 0);
  const UniqueFd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  expect_pid(accepted, ::getpid(), "accepted from an older listener");
  EXPECT_EQ(log(), "");
}

TEST_F(SocketOwnersTest, ProcessesOfOtherPidNamespacesHaveTheHostsPids) {
  ASSERT_NO_FATAL_FAILURE(open());
  const UniqueFd socket = new_socket(SOCK_DGRAM);
  EXPECT_EQ(in_child([&]() -> std::string {
              if (::unshare(CLONE_NEWPID) != 0) return "no namespace";
              const pid_t pid = ::fork();
              if (pid == 0) ::_exit(::getpid() == 1 && call(send_to, socket, 4242) == 0 ? 0 : 1);
              int status = -1;
              ::waitpid(pid, &status, 0);
              if (status != 0) return "pid 1 of the namespace could not send";
              const auto found = owner(socket);
              return found && found->pid == static_cast<uint32_t>(pid) ? "as here" : "another pid";
            }),
            "as here");
}

TEST_F(SocketOwnersTest, WithoutTheHostsPidNamespaceOlderSocketsAreUnknown) {
  EXPECT_EQ(in_child([&]() -> std::string {
              if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return "no namespaces";
              return in_child([&]() -> std::string {
                ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
                if (::mount("proc", "/proc", "proc", 0, nullptr) != 0) return "no /proc";
                auto opened = SocketOwners::open(cgroup_mount(), map_.get(), host_);
                return opened ? log() : opened.error().message();
              });
            }),
            "warning: the processes of sockets that are older than the meter are unknown: only "
            "processes in its own PID namespace are visible (in a container: use the host's, "
            "hostPID)\n");
}

TEST_F(SocketOwnersTest, NothingIsNotedAfterTheEnd) {
  ASSERT_NO_FATAL_FAILURE(open());
  owners_.reset();
  const UniqueFd socket = new_socket(SOCK_DGRAM);
  EXPECT_FALSE(owner(socket));
  EXPECT_EQ(call(send_to, socket, 4242), 0);
}

TEST_F(SocketOwnersTest, Errors) {
  auto opened = SocketOwners::open("/nosuch", map_.get(), host_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message(), "cannot open /nosuch: No such file or directory");
  opened = SocketOwners::open("/proc", map_.get(), host_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().message(),
            "cannot attach cgroup/sock_create to /proc: Bad file descriptor");
}

}  // namespace
}  // namespace flowmeter::testing
