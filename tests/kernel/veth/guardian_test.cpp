// SPDX-License-Identifier: BSD-3-Clause
// However the meter ends, its filters are removed: by its guardian, or by the next start.
#include "attachment_fixture.h"

namespace flowmeter::testing {
namespace {

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

  crash_with_guardian();  // attaching to the interface removes them, too
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
  // This one is complete, and names an owner that does not exist.
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
  EXPECT_FALSE(delete_filter(filter)) << "this would flush the hook";
  filter.priority = 5;
  EXPECT_FALSE(delete_filter(filter)) << "this would flush the priority";
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
    // The one that made the qdisc ends first. The other must keep it, and remove it at its own end.
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

}  // namespace
}  // namespace flowmeter::testing
