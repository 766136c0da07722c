// SPDX-License-Identifier: BSD-3-Clause
// What rows say about the owners of a flow's ends, with records that a test makes in place of the
// kernel.
#include "flows/flow_owners.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <string>

#include "flows/flow_state_fixture.h"

namespace flowmeter::live_flows_testing {
namespace {

// Names a cgroup by its number.
class Numbers final : public OwnerNames {
 public:
  void note_sender(uint32_t ifindex, uint64_t, uint64_t cgroup) override {
    behind[ifindex] = cgroup;
  }
  EndOwner name(const EndTrace& end) override {
    EndOwner owner;
    uint64_t cgroup = end.cgroup;
    if (cgroup != 0) {
      owner.attribution = end.source == FM_OWNER_LISTENER ? "listener" : "socket";
    } else if (end.ifindex != 0) {
      owner.attribution = "interface";
      cgroup = behind[end.ifindex];
    }
    texts_.push_back(cgroup != 0 ? std::to_string(cgroup) : "");
    owner.cgroup = texts_.back();
    return owner;
  }
  std::map<uint32_t, uint64_t> behind;

 private:
  std::deque<std::string> texts_;
};

// These flows are both sides of one connection.
class TwoSides final : public ServiceNames {
 public:
  TwoSides(const fm_packet& one, const fm_packet& other, bool ends_swapped)
      : keys_{one.key, other.key}, ends_swapped_(ends_swapped) {}
  std::string_view service_of(const fm_flow_key&) override { return {}; }
  std::optional<OtherSide> other_side(const fm_flow_key& key) override {
    return OtherSide{keys_[fm_key_equal(&key, &keys_[0]) ? 1 : 0], ends_swapped_};
  }

 private:
  const fm_flow_key keys_[2];
  const bool ends_swapped_;
};

class FlowOwnersTest : public FlowStateTest {
 protected:
  FlowOwnersTest() { flows.set_owner_names(&names_); }

  void begin(uint64_t id, uint16_t port) { open(id, packet(port, kSecond)); }
  std::string end(uint64_t id, uint16_t port) {
    close(id, port, 1, FM_END_IDLE);
    return sink.owners.back();
  }
  void restart_with_owners(bool exact) {
    state_.reset();
    start_daemon();
    flows.set_owner_names(&names_);
    ASSERT_TRUE(flows.restore(state_file(), exact));
  }

  Numbers names_;
};

TEST_F(FlowOwnersTest, NothingIsKnownAtFirst) {
  begin(1, 10);
  EXPECT_EQ(end(1, 10), "none , none ");
}

TEST_F(FlowOwnersTest, BothEndsHaveTheirOwn) {
  begin(1, 10);
  owner(1, 0, FM_OWNER_SOCKET, 7001);
  owner(1, 1, FM_OWNER_LISTENER, 7002);
  EXPECT_EQ(end(1, 10), "socket 7001, listener 7002");
}

TEST_F(FlowOwnersTest, TheFirstKnownOwnerIsKept) {
  begin(1, 10);
  owner(1, 1, FM_OWNER_LISTENER, 7001);
  owner(1, 1, FM_OWNER_SOCKET, 7002);
  EXPECT_EQ(end(1, 10), "none , listener 7001");
}

TEST_F(FlowOwnersTest, AnInterfaceIsLessThanASocket) {
  begin(1, 10);
  owner(1, 0, FM_OWNER_INTERFACE, 0, 5);
  owner(1, 0, FM_OWNER_SOCKET, 7001);
  owner(1, 1, FM_OWNER_SOCKET, 7002);
  owner(1, 1, FM_OWNER_INTERFACE, 0, 6, FM_HOOK_EGRESS);
  EXPECT_EQ(end(1, 10), "socket 7001, socket 7002");
}

TEST_F(FlowOwnersTest, AnInterfaceIsWhoseWhoHasSentThroughIt) {
  begin(1, 10);
  begin(2, 20);
  owner(1, 1, FM_OWNER_INTERFACE, 0, 5, FM_HOOK_EGRESS);
  owner(2, 0, FM_OWNER_SOCKET, 7001, 5);
  EXPECT_EQ(end(1, 10), "none , interface 7001");
}

TEST_F(FlowOwnersTest, WhatIsSentToAnInterfaceDoesNotOwnIt) {
  begin(1, 10);
  owner(1, 0, FM_OWNER_SOCKET, 7001, 5, FM_HOOK_EGRESS);
  owner(1, 0, FM_OWNER_SOCKET, 7002, 0);
  EXPECT_TRUE(names_.behind.empty());
}

TEST_F(FlowOwnersTest, ARecordOfAnUnknownFlowChangesNoRow) {
  begin(1, 10);
  owner(99, 0, FM_OWNER_SOCKET, 7001, 5);
  EXPECT_EQ(end(1, 10), "none , none ");
  EXPECT_EQ(names_.behind[5], 7001u) << "but whose the interface is was learned";
}

TEST_F(FlowOwnersTest, ASlotDoesNotKeepThoseOfItsPreviousFlow) {
  begin(1, 10);
  owner(1, 0, FM_OWNER_SOCKET, 7001, 5);
  end(1, 10);
  begin(2, 20);
  EXPECT_EQ(end(2, 20), "none , none ");
}

TEST_F(FlowOwnersTest, AFlowThatWasEvictedKeepsThem) {
  begin(1, 10);
  owner(1, 0, FM_OWNER_SOCKET, 7001);
  open(2, packet(10, kSecond + 1));
  owner(2, 0, FM_OWNER_SOCKET, 7002);
  EXPECT_EQ(end(2, 10), "socket 7001, none ");
}

TEST_F(FlowOwnersTest, AFlowOfWhichOnlyTheEndArrivedHasNone) {
  close(1, 10, 3, FM_END_IDLE);
  EXPECT_EQ(sink.owners.back(), "none , none ");
}

TEST_F(FlowOwnersTest, BothSidesOfATranslationHaveTheSame) {
  for (const bool ends_swapped : {false, true}) {
    TwoSides sides(packet(10, 0), packet(20, 0), ends_swapped);
    flows.set_service_names(&sides);
    begin(1, 10);
    begin(2, 20);
    owner(1, 0, FM_OWNER_SOCKET, 7001);
    owner(2, ends_swapped ? 0 : 1, FM_OWNER_LISTENER, 7002);
    EXPECT_EQ(end(1, 10), "socket 7001, listener 7002");
    EXPECT_EQ(end(2, 20),
              ends_swapped ? "listener 7002, socket 7001" : "socket 7001, listener 7002");
    flows.set_service_names(nullptr);
  }
}

TEST_F(FlowOwnersTest, WhatOneSideKnowsItselfStays) {
  TwoSides sides(packet(10, 0), packet(20, 0), false);
  flows.set_service_names(&sides);
  begin(1, 10);
  EXPECT_EQ(end(1, 10), "none , none ") << "the other side is not there";
  begin(2, 10);
  begin(3, 20);
  owner(2, 0, FM_OWNER_SOCKET, 7001);
  owner(3, 0, FM_OWNER_SOCKET, 7003);
  owner(3, 1, FM_OWNER_INTERFACE, 0, 5, FM_HOOK_EGRESS);
  names_.behind[5] = 7005;
  EXPECT_EQ(end(2, 10), "socket 7001, interface 7005");
  EXPECT_EQ(end(3, 20), "socket 7003, interface 7005");
  flows.set_service_names(nullptr);
}

class OneNumber final : public KeptWithFlows {
 public:
  void save(ValueBytes& bytes) const override { append(bytes, 7); }
  bool restore(ValueReader& bytes) override { return bytes.read(restored); }
  int restored = 0;
};

TEST_F(FlowOwnersTest, WhatRowsNeedPassesToTheNextDaemon) {
  OneNumber number;
  flows.set_kept_with_flows(&number);
  begin(1, 10);
  save(1, LiveFlows::Copied::kAll);
  state_.reset();
  start_daemon();
  flows.set_kept_with_flows(&number);
  ASSERT_TRUE(flows.restore(state_file(), true));
  EXPECT_EQ(number.restored, 7);
  save(2, LiveFlows::Copied::kAll);
  restart(true);  // which asks for no names, and takes over the flow all the same
  EXPECT_EQ(flows.open_flows(), 1u);
}

TEST_F(FlowOwnersTest, TheyPassToTheNextDaemon) {
  for (const bool exact : {true, false}) {
    const uint64_t id = exact ? 1 : 2;
    const auto port = static_cast<uint16_t>(10 * id);
    begin(id, port);
    owner(id, 0, FM_OWNER_SOCKET, 7001);
    owner(id, 1, FM_OWNER_INTERFACE, 0, 5, FM_HOOK_EGRESS);
    save(1);
    restart_with_owners(exact);
    EXPECT_FALSE(flows.lacks_owners());
    names_.behind[5] = 7002;
    EXPECT_EQ(end(id, port), "socket 7001, interface 7002");
  }
}

// What is told by a packet that was counted elsewhere changes no counter.
TEST_F(FlowOwnersTest, TheyPassOnAlsoIfNothingElseHasChanged) {
  begin(1, 10);
  begin(2, 20);
  send(2, packet(20, 2 * kSecond));
  save(1);
  owner(1, 1, FM_OWNER_SOCKET, 7001);
  save(2);
  restart_with_owners(true);
  EXPECT_EQ(end(1, 10), "none , socket 7001");
}

TEST_F(FlowOwnersTest, AnEarlierDaemonMayNotHaveAskedForThem) {
  state_.reset();
  start_daemon();
  begin(1, 10);
  save(1);
  restart_with_owners(true);
  EXPECT_TRUE(flows.lacks_owners());
  owner(1, 0, FM_OWNER_SOCKET, 7001);
  save(2);
  restart_with_owners(true);
  EXPECT_FALSE(flows.lacks_owners());
  EXPECT_EQ(end(1, 10), "socket 7001, none ");
}

TEST_F(FlowOwnersTest, ALaterDaemonMayNotAskForThem) {
  begin(1, 10);
  owner(1, 0, FM_OWNER_SOCKET, 7001);
  save(1);
  restart(true);
  begin(2, 20);
  save(2);
  EXPECT_EQ(end(1, 10), "");
  restart_with_owners(true);
  EXPECT_TRUE(flows.lacks_owners());
  EXPECT_EQ(end(2, 20), "none , none ");
}

}  // namespace
}  // namespace flowmeter::live_flows_testing
