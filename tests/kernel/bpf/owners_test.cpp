// SPDX-License-Identifier: BSD-3-Clause
// What the programs tell of the owners of a flow (bpf/owner.bpf.h), packet by packet. The buffers
// of BPF_PROG_TEST_RUN have a socket that has sent nothing, so only interfaces are told here;
// tests/kernel/veth/owners_test.py has sockets.
#include <bpf/bpf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "bpf/parity.h"
#include "kernel/bpf_datapath.h"
#include "support/packet_builder.h"

namespace flowmeter::testing {
namespace {

class Owners : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_bpf_cannot_run(); !why.empty()) GTEST_SKIP() << why;
  }

  void load(fm_attribute attribute, Datapath kind = Datapath::kEvents) {
    BpfDatapath::Config config;
    config.settings = fm_default_settings();
    config.datapath = kind;
    config.attribute = attribute;
    config.max_entries = 1024;
    config.max_fragments = 64;
    config.stream_bytes = 1 << 20;
    auto loaded =
        BpfDatapath::load(config, [this](const void* record, size_t size) { take(record, size); });
    ASSERT_TRUE(loaded) << loaded.error().message();
    datapath_ = std::move(*loaded);
    interface_.index = 1;  // where the packets of BPF_PROG_TEST_RUN come from
    ASSERT_TRUE(datapath_->add_interface(interface_, DeviceMerging::kOff));
    lead_to_one_end(true);
  }
  void lead_to_one_end(bool yes) {
    datapath_->set_ends(interface_.index, {.senders_are_local = yes, .is_one_end = yes});
  }

  void take(const void* record, size_t size) {
    const auto& head = *static_cast<const fm_packet_record*>(record);
    if (const unsigned type = head.what & FM_RECORD_TYPE_MASK; type == FM_RECORD_OWNER) {
      ASSERT_EQ(size, sizeof(fm_owner_record));
      told_.push_back(*static_cast<const fm_owner_record*>(record));
    } else if (type == FM_RECORD_OPEN || type == FM_RECORD_OPEN_NEW) {
      opened_ = head.flow_id;
      key_ = static_cast<const fm_open_record*>(record)->key;
    }
  }

  // A packet of a flow from end 0. Returns what was told by it.
  std::vector<fm_owner_record> send(fm_hook hook, bool back = false, uint8_t flags = FM_ACK) {
    Frame frame = back ? ipv4("10.0.0.2", "10.0.0.1").tcp(80, 4242, flags)
                       : ipv4("10.0.0.1", "10.0.0.2").tcp(4242, 80, flags);
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes.data(),
                .data_size_in = static_cast<__u32>(frame.bytes.size()), .repeat = 1);
    EXPECT_EQ(bpf_prog_test_run_opts(datapath_->program_fd(interface_, hook), &options), 0);
    return drain();
  }
  std::vector<fm_owner_record> drain() {
    told_.clear();
    datapath_->drain(monotonic_ns(), SIZE_MAX);
    datapath_->release();
    return told_;
  }
  void ask_for_state() {
    const fm_close_request request{key_, opened_, FM_REPORT_STATE};
    ASSERT_TRUE(datapath_->close_flows({&request, 1}));
    EXPECT_TRUE(drain().empty()) << "a state says nothing of owners";
  }
  // The end of the key from which frames come that are not sent back.
  unsigned end_of_sender() const { return key_.port[0] == 4242 ? 0 : 1; }

  Interface interface_;
  std::unique_ptr<BpfDatapath> datapath_;
  std::vector<fm_owner_record> told_;
  uint64_t opened_ = 0;
  fm_flow_key key_{};
};

TEST_F(Owners, AreNotToldUnlessAskedFor) {
  load(FM_ATTRIBUTE_OFF);
  EXPECT_TRUE(send(FM_HOOK_INGRESS).empty());
  EXPECT_EQ(datapath_->socket_owners_fd(), -1) << "this map is made for processes alone";
}

TEST_F(Owners, OfProcessesHaveAMap) {
  load(FM_ATTRIBUTE_PROCESS);
  EXPECT_GE(datapath_->socket_owners_fd(), 0);
  EXPECT_EQ(send(FM_HOOK_INGRESS).size(), 1u);
}

TEST_F(Owners, AnInterfaceIsToldOnceForTheEndBehindIt) {
  for (const Datapath kind : {Datapath::kEvents, Datapath::kKernel}) {
    for (const fm_hook hook : {FM_HOOK_INGRESS, FM_HOOK_EGRESS}) {
      load(FM_ATTRIBUTE_CONTAINER, kind);
      const auto told = send(hook);
      ASSERT_EQ(told.size(), 1u);
      EXPECT_EQ(told[0].flow_id, opened_);
      EXPECT_EQ(told[0].source, FM_OWNER_INTERFACE);
      EXPECT_EQ(told[0].end, hook == FM_HOOK_INGRESS ? end_of_sender() : 1 - end_of_sender());
      EXPECT_EQ(told[0].hook, hook);
      EXPECT_EQ(told[0].ifindex, interface_.index);
      EXPECT_EQ(told[0].cgroup, 0u);
      EXPECT_EQ(told[0].pid, 0u);
      EXPECT_TRUE(send(hook).empty()) << "it is known";
      // The answer passes the other hook, from the same end to the same interface.
      EXPECT_TRUE(send(hook == FM_HOOK_INGRESS ? FM_HOOK_EGRESS : FM_HOOK_INGRESS, true).empty());
      EXPECT_EQ(send(hook, true).size(), 1u) << "the other end is behind it, too";
    }
  }
}

TEST_F(Owners, AnInterfaceMayBeginToLeadToOneEnd) {
  load(FM_ATTRIBUTE_CONTAINER);
  lead_to_one_end(false);
  EXPECT_TRUE(send(FM_HOOK_INGRESS).empty());
  const auto seen = datapath_->interface_counters().at(0).hook[FM_HOOK_INGRESS].seen;
  lead_to_one_end(true);
  EXPECT_EQ(datapath_->interface_counters().at(0).hook[FM_HOOK_INGRESS].seen, seen);
  EXPECT_EQ(send(FM_HOOK_INGRESS).size(), 1u);
}

TEST_F(Owners, AreToldAgainToWhoAsksForTheState) {
  load(FM_ATTRIBUTE_CONTAINER);
  EXPECT_EQ(send(FM_HOOK_INGRESS).size(), 1u);
  EXPECT_TRUE(send(FM_HOOK_INGRESS).empty());
  ask_for_state();
  const uint64_t flow = opened_;
  const auto told = send(FM_HOOK_INGRESS);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].flow_id, flow);
  EXPECT_EQ(opened_, flow) << "it was announced before";
}

TEST_F(Owners, TheNextFlowOfAKeyHasItsOwn) {
  load(FM_ATTRIBUTE_CONTAINER);
  EXPECT_EQ(send(FM_HOOK_INGRESS, false, FM_SYN).size(), 1u);
  EXPECT_TRUE(send(FM_HOOK_INGRESS, false, FM_RST).empty());
  const uint64_t first = opened_;
  const auto told = send(FM_HOOK_INGRESS, false, FM_SYN);
  ASSERT_NE(opened_, first);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].flow_id, opened_);
}

// Nothing of the owners is left in what the id is read from.
TEST_F(Owners, AFlowKeepsItsId) {
  load(FM_ATTRIBUTE_CONTAINER);
  send(FM_HOOK_INGRESS);
  send(FM_HOOK_INGRESS, true);
  std::vector<fm_close_request> listed;
  ASSERT_TRUE(datapath_->list_flows([](uint64_t) { return true; }, listed, [] {}));
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0].flow_id, opened_);
}

}  // namespace
}  // namespace flowmeter::testing
