// SPDX-License-Identifier: BSD-3-Clause
// Measures what it costs a process that its sockets' owners are noted (--attribute process): ns per
// call, with and without the cgroup programs. Needs root.
//
// The calls are made in short slices, in turn with and without, so that other work on the machine
// affects both equally. The result of a round is the median slice of each.
//
// socket_owners_bench ROUNDS    prints one JSON object per line, for each call and round
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "api/embedded_host.h"
#include "containers/cgroup_tree.h"
#include "kernel/socket_owners.h"
#include "support/raw_bpf.h"

namespace flowmeter {
namespace {

constexpr int kCalls = 2000;  // per slice
constexpr int kSlices = 31;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "socket_owners_bench: %s\n", what.c_str());
  std::exit(1);
}

// Nobody listens on the loopback interface of a new network namespace, which is down, so a datagram
// goes no further than the hook and the search for a route.
class Calls {
 public:
  Calls() : socket_(make()) {
    to_.sin_family = AF_INET;
    to_.sin_port = htons(9);
    to_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }

  void make_and_close() const { ::close(make()); }
  void connect() const { (void)::connect(socket_, address(), sizeof(to_)); }
  void send() const { (void)::sendto(socket_, "x", 1, MSG_DONTWAIT, address(), sizeof(to_)); }

 private:
  static int make() { return ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); }
  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&to_); }

  const int socket_;
  sockaddr_in to_{};
};

// CPU time: the slice after programs were loaded is the one in which others get the processor.
double cpu_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

double ns_per_call(const std::function<void()>& call) {
  const double begin = cpu_ns();
  for (int i = 0; i < kCalls; i++) call();
  return (cpu_ns() - begin) / kCalls;
}

double median(std::vector<double> numbers) {
  std::nth_element(numbers.begin(), numbers.begin() + kSlices / 2, numbers.end());
  return numbers[kSlices / 2];
}

void measure(const char* name, const std::function<void()>& call, const std::string& tree,
             int map_fd) {
  EmbeddedHost host;
  std::array<std::vector<double>, 2> ns;
  for (int slice = 0; slice < kSlices; slice++)
    for (const bool noted : {false, true}) {
      std::unique_ptr<SocketOwners> owners;
      if (noted) {
        auto opened = SocketOwners::open(tree, map_fd, host);
        if (!opened) fail(opened.error().message());
        owners = std::move(*opened);
      }
      call();  // the first call may find another owner
      ns[noted].push_back(ns_per_call(call));
    }
  std::printf("{\"call\": \"%s\", \"ns\": %.1f, \"ns_noted\": %.1f}\n", name, median(ns[0]),
              median(ns[1]));
}

}  // namespace
}  // namespace flowmeter

int main(int argc, char** argv) {
  using namespace flowmeter;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 1;
  if (::unshare(CLONE_NEWNET) != 0) fail("needs root for a network namespace");
  auto tree = CgroupTree::open();
  if (!tree) fail(tree.error().message());
  libbpf_set_print(nullptr);
  const UniqueFd map = create_socket_owners_map();
  const Calls connected, unconnected;
  for (int round = 0; round < rounds; round++) {
    measure(
        "socket() and close()", [&] { connected.make_and_close(); }, tree->mount(), map.get());
    measure(
        "connect(), UDP", [&] { connected.connect(); }, tree->mount(), map.get());
    measure(
        "sendto(), UDP", [&] { unconnected.send(); }, tree->mount(), map.get());
  }
}
