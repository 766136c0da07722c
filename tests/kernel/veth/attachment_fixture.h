// SPDX-License-Identifier: BSD-3-Clause
// Shared by the tests of attaching. Each test makes a network and a mount namespace for its
// process. Nothing in them outlives it.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "kernel/attachment.h"
#include "kernel/clsact.h"
#include "kernel/interface.h"
#include "kernel/traffic_control.h"
#include "ops/privileges.h"
#include "support/raw_bpf.h"

namespace flowmeter::testing {

constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
constexpr int kPassOn = -1;  // TCX_NEXT, TC_ACT_UNSPEC
constexpr int kDrop = 2;     // TCX_DROP, TC_ACT_SHOT
constexpr char kPins[] = "/sys/fs/bpf";

inline bool wait_for(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// The output of a command, which must succeed.
inline std::string run(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "re");
  std::string output;
  char part[4096];
  while (const size_t size = std::fread(part, 1, sizeof(part), pipe)) output.append(part, size);
  EXPECT_EQ(::pclose(pipe), 0) << command << ": " << output;
  return output;
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A program that counts the packets it sees and answers them all with one verdict.
class Counter {
 public:
  explicit Counter(int verdict, const char* name = "counter",
                   bpf_prog_type type = BPF_PROG_TYPE_SCHED_CLS)
      : map_(create_raw_map(BPF_MAP_TYPE_ARRAY, sizeof(uint64_t), 1)) {
    std::vector<bpf_insn> code;
    bpf::load_map(code, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, map_.get());
    code.push_back(bpf::mov_imm(BPF_REG_2, 1));
    code.push_back(
        bpf::instruction(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_1, BPF_REG_2, 0, BPF_ADD));
    code.push_back(bpf::mov_imm(BPF_REG_0, verdict));
    code.push_back(bpf::exit());
    LIBBPF_OPTS(bpf_prog_load_opts, options);
    if (type == BPF_PROG_TYPE_XDP) options.expected_attach_type = BPF_XDP;
    if (type == BPF_PROG_TYPE_XDP) options.prog_flags = BPF_F_XDP_HAS_FRAGS;
    program_ = UniqueFd(bpf_prog_load(type, name, "GPL", code.data(), code.size(), &options));
    EXPECT_TRUE(program_) << std::strerror(errno);
  }

  int fd() const { return program_.get(); }
  uint32_t id() const {
    bpf_prog_info info{};
    __u32 size = sizeof(info);
    EXPECT_EQ(bpf_obj_get_info_by_fd(fd(), &info, &size), 0);
    return info.id;
  }
  uint64_t count() const {
    const uint32_t zero = 0;
    uint64_t value = 0;
    EXPECT_EQ(bpf_map_lookup_elem(map_.get(), &zero, &value), 0);
    return value;
  }

 private:
  UniqueFd map_, program_;
};

class XdpCounter : public Counter {
 public:
  explicit XdpCounter(const char* name = "counter") : Counter(XDP_PASS, name, BPF_PROG_TYPE_XDP) {}
};

// A process that attaches to both directions and then waits; killed at the end.
class Owner {
 public:
  Owner(
      const Counter& counter, const Interface& interface,
      const std::function<void()>& when_asked = [] {}) {
    int commands[2], answers[2];
    if (::pipe2(commands, O_CLOEXEC) != 0 || ::pipe2(answers, O_CLOEXEC) != 0) std::abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      int status = 1;
      {
        auto in =
            Attachment::clsact(counter.fd(), interface, Direction::kIngress, AttachOrder::kFirst);
        auto out =
            Attachment::clsact(counter.fd(), interface, Direction::kEgress, AttachOrder::kFirst);
        char byte = in && out ? 'r' : '!';
        if (::write(answers[1], &byte, 1) == 1 && ::read(commands[0], &byte, 1) == 1) {
          when_asked();
          status = 0;
        }
      }
      ::_exit(status);
    }
    commands_ = UniqueFd(commands[1]);
    const UniqueFd reader(commands[0]), answer(answers[0]), writer(answers[1]);
    char byte = 0;
    EXPECT_EQ(::read(answer.get(), &byte, 1), 1);
    EXPECT_EQ(byte, 'r') << "the owner could not attach";
  }
  ~Owner() { kill(); }

  pid_t pid() const { return pid_; }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  // Detaches and exits.
  void leave() {
    EXPECT_EQ(::write(commands_.get(), "q", 1), 1);
    int status = -1;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    EXPECT_EQ(status, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
  UniqueFd commands_;
};

inline std::string line_of(const std::string& path, const std::string& start = "") {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(start)) return line.substr(start.size());
  return "";
}

// Guardian processes, found by name: the children of `parent`, or if that is 0 all in this network
// namespace.
inline std::vector<pid_t> guardians(pid_t parent) {
  struct stat ours {};
  ::stat("/proc/thread-self/ns/net", &ours);
  std::vector<pid_t> found;
  DIR* processes = ::opendir("/proc");
  while (const dirent* entry = ::readdir(processes)) {
    const std::string process = std::string("/proc/") + entry->d_name;
    if (line_of(process + "/comm") != "flowmeter-guard") continue;
    struct stat theirs {};
    if (::stat((process + "/ns/net").c_str(), &theirs) != 0 || theirs.st_ino != ours.st_ino)
      continue;
    if (parent == 0 || std::stoi(line_of(process + "/status", "PPid:")) == parent)
      found.push_back(std::stoi(entry->d_name));
  }
  ::closedir(processes);
  return found;
}

class AttachmentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = missing_capabilities(); !missing.empty())
      GTEST_SKIP() << "needs " << missing;
    libbpf_set_print(nullptr);  // it would print every refusal
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0)
      GTEST_SKIP() << "needs network and mount namespaces: " << std::strerror(errno);
    // A separate BPF file system, which nobody else sees.
    ASSERT_EQ(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << std::strerror(errno);
    ASSERT_EQ(::mount("bpf", kPins, "bpf", 0, nullptr), 0) << std::strerror(errno);
    // Without IPv6, only the test sends packets.
    run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6;"
        "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6;"
        "ip link add veth0 type veth peer name veth1;"
        "ip link set veth0 up; ip link set veth1 up; ip link set lo up");
    auto found = find_interface("veth0");
    ASSERT_TRUE(found) << found.error().message();
    veth0_ = *found;
  }

  // Sends packets out of this interface. They arrive at the other end before this returns, or soon
  // after.
  static void send(const char* interface, int packets) {
    const UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    std::array<uint8_t, 60> frame{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5};
    struct sockaddr_ll to {};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(::if_nametoindex(interface));
    for (int i = 0; i < packets; i++) {
      const auto* address = reinterpret_cast<const struct sockaddr*>(&to);
      ASSERT_EQ(::sendto(socket.get(), frame.data(), frame.size(), 0, address, sizeof(to)), 60)
          << std::strerror(errno);
    }
  }
  static void receive_on_veth0(int packets) { send("veth1", packets); }
  static void send_from_veth0(int packets) { send("veth0", packets); }

  static std::string qdiscs() { return run("tc qdisc show dev veth0"); }
  static std::string filters() {
    return run("tc filter show dev veth0 ingress; tc filter show dev veth0 egress");
  }
  static bool no_trace() { return !contains(qdiscs(), "clsact"); }

  std::vector<uint32_t> tcx_programs(bpf_attach_type type) const {
    std::array<__u32, 64> ids{};
    __u32 count = ids.size();
    EXPECT_EQ(bpf_prog_query(static_cast<int>(veth0_.index), type, 0, nullptr, ids.data(), &count),
              0);
    return {ids.begin(), ids.begin() + count};
  }

  UniqueFd foreign_tcx(const Counter& program, bpf_attach_type type) const {
    const int fd = bpf_link_create(program.fd(), static_cast<int>(veth0_.index), type, nullptr);
    EXPECT_GE(fd, 0);
    return UniqueFd(fd);
  }

  // Attaches by libbpf, as other programs do.
  void foreign_filter(const Counter& program, uint32_t priority) const {
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(veth0_.index),
                .attach_point = static_cast<bpf_tc_attach_point>(BPF_TC_INGRESS | BPF_TC_EGRESS));
    const int created = bpf_tc_hook_create(&hook);
    EXPECT_TRUE(created == 0 || created == -EEXIST);
    hook.attach_point = BPF_TC_INGRESS;
    LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program.fd(), .handle = 1, .priority = priority);
    EXPECT_EQ(bpf_tc_attach(&hook, &options), 0);
  }

  Interface veth0_;
};

// Force-detaches a link behind its owner's back.
inline void detach_link_of(uint32_t program_id) {
  for (__u32 id = 0; bpf_link_get_next_id(id, &id) == 0;) {
    const UniqueFd link(bpf_link_get_fd_by_id(id));
    bpf_link_info info{};
    __u32 size = sizeof(info);
    if (link && bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0 &&
        info.prog_id == program_id) {
      EXPECT_EQ(bpf_link_detach(link.get()), 0);
      return;
    }
  }
  FAIL() << "no link has program " << program_id;
}

}  // namespace flowmeter::testing
