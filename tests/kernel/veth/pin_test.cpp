// SPDX-License-Identifier: BSD-3-Clause
// Links that are pinned outlive the meter, and the next one takes them over.
#include "attachment_fixture.h"

namespace flowmeter::testing {
namespace {

class PinTest : public AttachmentTest {
 protected:
  // Attaches and pins in a child process, which ends without detaching.
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
    EXPECT_TRUE(wait_for([&] { return before.count() == 4; })) << "the pinned link is not active";
    {
      auto adopted = Attachment::adopt(path_, after.fd());
      ASSERT_TRUE(adopted) << adopted.error().message();
      EXPECT_EQ(adopted->what(), what);
      EXPECT_EQ(adopted->interface_index(), veth0_.index);
      EXPECT_TRUE(adopted->in_place());
      receive_on_veth0(3);
      EXPECT_TRUE(wait_for([&] { return after.count() == 3; }));
    }
    receive_on_veth0(2);  // still pinned
    EXPECT_TRUE(wait_for([&] { return after.count() == 5; }));
    EXPECT_EQ(before.count(), 4u);
    ASSERT_EQ(::unlink(path_.c_str()), 0);
    EXPECT_TRUE(wait_for([&] {  // the kernel drops the last reference a little later
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
  for (const XdpMode mode : {XdpMode::kNative, XdpMode::kGeneric}) {
    const XdpCounter before, after;
    attach_and_pin([&] { return Attachment::xdp(before.fd(), veth0_, mode); });
    expect_adopted(
        before, after,
        mode == XdpMode::kGeneric ? "veth0 ingress (xdp-generic)" : "veth0 ingress (xdp)");
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

}  // namespace
}  // namespace flowmeter::testing
