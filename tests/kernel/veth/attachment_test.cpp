// SPDX-License-Identifier: BSD-3-Clause
// Attaching beside others and leaving nothing behind: each hook, by what the kernel lists and by
// which packets arrive. Each test makes a network and a mount namespace of its own for its process;
// nothing in them outlives it.
#include "kernel/attachment.h"

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
#include "kernel/clsact.h"
#include "kernel/interface.h"
#include "kernel/traffic_control.h"
#include "ops/privileges.h"
#include "support/raw_bpf.h"

namespace flowmeter::testing {
namespace {

constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
constexpr int kPassOn = -1;  // TCX_NEXT, TC_ACT_UNSPEC
constexpr int kDrop = 2;     // TCX_DROP, TC_ACT_SHOT
const char kPins[] = "/sys/fs/bpf";

bool wait_for(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// Standard output of a command of which both status and standard error must be clean.
std::string run(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "re");
  std::string output;
  char part[4096];
  while (const size_t size = std::fread(part, 1, sizeof(part), pipe)) output.append(part, size);
  EXPECT_EQ(::pclose(pipe), 0) << command << ": " << output;
  return output;
}

bool contains(const std::string& text, const std::string& part) {
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
        char octet = in && out ? 'r' : '!';
        if (::write(answers[1], &octet, 1) == 1 && ::read(commands[0], &octet, 1) == 1) {
          when_asked();
          status = 0;
        }
      }
      ::_exit(status);
    }
    commands_ = UniqueFd(commands[1]);
    const UniqueFd reader(commands[0]), answer(answers[0]), writer(answers[1]);
    char octet = 0;
    EXPECT_EQ(::read(answer.get(), &octet, 1), 1);
    EXPECT_EQ(octet, 'r') << "the owner could not attach";
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

std::string line_of(const std::string& path, const std::string& start = "") {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(start)) return line.substr(start.size());
  return "";
}

// Processes named as guardians whose parent is this one; 0: any in this network namespace.
std::vector<pid_t> guardians(pid_t parent) {
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
    libbpf_set_print(nullptr);  // it says what is asked of it and refused
    if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0)
      GTEST_SKIP() << "needs network and mount namespaces: " << std::strerror(errno);
    // A BPF file system of our own, seen by nobody else.
    ASSERT_EQ(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << std::strerror(errno);
    ASSERT_EQ(::mount("bpf", kPins, "bpf", 0, nullptr), 0) << std::strerror(errno);
    // Nothing but the packets of the test.
    run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6;"
        "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6;"
        "ip link add veth0 type veth peer name veth1;"
        "ip link set veth0 up; ip link set veth1 up; ip link set lo up");
    auto found = find_interface("veth0");
    ASSERT_TRUE(found) << found.error().message();
    veth0_ = *found;
  }

  // Packets that leave by this interface. The other end has them when this returns, or soon after.
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

  // By libbpf, as other programs do it.
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
void detach_link_of(uint32_t program_id) {
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

// ---- each hook: every packet is seen while attached, none afterwards ----

TEST_F(AttachmentTest, TcxSeesBothDirectionsUntilDestroyed) {
  ASSERT_TRUE(kernel_has_tcx());
  const Counter in(kPassOn), out(kPassOn);
  {
    auto ingress = Attachment::tcx(in.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
    auto egress = Attachment::tcx(out.fd(), veth0_, Direction::kEgress, AttachOrder::kLast);
    ASSERT_TRUE(ingress) << ingress.error().message();
    ASSERT_TRUE(egress) << egress.error().message();
    EXPECT_EQ(ingress->what(), "veth0 ingress (tcx)");
    EXPECT_EQ(egress->what(), "veth0 egress (tcx)");
    EXPECT_TRUE(ingress->in_place() && egress->in_place());
    receive_on_veth0(5);
    send_from_veth0(7);
    EXPECT_TRUE(wait_for([&] { return in.count() == 5 && out.count() == 7; }));
  }
  EXPECT_TRUE(tcx_programs(kTcxIngress).empty() && tcx_programs(kTcxEgress).empty());
  receive_on_veth0(1);
  send_from_veth0(1);
  EXPECT_EQ(in.count() + out.count(), 12u);
}

TEST_F(AttachmentTest, ClsactSeesBothDirectionsUntilDestroyed) {
  const Counter in(kPassOn), out(kPassOn);
  const std::string before = qdiscs();
  {
    auto ingress = Attachment::clsact(in.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
    auto egress = Attachment::clsact(out.fd(), veth0_, Direction::kEgress, AttachOrder::kLast);
    ASSERT_TRUE(ingress) << ingress.error().message();
    ASSERT_TRUE(egress) << egress.error().message();
    EXPECT_EQ(ingress->what(), "veth0 ingress (clsact)");
    EXPECT_TRUE(ingress->in_place() && egress->in_place());
    EXPECT_TRUE(contains(filters(), "flowmeter-ebpf/")) << filters();
    EXPECT_TRUE(contains(filters(), "direct-action")) << filters();
    receive_on_veth0(5);
    send_from_veth0(7);
    EXPECT_TRUE(wait_for([&] { return in.count() == 5 && out.count() == 7; }));
  }
  EXPECT_EQ(qdiscs(), before);
  receive_on_veth0(1);
  EXPECT_EQ(in.count() + out.count(), 12u);
  EXPECT_TRUE(guardians(::getpid()).empty()) << "the guardian ends with the last filter";
}

TEST_F(AttachmentTest, XdpSeesReceivedPacketsUntilDestroyed) {
  for (const bool generic : {false, true}) {
    const XdpCounter counter;
    {
      auto attachment = Attachment::xdp(counter.fd(), veth0_, generic);
      ASSERT_TRUE(attachment) << attachment.error().message();
      EXPECT_EQ(attachment->what(),
                generic ? "veth0 ingress (xdp-generic)" : "veth0 ingress (xdp)");
      EXPECT_TRUE(attachment->in_place());
      EXPECT_TRUE(contains(run("ip link show veth0"), generic ? " xdpgeneric " : " xdp "));
      receive_on_veth0(5);
      EXPECT_TRUE(wait_for([&] { return counter.count() == 5; })) << counter.count();
    }
    EXPECT_FALSE(contains(run("ip link show veth0"), "xdp"));
    receive_on_veth0(1);
    EXPECT_EQ(counter.count(), 5u);
  }
}

TEST_F(AttachmentTest, AttachmentsMove) {
  const Counter counter(kPassOn), other(kPassOn);
  auto first = Attachment::tcx(counter.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  ASSERT_TRUE(first) << first.error().message();
  std::vector<Attachment> all;
  all.push_back(std::move(*first));
  auto second = Attachment::clsact(other.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  ASSERT_TRUE(second) << second.error().message();
  all.push_back(std::move(*second));
  EXPECT_TRUE(all[0].in_place() && all[1].in_place());
  all.clear();
  EXPECT_TRUE(tcx_programs(kTcxIngress).empty());
  EXPECT_TRUE(no_trace());
}

// ---- order among others ----

TEST_F(AttachmentTest, TcxStandsBeforeOrBehindAllOthers) {
  const Counter drops(kDrop), passes(kPassOn), ours(kPassOn);
  const UniqueFd one = foreign_tcx(passes, kTcxIngress), two = foreign_tcx(drops, kTcxIngress);
  const std::vector<uint32_t> others{passes.id(), drops.id()};
  {
    auto first = Attachment::tcx(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
    ASSERT_TRUE(first) << first.error().message();
    EXPECT_EQ(tcx_programs(kTcxIngress), (std::vector{ours.id(), passes.id(), drops.id()}));
    receive_on_veth0(3);
    EXPECT_TRUE(wait_for([&] { return drops.count() == 3; })) << "not passed on";
    EXPECT_EQ(ours.count(), 3u);
  }
  EXPECT_EQ(tcx_programs(kTcxIngress), others);
  {
    auto last = Attachment::tcx(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kLast);
    ASSERT_TRUE(last) << last.error().message();
    EXPECT_EQ(tcx_programs(kTcxIngress), (std::vector{passes.id(), drops.id(), ours.id()}));
    receive_on_veth0(3);
    EXPECT_TRUE(wait_for([&] { return drops.count() == 6; }));
    EXPECT_EQ(ours.count(), 3u) << "saw what was dropped before";
  }
  EXPECT_EQ(tcx_programs(kTcxIngress), others);
}

TEST_F(AttachmentTest, ClsactStandsBeforeOrBehindAllOthers) {
  // With nothing before priority 1, that one is shared.
  for (const uint32_t priority : {10u, 1u, 40000u}) {
    SCOPED_TRACE(priority);
    const Counter drops(kDrop), ours(kPassOn);
    foreign_filter(drops, priority);
    const std::string before = filters();
    {
      auto first = Attachment::clsact(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
      ASSERT_TRUE(first) << first.error().message();
      receive_on_veth0(3);
      EXPECT_TRUE(wait_for([&] { return drops.count() == 3; })) << "not passed on";
      EXPECT_EQ(ours.count(), 3u);
    }
    EXPECT_EQ(filters(), before);
    {
      auto last = Attachment::clsact(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kLast);
      ASSERT_TRUE(last) << last.error().message();
      receive_on_veth0(3);
      EXPECT_TRUE(wait_for([&] { return drops.count() == 6; }));
      EXPECT_EQ(ours.count(), 3u) << "saw what was dropped before";
    }
    EXPECT_EQ(filters(), before);
    run("tc qdisc del dev veth0 clsact");
  }
}

TEST_F(AttachmentTest, ClsactSaysWhenThereIsNoPlaceInOrder) {
  run("tc qdisc add dev veth0 clsact;"
      "tc filter add dev veth0 ingress prio 1 protocol all u32 match u32 0 0;"
      "tc filter add dev veth0 ingress prio 65535 protocol ip u32 match u32 0 0");
  const std::string before = filters();
  const Counter ours(kPassOn);
  auto first = Attachment::clsact(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  ASSERT_FALSE(first);
  EXPECT_TRUE(contains(first.error().message(), "veth0 ingress (clsact)") &&
              contains(first.error().message(), "kind u32") &&
              contains(first.error().message(), "--attach-order last"))
      << first.error().message();
  auto last = Attachment::clsact(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kLast);
  ASSERT_FALSE(last);
  EXPECT_TRUE(contains(last.error().message(), "65535")) << last.error().message();
  EXPECT_EQ(filters(), before);
}

// ---- what others own ----

TEST_F(AttachmentTest, ForeignFiltersAndQdiscSurviveStartEndAndCrash) {
  run("tc qdisc add dev veth0 clsact;"
      "tc filter add dev veth0 ingress prio 7 protocol all u32 match u32 0 0;"
      "tc filter add dev veth0 egress prio 9 protocol ip u32 match u32 1 1");
  const Counter foreign(kPassOn), ours(kPassOn);
  foreign_filter(foreign, 8);
  const std::string before = filters(), before_qdiscs = qdiscs();
  {
    Owner owner(ours, veth0_);
    EXPECT_NE(filters(), before);
    receive_on_veth0(2);
    EXPECT_TRUE(wait_for([&] { return foreign.count() == 2 && ours.count() == 2; }));
    owner.leave();
  }
  EXPECT_EQ(filters(), before);
  EXPECT_EQ(qdiscs(), before_qdiscs);
  {
    Owner owner(ours, veth0_);
    owner.kill();
    EXPECT_TRUE(wait_for([&] { return filters() == before; })) << filters();
  }
  EXPECT_TRUE(wait_for([&] { return guardians(0).empty(); }));
  EXPECT_EQ(filters(), before);
  EXPECT_EQ(qdiscs(), before_qdiscs);
}

TEST_F(AttachmentTest, EmptyForeignQdiscStays) {
  run("tc qdisc add dev veth0 clsact");
  const Counter ours(kPassOn);
  Owner(ours, veth0_).leave();
  EXPECT_FALSE(no_trace());
  EXPECT_EQ(filters(), "");
}

TEST_F(AttachmentTest, OurQdiscStaysForAFilterThatCameMeanwhile) {
  const Counter ours(kPassOn);
  for (const bool crash : {false, true}) {
    for (const char* direction : {"ingress", "egress"}) {
      SCOPED_TRACE(std::string(direction) + (crash ? ", crash" : ""));
      Owner owner(ours, veth0_);
      run(std::string("tc filter add dev veth0 ") + direction +
          " prio 3 protocol all u32 match u32 0 0");
      crash ? owner.kill() : owner.leave();
      EXPECT_TRUE(wait_for([&] { return !contains(filters(), "flowmeter-ebpf"); }));
      EXPECT_TRUE(wait_for([&] { return guardians(0).empty(); }));
      EXPECT_TRUE(contains(filters(), "pref 3 u32")) << filters();
      run("tc qdisc del dev veth0 clsact");
    }
  }
}

TEST_F(AttachmentTest, OurQdiscStaysForAChainThatCameMeanwhile) {
  const Counter ours(kPassOn);
  Owner owner(ours, veth0_);
  run("tc chain add dev veth0 ingress chain 5");
  owner.leave();
  EXPECT_TRUE(contains(run("tc chain show dev veth0 ingress"), "chain 5"));
}

TEST_F(AttachmentTest, QdiscThatReplacedOursStays) {
  const Counter ours(kPassOn);
  auto attachment = Attachment::clsact(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  ASSERT_TRUE(attachment) << attachment.error().message();
  run("tc qdisc del dev veth0 clsact; tc qdisc add dev veth0 clsact");
  EXPECT_FALSE(attachment->in_place());
  attachment = Error{""};
  EXPECT_FALSE(no_trace()) << "removed a qdisc of someone else";
}

TEST_F(AttachmentTest, IngressQdiscOfOthersIsNamed) {
  run("tc qdisc add dev veth0 ingress");
  const Counter ours(kPassOn);
  auto attachment = Attachment::clsact(ours.fd(), veth0_, Direction::kEgress, AttachOrder::kFirst);
  ASSERT_FALSE(attachment);
  EXPECT_TRUE(contains(attachment.error().message(), "kind ingress") &&
              contains(attachment.error().message(), "--hook tcx"))
      << attachment.error().message();
  EXPECT_TRUE(contains(qdiscs(), "qdisc ingress"));
}

TEST_F(AttachmentTest, RefusedProgramLeavesNoQdisc) {
  const XdpCounter wrong_type;
  auto attachment =
      Attachment::clsact(wrong_type.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  ASSERT_FALSE(attachment);
  EXPECT_TRUE(contains(attachment.error().message(), "veth0 ingress (clsact)"))
      << attachment.error().message();
  EXPECT_TRUE(no_trace());
}

TEST_F(AttachmentTest, TcxWithoutRoomSaysWhoIsThere) {
  std::vector<Counter> others;
  std::vector<UniqueFd> links;
  for (int i = 0; i < 64; i++) {
    others.emplace_back(kPassOn, "crowd");
    const int fd =
        bpf_link_create(others.back().fd(), static_cast<int>(veth0_.index), kTcxIngress, nullptr);
    if (fd < 0) break;
    links.emplace_back(fd);
  }
  const Counter ours(kPassOn);
  auto attachment = Attachment::tcx(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  ASSERT_FALSE(attachment);
  EXPECT_TRUE(contains(attachment.error().message(), "\"crowd\"") &&
              contains(attachment.error().message(), "--hook tc "))
      << attachment.error().message();
}

// ---- ends of the owner ----

TEST_F(AttachmentTest, GuardianRemovesFiltersOfAKilledProcess) {
  const Counter ours(kPassOn);
  Owner owner(ours, veth0_);
  ASSERT_FALSE(no_trace());
  ASSERT_EQ(guardians(owner.pid()).size(), 1u) << "one for all filters of the process";
  owner.kill();
  EXPECT_TRUE(wait_for(no_trace)) << filters();
  EXPECT_TRUE(wait_for([&] { return guardians(0).empty(); })) << "the guardian stayed";
}

TEST_F(AttachmentTest, GuardianHoldsNothingAndIgnoresSignals) {
  const Counter ours(kPassOn);
  Owner owner(ours, veth0_);
  const auto found = guardians(owner.pid());
  ASSERT_EQ(found.size(), 1u);
  const pid_t guardian = found[0];
  std::vector<std::string> open;
  const std::string directory = "/proc/" + std::to_string(guardian) + "/fd";
  DIR* files = ::opendir(directory.c_str());
  while (const dirent* entry = ::readdir(files)) {
    char target[256];
    const ssize_t size =
        ::readlink((directory + "/" + entry->d_name).c_str(), target, sizeof(target));
    if (size > 0) open.emplace_back(target, static_cast<size_t>(size));
  }
  ::closedir(files);
  ASSERT_EQ(open.size(), 4u);
  for (size_t standard = 0; standard < 3; standard++) EXPECT_EQ(open[standard], "/dev/null");
  EXPECT_TRUE(open[3].starts_with("socket:")) << open[3];
  EXPECT_EQ(line_of("/proc/" + std::to_string(guardian) + "/comm"), "flowmeter-guard");
  EXPECT_EQ(::getsid(guardian), guardian);

  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1})
    EXPECT_EQ(::kill(guardian, signal), 0);
  owner.kill();
  EXPECT_TRUE(wait_for(no_trace)) << "the guardian did not survive the signals";
}

TEST_F(AttachmentTest, StaleFiltersAreRemovedAtTheNextStart) {
  const Counter ours(kPassOn);
  const auto crash_with_guardian = [&] {
    Owner owner(ours, veth0_);
    for (const pid_t guardian : guardians(owner.pid())) ::kill(guardian, SIGKILL);
    owner.kill();
    EXPECT_TRUE(wait_for([&] { return guardians(0).empty(); }));
    EXPECT_TRUE(contains(filters(), "flowmeter-ebpf/")) << "nothing stale to test with";
  };
  crash_with_guardian();
  auto removed = remove_stale_filters();
  ASSERT_TRUE(removed) << removed.error().message();
  EXPECT_EQ(*removed, 2u);
  EXPECT_TRUE(no_trace());

  crash_with_guardian();  // attaching there does it as well
  {
    auto next = Attachment::clsact(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
    ASSERT_TRUE(next) << next.error().message();
    receive_on_veth0(1);
    EXPECT_TRUE(wait_for([&] { return ours.count() >= 1; }));
    EXPECT_EQ(ours.count(), 1u) << "the stale filter still counts";
  }
  EXPECT_TRUE(no_trace());
}

TEST_F(AttachmentTest, StaleFiltersBesideForeignOnesLeaveTheQdisc) {
  const Counter ours(kPassOn);
  {
    Owner owner(ours, veth0_);
    run("tc filter add dev veth0 ingress prio 3 protocol all u32 match u32 0 0");
    for (const pid_t guardian : guardians(owner.pid())) ::kill(guardian, SIGKILL);
  }
  auto removed = remove_stale_filters();
  ASSERT_TRUE(removed) << removed.error().message();
  EXPECT_EQ(*removed, 2u);
  EXPECT_TRUE(contains(filters(), "pref 3 u32"));
  EXPECT_FALSE(contains(filters(), "flowmeter-ebpf"));
}

TEST_F(AttachmentTest, FiltersWithNamesLikeOursAreOthers) {
  run("tc qdisc add dev veth0 clsact");
  const Counter program(kPassOn);
  TrafficFilter filter;
  filter.interface_index = veth0_.index;
  filter.kind = "bpf";
  filter.protocol = ETH_P_ALL;
  for (const char* name :
       {"flowmeter-ebpf", "flowmeter-ebpf/", "flowmeter-ebpf//", "flowmeter-ebpf/1",
        "flowmeter-ebpf/1/", "flowmeter-ebpf/1/0123456789abcdef", "flowmeter-ebpf/1/0123/1/qdisc",
        "flowmeter/1/0123456789abcdef/1/qdisc", ""}) {
    filter.name = name;
    filter.priority++;
    Status added = add_filter(filter, program.fd());
    ASSERT_TRUE(added) << name << ": " << added.error().message();
  }
  const std::string before = filters();
  auto removed = remove_stale_filters();
  ASSERT_TRUE(removed) << removed.error().message();
  EXPECT_EQ(*removed, 0u);
  EXPECT_EQ(filters(), before);
  // Whereas this one tells of an owner that is not there.
  filter.name = "flowmeter-ebpf/1/0123456789abcdef/1";
  filter.priority++;
  ASSERT_TRUE(add_filter(filter, program.fd()));
  removed = remove_stale_filters();
  ASSERT_TRUE(removed) << removed.error().message();
  EXPECT_EQ(*removed, 1u);
  EXPECT_EQ(filters(), before);
}

TEST_F(AttachmentTest, WholeFilterIsNamedToBeDeleted) {
  run("tc qdisc add dev veth0 clsact");
  foreign_filter(Counter(kPassOn), 5);
  TrafficFilter filter;
  filter.interface_index = veth0_.index;
  filter.kind = "bpf";
  filter.protocol = ETH_P_ALL;
  EXPECT_FALSE(delete_filter(filter)) << "this flushes the hook";
  filter.priority = 5;
  EXPECT_FALSE(delete_filter(filter)) << "this flushes the priority";
  EXPECT_TRUE(contains(filters(), "pref 5 bpf"));
}

TEST_F(AttachmentTest, LockOfAStrangerDelaysButDoesNotStop) {
  const UniqueFd name_space(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(name_space.get(), LOCK_EX), 0);
  const Counter ours(kPassOn);
  auto attachment = Attachment::clsact(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  EXPECT_TRUE(attachment) << attachment.error().message();
}

TEST_F(AttachmentTest, InstancesSideBySideLeaveEachOtherAlone) {
  const Counter a(kPassOn), b(kPassOn);
  const auto both_count = [&](uint64_t a_count, uint64_t b_count) {
    receive_on_veth0(1);
    send_from_veth0(1);
    return wait_for([&] { return a.count() >= a_count && b.count() >= b_count; }) &&
           a.count() == a_count && b.count() == b_count;
  };
  for (const bool crash : {false, true}) {
    SCOPED_TRACE(crash ? "crash" : "end");
    const uint64_t a_before = a.count(), b_before = b.count();
    Owner first(a, veth0_), second(b, veth0_);
    auto stale = remove_stale_filters();
    ASSERT_TRUE(stale) << stale.error().message();
    EXPECT_EQ(*stale, 0u) << "took a live instance for a dead one";
    EXPECT_TRUE(both_count(a_before + 2, b_before + 2));
    // The one that made the qdisc goes first; the other must keep it and then take it along.
    const auto guardian = guardians(first.pid());
    ASSERT_EQ(guardian.size(), 1u);
    crash ? first.kill() : first.leave();
    EXPECT_TRUE(wait_for([&] { return guardians(0).size() == 1; }));
    EXPECT_TRUE(both_count(a_before + 2, b_before + 4)) << filters();
    crash ? second.kill() : second.leave();
    EXPECT_TRUE(wait_for(no_trace)) << filters();
  }
}

TEST_F(AttachmentTest, ManyInstancesComingAndGoingLeaveNothing) {
  const Counter ours(kPassOn);
  std::vector<pid_t> children;
  for (int process = 0; process < 4; process++) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int turn = 0; turn < 25; turn++) {
        auto attachment =
            Attachment::clsact(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kLast);
        if (!attachment) std::fprintf(stderr, "%s\n", attachment.error().message().c_str());
        if (!attachment || !attachment->in_place()) ::_exit(1);
      }
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "an instance could not attach or lost its filter to another one";
  }
  EXPECT_TRUE(no_trace()) << filters();
}

TEST_F(AttachmentTest, GuardianRemovesWhatAProcessWithoutCapabilitiesCannot) {
  const Counter ours(kPassOn);
  Owner owner(ours, veth0_, [] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2]{};
    if (::syscall(SYS_capset, &header, none) != 0) ::_exit(2);
  });
  owner.leave();
  EXPECT_TRUE(no_trace()) << filters();
}

// ---- XDP in use or missing ----

TEST_F(AttachmentTest, XdpThatIsTakenNamesTheHolder) {
  const XdpCounter foreign("firewall"), ours;
  for (const __u32 mode : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    const int index = static_cast<int>(veth0_.index);
    ASSERT_EQ(bpf_xdp_attach(index, foreign.fd(), mode, nullptr), 0);
    for (const bool generic : {false, true}) {
      auto attachment = Attachment::xdp(ours.fd(), veth0_, generic);
      ASSERT_FALSE(attachment);
      const std::string message = attachment.error().message();
      EXPECT_TRUE(contains(message, "veth0 ingress (xdp") && contains(message, "\"firewall\"") &&
                  contains(message, "program " + std::to_string(foreign.id())) &&
                  contains(message, "--hook tcx"))
          << message;
    }
    __u32 id = 0;
    EXPECT_EQ(bpf_xdp_query_id(index, static_cast<int>(mode), &id), 0);
    EXPECT_EQ(id, foreign.id());
    ASSERT_EQ(bpf_xdp_detach(index, mode, nullptr), 0);
  }
}

TEST_F(AttachmentTest, DriverWithoutNativeXdpNamesTheAlternative) {
  auto lo = find_interface("lo");
  ASSERT_TRUE(lo) << lo.error().message();
  const XdpCounter ours;
  auto native = Attachment::xdp(ours.fd(), *lo, false);
  ASSERT_FALSE(native);
  EXPECT_TRUE(contains(native.error().message(), "lo ingress (xdp)") &&
              contains(native.error().message(), "no native XDP") &&
              contains(native.error().message(), "--hook xdp-generic"))
      << native.error().message();
  EXPECT_TRUE(Attachment::xdp(ours.fd(), *lo, true));
}

TEST_F(AttachmentTest, XdpOnAVethIsCautionedAgainst) {
  EXPECT_TRUE(contains(xdp_caution(veth0_), "veth0")) << xdp_caution(veth0_);
  auto lo = find_interface("lo");
  ASSERT_TRUE(lo) << lo.error().message();
  EXPECT_EQ(xdp_caution(*lo), "");
}

TEST_F(AttachmentTest, XdpWorksWithJumboFrames) {
  run("ip link set veth0 mtu 9000; ip link set veth1 mtu 9000");
  const XdpCounter ours;
  for (const bool generic : {false, true}) {
    auto attachment = Attachment::xdp(ours.fd(), veth0_, generic);
    EXPECT_TRUE(attachment) << attachment.error().message();
  }
}

// ---- pins ----

class PinTest : public AttachmentTest {
 protected:
  // In a process of its own that ends without detaching.
  void attach_and_pin(const std::function<Result<Attachment>()>& attach) const {
    const pid_t child = ::fork();
    if (child == 0) {
      auto attachment = attach();
      const bool good = attachment && attachment->pin(path_);
      ::_exit(good ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    ASSERT_EQ(status, 0);
  }

  void expect_adopted(const Counter& before, const Counter& after, const std::string& what) const {
    receive_on_veth0(4);
    EXPECT_TRUE(wait_for([&] { return before.count() == 4; })) << "the pinned link does not live";
    {
      auto adopted = Attachment::adopt(path_, after.fd());
      ASSERT_TRUE(adopted) << adopted.error().message();
      EXPECT_EQ(adopted->what(), what);
      EXPECT_EQ(adopted->interface_index(), veth0_.index);
      EXPECT_TRUE(adopted->in_place());
      receive_on_veth0(3);
      EXPECT_TRUE(wait_for([&] { return after.count() == 3; }));
    }
    receive_on_veth0(2);  // pinned still
    EXPECT_TRUE(wait_for([&] { return after.count() == 5; }));
    EXPECT_EQ(before.count(), 4u);
    ASSERT_EQ(::unlink(path_.c_str()), 0);
    EXPECT_TRUE(wait_for([&] {  // the kernel puts the last reference away a little later
      return tcx_programs(kTcxIngress).empty() && !contains(run("ip link show veth0"), "xdp");
    })) << "attached without pin and process";
    receive_on_veth0(1);
    EXPECT_EQ(after.count(), 5u);
  }

  const std::string path_ = std::string(kPins) + "/veth0-ingress";
};

TEST_F(PinTest, AdoptedTcxLinkRunsTheNewProgram) {
  const Counter before(kPassOn), after(kPassOn);
  attach_and_pin([&] {
    return Attachment::tcx(before.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  });
  expect_adopted(before, after, "veth0 ingress (tcx)");
}

TEST_F(PinTest, AdoptedXdpLinkRunsTheNewProgram) {
  for (const bool generic : {false, true}) {
    const XdpCounter before, after;
    attach_and_pin([&] { return Attachment::xdp(before.fd(), veth0_, generic); });
    expect_adopted(before, after, generic ? "veth0 ingress (xdp-generic)" : "veth0 ingress (xdp)");
  }
}

TEST_F(PinTest, AdoptionLosesNoPacket) {
  const Counter before(kPassOn), after(kPassOn);
  attach_and_pin([&] {
    return Attachment::tcx(before.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  });
  constexpr int kPackets = 20000;
  std::thread sender([] { receive_on_veth0(kPackets); });
  EXPECT_TRUE(wait_for([&] { return before.count() > 0; }));
  int turns = 0;
  while (before.count() + after.count() < kPackets && turns < 200) {
    auto adopted = Attachment::adopt(path_, (turns++ % 2 ? before : after).fd());
    EXPECT_TRUE(adopted) << adopted.error().message();
  }
  sender.join();
  EXPECT_GT(turns, 1) << "all packets had passed before a single exchange";
  EXPECT_TRUE(wait_for([&] { return before.count() + after.count() == kPackets; }))
      << before.count() + after.count();
}

TEST_F(PinTest, WhatCannotBePinnedOrAdoptedIsSaid) {
  const Counter ours(kPassOn);
  auto filter = Attachment::clsact(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  ASSERT_TRUE(filter) << filter.error().message();
  Status pinned = filter->pin(path_);
  ASSERT_FALSE(pinned);
  EXPECT_TRUE(contains(pinned.error().message(), "clsact")) << pinned.error().message();

  auto link = Attachment::tcx(ours.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  ASSERT_TRUE(link) << link.error().message();
  pinned = link->pin("/proc/flowmeter-pin");
  ASSERT_FALSE(pinned);
  EXPECT_TRUE(contains(pinned.error().message(), "BPF file system")) << pinned.error().message();
  ASSERT_TRUE(link->pin(path_));
  pinned = link->pin(path_);
  ASSERT_FALSE(pinned);
  EXPECT_TRUE(contains(pinned.error().message(), "exists already")) << pinned.error().message();

  auto missing = Attachment::adopt(std::string(kPins) + "/nothing", ours.fd());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().os_error, ENOENT);
  const std::string program = std::string(kPins) + "/program";
  ASSERT_EQ(bpf_obj_pin(ours.fd(), program.c_str()), 0);
  auto wrong = Attachment::adopt(program, ours.fd());
  ASSERT_FALSE(wrong);
  EXPECT_TRUE(contains(wrong.error().message(), "not a pinned TCX or XDP link"))
      << wrong.error().message();

  run("ip link del veth0");
  auto detached = Attachment::adopt(path_, ours.fd());
  ASSERT_FALSE(detached);
  EXPECT_EQ(detached.error().os_error, ENOLINK);
}

// ---- the self-check ----

TEST_F(AttachmentTest, NoticesThatItIsNoLongerInPlace) {
  const Counter tcx_program(kPassOn), filter_program(kPassOn);
  const XdpCounter xdp_program;
  auto tcx = Attachment::tcx(tcx_program.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  auto xdp = Attachment::xdp(xdp_program.fd(), veth0_, true);
  auto filter =
      Attachment::clsact(filter_program.fd(), veth0_, Direction::kEgress, AttachOrder::kFirst);
  ASSERT_TRUE(tcx && xdp && filter);
  EXPECT_TRUE(tcx->in_place() && xdp->in_place() && filter->in_place());
  detach_link_of(tcx_program.id());
  EXPECT_FALSE(tcx->in_place());
  EXPECT_TRUE(xdp->in_place() && filter->in_place());
  detach_link_of(xdp_program.id());
  EXPECT_FALSE(xdp->in_place());
  EXPECT_TRUE(filter->in_place());
  run("tc filter del dev veth0 egress");
  EXPECT_FALSE(filter->in_place());
}

TEST_F(AttachmentTest, InterfaceDeletedWhileAttached) {
  const Counter program(kPassOn), filter_program(kPassOn);
  const XdpCounter xdp_program;
  ::testing::internal::CaptureStderr();
  {
    auto tcx = Attachment::tcx(program.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
    auto xdp = Attachment::xdp(xdp_program.fd(), veth0_, true);
    auto filter =
        Attachment::clsact(filter_program.fd(), veth0_, Direction::kEgress, AttachOrder::kFirst);
    ASSERT_TRUE(tcx && xdp && filter);
    run("ip link del veth0");
    EXPECT_FALSE(tcx->in_place() || xdp->in_place() || filter->in_place());
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_TRUE(guardians(::getpid()).empty());

  auto gone = Attachment::clsact(program.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  ASSERT_FALSE(gone);
  EXPECT_TRUE(contains(gone.error().message(), "veth0 ingress (clsact)")) << gone.error().message();
  EXPECT_FALSE(Attachment::tcx(program.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst));
  EXPECT_FALSE(Attachment::xdp(xdp_program.fd(), veth0_, true));
}

}  // namespace
}  // namespace flowmeter::testing
