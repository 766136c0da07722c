// SPDX-License-Identifier: BSD-3-Clause
// Attaching next to other programs, and leaving nothing behind. Each hook is checked by the
// kernel's listing and by the packets that arrive.
#include "attachment_fixture.h"

namespace flowmeter::testing {
namespace {

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
  for (const XdpMode mode : {XdpMode::kNative, XdpMode::kGeneric}) {
    const XdpCounter counter;
    {
      auto attachment = Attachment::xdp(counter.fd(), veth0_, mode);
      ASSERT_TRUE(attachment) << attachment.error().message();
      EXPECT_EQ(attachment->what(),
                mode == XdpMode::kGeneric ? "veth0 ingress (xdp-generic)" : "veth0 ingress (xdp)");
      EXPECT_TRUE(attachment->in_place());
      EXPECT_TRUE(contains(run("ip link show veth0"),
                           mode == XdpMode::kGeneric ? " xdpgeneric " : " xdp "));
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
    EXPECT_EQ(ours.count(), 3u) << "saw packets that were dropped before it";
  }
  EXPECT_EQ(tcx_programs(kTcxIngress), others);
}

TEST_F(AttachmentTest, ClsactStandsBeforeOrBehindAllOthers) {
  // No priority is before 1, so priority 1 is shared.
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
      EXPECT_EQ(ours.count(), 3u) << "saw packets that were dropped before it";
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

// ---- XDP in use or missing ----

TEST_F(AttachmentTest, XdpThatIsTakenNamesTheHolder) {
  const XdpCounter foreign("firewall"), ours;
  for (const __u32 taken : {XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE}) {
    const int index = static_cast<int>(veth0_.index);
    ASSERT_EQ(bpf_xdp_attach(index, foreign.fd(), taken, nullptr), 0);
    for (const XdpMode mode : {XdpMode::kNative, XdpMode::kGeneric}) {
      auto attachment = Attachment::xdp(ours.fd(), veth0_, mode);
      ASSERT_FALSE(attachment);
      const std::string message = attachment.error().message();
      EXPECT_TRUE(contains(message, "veth0 ingress (xdp") && contains(message, "\"firewall\"") &&
                  contains(message, "program " + std::to_string(foreign.id())) &&
                  contains(message, "--hook tcx"))
          << message;
    }
    __u32 id = 0;
    EXPECT_EQ(bpf_xdp_query_id(index, static_cast<int>(taken), &id), 0);
    EXPECT_EQ(id, foreign.id());
    ASSERT_EQ(bpf_xdp_detach(index, taken, nullptr), 0);
  }
}

TEST_F(AttachmentTest, DriverWithoutNativeXdpNamesTheAlternative) {
  auto lo = find_interface("lo");
  ASSERT_TRUE(lo) << lo.error().message();
  const XdpCounter ours;
  auto native = Attachment::xdp(ours.fd(), *lo, XdpMode::kNative);
  ASSERT_FALSE(native);
  EXPECT_TRUE(contains(native.error().message(), "lo ingress (xdp)") &&
              contains(native.error().message(), "no native XDP") &&
              contains(native.error().message(), "--hook xdp-generic"))
      << native.error().message();
  EXPECT_TRUE(Attachment::xdp(ours.fd(), *lo, XdpMode::kGeneric));
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
  for (const XdpMode mode : {XdpMode::kNative, XdpMode::kGeneric}) {
    auto attachment = Attachment::xdp(ours.fd(), veth0_, mode);
    EXPECT_TRUE(attachment) << attachment.error().message();
  }
}

// ---- the self-check ----

TEST_F(AttachmentTest, NoticesThatItIsNoLongerInPlace) {
  const Counter tcx_program(kPassOn), filter_program(kPassOn);
  const XdpCounter xdp_program;
  auto tcx = Attachment::tcx(tcx_program.fd(), veth0_, Direction::kIngress, AttachOrder::kFirst);
  auto xdp = Attachment::xdp(xdp_program.fd(), veth0_, XdpMode::kGeneric);
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
    auto xdp = Attachment::xdp(xdp_program.fd(), veth0_, XdpMode::kGeneric);
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
  EXPECT_FALSE(Attachment::xdp(xdp_program.fd(), veth0_, XdpMode::kGeneric));
}

}  // namespace
}  // namespace flowmeter::testing
