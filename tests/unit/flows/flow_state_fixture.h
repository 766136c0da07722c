// SPDX-License-Identifier: BSD-3-Clause
// LiveFlows that a later daemon takes over (flow_state.h), in a directory of its own.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <string>

#include "flows/flow_state.h"
#include "flows/live_flows_fixture.h"

namespace flowmeter::live_flows_testing {

constexpr uint64_t kJournal = 77;

class FlowStateTest : public LiveFlowsTest {
 protected:
  explicit FlowStateTest(const fm_settings& settings = LiveFlowsTest::settings())
      : settings_(settings) {
    char name[] = "/tmp/flow-state-XXXXXX";
    directory_ = ::mkdtemp(name);
    start_daemon();
  }
  ~FlowStateTest() override {
    state_.reset();
    std::filesystem::remove_all(directory_);
  }

  std::string path() const { return directory_ + "/test.flows"; }
  Result<std::unique_ptr<FlowState>> open_state(uint64_t journal = kJournal) {
    auto directory = OwnedDirectory::open(directory_, OwnedDirectory::IfMissing::kFail);
    if (!directory) return directory.error();
    return FlowState::open(std::move(*directory), "test.flows", journal, flows.capacity(), true);
  }
  FlowState& state_file() {
    if (!state_) {
      auto opened = open_state();
      EXPECT_TRUE(opened) << opened.error().message();
      state_ = std::move(*opened);
    }
    return *state_;
  }
  void save(uint64_t commits, LiveFlows::Copied which = LiveFlows::Copied::kChanges) {
    flows.settle();
    Status saved = flows.save(state_file(), commits, which);
    ASSERT_TRUE(saved) << saved.error().message();
  }
  // The daemon ends, and another one starts. exact: nothing was committed after the copy.
  Status try_restart(bool exact) {
    state_.reset();
    start_daemon();
    return flows.restore(state_file(), exact);
  }
  void restart(bool exact) {
    Status restored = try_restart(exact);
    ASSERT_TRUE(restored) << restored.error().message();
  }
  // Without anything from before.
  void begin_anew() {
    sink.rows.clear();
    clock_ = {};
    state_.reset();
    std::filesystem::remove(path());
    start_daemon();
  }
  void start_daemon() {
    std::destroy_at(&flows);
    std::construct_at(&flows, settings_, 64u, sink, TimingIn::kDaemon);
    flows.set_clock(clock_);
  }

  const fm_settings settings_;
  std::string directory_;
  std::unique_ptr<FlowState> state_;
  ClockOrigin clock_;
};

}  // namespace flowmeter::live_flows_testing
