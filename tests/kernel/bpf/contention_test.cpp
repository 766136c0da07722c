// SPDX-License-Identifier: BSD-3-Clause
// Meters one flow on two CPUs at once, in both directions, at both hooks. Every packet must be in
// the flow's row: with room for all events, with hardly any room, and while its map entry is
// locked. A packet that two interfaces see must be counted once.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <pthread.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "bpf/parity.h"
#include "flows/live_flows.h"
#include "kernel/bpf_datapath.h"
#include "support/packet_builder.h"
#include "veth/own_namespaces.h"

namespace flowmeter::testing {
namespace {

constexpr unsigned kPacketsPerThread = 200'000;
constexpr uint32_t kManyEvents = 64 << 20;  // bytes: room for a record of every packet
constexpr uint32_t kFewEvents = 1;          // the minimum

struct Row {
  fm_flow_counters counters;
  uint64_t gaps, without_timing;
  fm_end_reason end;
  uint64_t forward_packets() const {
    return counters.direction[counters.forward_direction].length.count;
  }
  uint64_t backward_packets() const {
    return counters.direction[!counters.forward_direction].length.count;
  }
};

class Rows final : public RecordSink {
 public:
  void write(const FlowRecord& record) override {
    rows.push_back({record.flow.counters, record.flow.timing.gaps.count,
                    record.packets_without_timing, record.end});
  }
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }
  std::vector<Row> rows;
};

// CPUs that this process may use.
std::vector<size_t> usable_cpus() {
  cpu_set_t set;
  std::vector<size_t> cpus;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return cpus;
  for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

class Contention : public ::testing::TestWithParam<Datapath> {
 protected:
  void SetUp() override {
    if (const std::string why = why_bpf_cannot_run(); !why.empty()) GTEST_SKIP() << why;
    cpus_ = usable_cpus();
    if (cpus_.size() < 2) GTEST_SKIP() << "needs two CPUs";
  }

  bool in_kernel() const { return GetParam() == Datapath::kKernel; }

  void load(uint32_t stream_bytes, bool count_once = false) {
    config_.settings = fm_default_settings();
    config_.datapath = GetParam();
    config_.max_entries = 4096;
    config_.max_fragments = 64;
    config_.stream_bytes = stream_bytes;
    config_.count_once = count_once;
    // The test sets the time of each packet, because the silence of an interface must not depend on
    // the speed of the machine.
    config_.test_input = count_once;
    flows_ = std::make_unique<LiveFlows>(config_.settings, config_.max_entries, sink_,
                                         in_kernel() ? TimingIn::kKernel : TimingIn::kDaemon);
    auto loaded = BpfDatapath::load(
        config_, [this](const void* record, size_t size) { flows_->take(record, size); });
    ASSERT_TRUE(loaded) << loaded.error().message();
    datapath_ = std::move(*loaded);
    add_interface(1);  // loopback, on which BPF_PROG_TEST_RUN delivers packets
  }

  void add_interface(unsigned index) {
    Interface interface;
    interface.index = index;
    ASSERT_TRUE(datapath_->add_interface(interface, DeviceMerging::kOff));
  }

  // Runs the hook's program `count` times on the frame.
  void meter(const Frame& frame, fm_hook hook, unsigned count, unsigned ifindex = 1,
             uint16_t segment_bytes = 0) {
    struct __sk_buff context {};
    context.ifindex = ifindex;
    context.gso_size = segment_bytes;
    context.cb[0] = frame.wire_length;  // read because of test_input, like the next two
    context.cb[1] = frame.link_type;
    context.tstamp = time_ns_;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes.data(),
                .data_size_in = static_cast<__u32>(frame.bytes.size()), .ctx_in = &context,
                .ctx_size_in = sizeof(context), .repeat = static_cast<int>(count));
    const int error = bpf_prog_test_run_opts(datapath_->program_fd(Interface{}, hook), &options);
    EXPECT_EQ(error, 0) << "BPF_PROG_TEST_RUN";
  }

  // Runs both at the same time, each on its own CPU.
  void on_two_cpus(const std::function<void()>& first, const std::function<void()>& second) {
    const auto on = [&](size_t cpu, const std::function<void()>& work) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(cpu, &set);
      EXPECT_EQ(::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set), 0);
      work();
    };
    std::thread one(on, cpus_[0], first), other(on, cpus_[1], second);
    one.join();
    other.join();
  }

  void drain() {
    while (datapath_->drain(config_.test_input ? UINT64_MAX : monotonic_ns(), 1 << 18) > 0)
      datapath_->release();
    flows_->settle();
  }

  // Ends all flows, including those in the map that were not announced.
  void finish() {
    drain();
    std::vector<fm_close_request> requests;
    flows_->request_close(FM_END_INPUT, requests);
    serve(requests);
    requests.clear();
    ASSERT_TRUE(datapath_->list_flows([](uint64_t) { return true; }, requests, [] {}));
    for (fm_close_request& request : requests) request.action = fm_close_force(FM_END_INPUT);
    serve(requests);
    EXPECT_EQ(flows_->open_flows(), 0u);
  }

  // Sends them in batches whose answers fit into an empty stream.
  void serve(const std::vector<fm_close_request>& requests) {
    const size_t batch = BpfDatapath::kAnswersAtOnce;
    for (size_t i = 0; i < requests.size(); i += batch) {
      ASSERT_TRUE(
          datapath_->close_flows({requests.data() + i, std::min(batch, requests.size() - i)}));
      drain();
    }
  }

  fm_hook_counters classes() const {
    fm_hook_counters sum{};
    for (const InterfaceCounters& each : datapath_->interface_counters())
      for (const fm_hook_counters& hook : each.hook) {
        sum.seen += hook.seen;
        for (size_t packet_class = 0; packet_class < FM_PACKET_CLASS_COUNT; packet_class++)
          sum.by_class[packet_class] += hook.by_class[packet_class];
      }
    return sum;
  }

  // The flow map's file descriptor, found through the program that uses it.
  UniqueFd flow_map() const {
    std::vector<__u32> ids(64);
    struct bpf_prog_info program {};
    program.nr_map_ids = static_cast<__u32>(ids.size());
    program.map_ids = reinterpret_cast<uintptr_t>(ids.data());
    __u32 size = sizeof(program);
    const int fd = datapath_->program_fd(Interface{}, FM_HOOK_INGRESS);
    if (bpf_obj_get_info_by_fd(fd, &program, &size) != 0) return UniqueFd();
    for (__u32 i = 0; i < program.nr_map_ids; i++) {
      UniqueFd map(bpf_map_get_fd_by_id(ids[i]));
      struct bpf_map_info info {};
      size = sizeof(info);
      if (map && bpf_obj_get_info_by_fd(map.get(), &info, &size) == 0 &&
          std::string(info.name) == "flows")
        return map;
    }
    return UniqueFd();
  }

  // Takes or releases the lock of the only flow's entry.
  void set_held(bool held) {
    const UniqueFd map = flow_map();
    fm_flow_key key{};
    fm_timed_map_entry value{};
    ASSERT_EQ(bpf_map_get_next_key(map.get(), nullptr, &key), 0);
    ASSERT_EQ(bpf_map_lookup_elem(map.get(), &key, &value), 0);
    ASSERT_NE(value.entry.lock & 1, held ? 1u : 0u);
    value.entry.lock ^= 1;
    ASSERT_EQ(bpf_map_update_elem(map.get(), &key, &value, BPF_EXIST), 0);
  }

  uint64_t time_ns_ = 1'000 * uint64_t{FM_SECOND_NS};
  const Packet forward_ = ipv4("10.0.0.1", "10.0.0.2").udp(4000, 53).pad_to(101);
  const Packet backward_ = ipv4("10.0.0.2", "10.0.0.1").udp(53, 4000).pad_to(211);
  std::vector<size_t> cpus_;
  BpfDatapath::Config config_;
  Rows sink_;
  std::unique_ptr<LiveFlows> flows_;
  std::unique_ptr<BpfDatapath> datapath_;
};

TEST_P(Contention, OneFlowOnTwoCpusIsExact) {
  load(kManyEvents);
  on_two_cpus([&] { meter(forward_, FM_HOOK_INGRESS, kPacketsPerThread); },
              [&] { meter(backward_, FM_HOOK_EGRESS, kPacketsPerThread); });
  finish();
  ASSERT_EQ(sink_.rows.size(), 1u);
  const Row& row = sink_.rows[0];
  const fm_hook_counters classes = this->classes();
  EXPECT_EQ(classes.seen, 2u * kPacketsPerThread);
  EXPECT_EQ(classes.by_class[FM_METERED], 2u * kPacketsPerThread);
  EXPECT_EQ(datapath_->counters().events_lost, 0u);
  // Which end sent the first packet is chance.
  for (int end = 0; end < 2; end++) {
    const fm_moments& length = row.counters.direction[end].length;
    const uint64_t bytes = end == 0 ? 101 : 211;
    EXPECT_EQ(length.count, kPacketsPerThread);
    EXPECT_EQ(length.min, bytes);
    EXPECT_EQ(length.max, bytes);
    EXPECT_EQ(length.sum, kPacketsPerThread * bytes);
  }
  // With datapath "kernel" a packet that did not get the lock has no time in the kernel's state.
  const uint64_t timed = 2u * kPacketsPerThread - row.without_timing;
  EXPECT_EQ(row.gaps, timed - 1);
  EXPECT_LE(row.without_timing, in_kernel() ? datapath_->counters().uncounted : 0);
}

TEST_P(Contention, LostEventsAreCounted) {
  constexpr unsigned kSegments = 3;
  load(kFewEvents);
  const Frame sent = ipv4("10.0.0.1", "10.0.0.2").tcp(4000, 80, FM_ACK).payload(3 * 500);
  const Frame received = ipv4("10.0.0.2", "10.0.0.1").tcp(80, 4000, FM_ACK);
  on_two_cpus([&] { meter(sent, FM_HOOK_EGRESS, kPacketsPerThread, 1, 500); },
              [&] { meter(received, FM_HOOK_INGRESS, kPacketsPerThread); });
  const uint64_t uncounted_packets_at_most = datapath_->counters().uncounted * kSegments;
  finish();
  const fm_hook_counters classes = this->classes();
  EXPECT_EQ(classes.seen, (kSegments + 1) * kPacketsPerThread);
  EXPECT_EQ(classes.by_class[FM_METERED] + classes.by_class[FM_UNRECORDED], classes.seen);
  EXPECT_EQ(flows_->packets_written(), classes.by_class[FM_METERED]);
  ASSERT_EQ(sink_.rows.size(), 1u);
  const Row& row = sink_.rows[0];
  EXPECT_EQ(flows_->packets_without_timing(), row.without_timing);
  if (in_kernel()) {
    EXPECT_EQ(datapath_->counters().events_lost, 0u);
    EXPECT_LE(row.without_timing, uncounted_packets_at_most);
  } else {
    // A lost event is a buffer of one packet or of three.
    const uint64_t lost = datapath_->counters().events_lost;
    EXPECT_GT(lost, kPacketsPerThread) << "there was room for nearly all";
    EXPECT_GE(row.without_timing, lost);
    EXPECT_LE(row.without_timing, lost * kSegments);
    EXPECT_EQ(row.gaps, fm_flow_packets(&row.counters) - row.without_timing - 1);
  }
}

TEST_P(Contention, LostEventsOfSinglePacketsAreCountedExactly) {
  load(kFewEvents);
  on_two_cpus([&] { meter(forward_, FM_HOOK_INGRESS, kPacketsPerThread); },
              [&] { meter(backward_, FM_HOOK_EGRESS, kPacketsPerThread); });
  finish();
  const fm_hook_counters classes = this->classes();
  const uint64_t metered = classes.by_class[FM_METERED];
  EXPECT_EQ(classes.seen, 2u * kPacketsPerThread);
  EXPECT_EQ(metered + classes.by_class[FM_UNRECORDED], classes.seen);
  EXPECT_EQ(flows_->packets_written(), metered);
  ASSERT_EQ(sink_.rows.size(), 1u);
  if (in_kernel()) {
    EXPECT_EQ(datapath_->counters().events_lost, 0u);
  } else {
    EXPECT_EQ(sink_.rows[0].without_timing, datapath_->counters().events_lost);
    EXPECT_EQ(sink_.rows[0].gaps, metered - sink_.rows[0].without_timing - 1);
  }
}

// The daemon does not know the flow, because even its first events find no room.
TEST_P(Contention, AFlowWhoseOpeningRecordWasLostIsFound) {
  load(kFewEvents);
  const auto fill = [&] {
    for (uint16_t port = 1; port <= 512; port++) {
      const Frame one = ipv4("10.0.0.9", "10.0.0.2").udp(port, 9).pad_to(60);
      meter(one, FM_HOOK_INGRESS, 2);
    }
  };
  on_two_cpus(fill, fill);
  const uint64_t before = datapath_->counters().events_lost;
  ASSERT_GT(before, 0u);
  constexpr unsigned kPackets = 1000;
  on_two_cpus([&] { meter(forward_, FM_HOOK_INGRESS, kPackets); },
              [&] { meter(backward_, FM_HOOK_EGRESS, kPackets); });
  const fm_hook_counters classes = this->classes();
  const uint64_t unrecorded = classes.by_class[FM_UNRECORDED];
  EXPECT_EQ(datapath_->counters().events_lost - before, 2 * kPackets - unrecorded);
  finish();
  EXPECT_EQ(flows_->packets_written(), classes.by_class[FM_METERED]);
  uint64_t found = 0;
  for (const Row& row : sink_.rows)
    if (fm_flow_packets(&row.counters) > 100) {
      found++;
      EXPECT_EQ(fm_flow_packets(&row.counters), 2 * kPackets - unrecorded);
      EXPECT_EQ(row.without_timing, in_kernel() ? 0 : 2 * kPackets - unrecorded);
    }
  EXPECT_EQ(found, 1u);
  EXPECT_EQ(sink_.rows.size(), 513u);
}

TEST_P(Contention, PacketsWhoseEntryIsHeldComeUncounted) {
  load(kManyEvents);
  meter(forward_, FM_HOOK_INGRESS, 3);
  meter(backward_, FM_HOOK_EGRESS, 2);
  set_held(true);
  meter(forward_, FM_HOOK_INGRESS, 5);
  meter(backward_, FM_HOOK_EGRESS, 4);
  EXPECT_EQ(datapath_->counters().uncounted, 9u);
  drain();
  EXPECT_EQ(flows_->open_packets(), in_kernel() ? 10u : 14u)
      << "of the first five, the kernel announces one";
  set_held(false);
  meter(forward_, FM_HOOK_INGRESS, 7);
  finish();
  EXPECT_EQ(classes().by_class[FM_METERED], 21u);
  ASSERT_EQ(sink_.rows.size(), 1u);
  const Row& row = sink_.rows[0];
  EXPECT_EQ(row.forward_packets(), 15u);
  EXPECT_EQ(row.backward_packets(), 6u);
  EXPECT_EQ(row.counters.direction[row.counters.forward_direction].length.sum, 15u * 101);
  EXPECT_EQ(row.without_timing, in_kernel() ? 9u : 0u);
  EXPECT_EQ(row.gaps, in_kernel() ? 11u : 20u);
}

// There is neither a free entry nor room in the stream. The packet still has its class, and the
// account still balances.
TEST_P(Contention, WhatNeitherMapNorStreamTakesIsUnrecorded) {
  load(kFewEvents);
  meter(forward_, FM_HOOK_INGRESS, 1);
  drain();
  set_held(true);
  // 256 units per CPU, three per packet with its key.
  meter(forward_, FM_HOOK_INGRESS, 2'000);
  const fm_hook_counters classes = this->classes();
  EXPECT_EQ(classes.seen, 2'001u);
  EXPECT_GT(classes.by_class[FM_UNRECORDED], 0u);
  EXPECT_EQ(classes.by_class[FM_METERED], 1 + datapath_->counters().uncounted);
  EXPECT_EQ(classes.by_class[FM_METERED] + classes.by_class[FM_UNRECORDED], classes.seen);
  drain();
  set_held(false);
  finish();
  EXPECT_EQ(flows_->packets_written(), classes.by_class[FM_METERED]);
}

// Each packet passes two interfaces, at the same time on two CPUs.
TEST_P(Contention, APacketOfTwoInterfacesCountsOnce) {
  if (!has_capability(CAP_SYS_ADMIN)) GTEST_SKIP() << "needs CAP_SYS_ADMIN for a namespace";
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);  // of this thread and the threads started from now on
  run("ip link set lo up && ip link add one type veth peer two");
  const unsigned second = ::if_nametoindex("one");
  ASSERT_GT(second, 1u);
  load(kManyEvents, true);
  add_interface(second);
  // Both directions are first met, and so counted, at the first interface.
  meter(forward_, FM_HOOK_INGRESS, 1, 1);
  meter(backward_, FM_HOOK_EGRESS, 1, 1);
  time_ns_ += 1000;  // event streams of several CPUs are merged by time
  on_two_cpus(
      [&] {
        meter(forward_, FM_HOOK_INGRESS, kPacketsPerThread, 1);
        meter(backward_, FM_HOOK_EGRESS, kPacketsPerThread, 1);
      },
      [&] {
        meter(forward_, FM_HOOK_EGRESS, kPacketsPerThread, second);
        meter(backward_, FM_HOOK_INGRESS, kPacketsPerThread, second);
      });
  finish();
  const fm_hook_counters classes = this->classes();
  EXPECT_EQ(classes.seen, 4u * kPacketsPerThread + 2);
  EXPECT_EQ(classes.by_class[FM_METERED] + classes.by_class[FM_SEEN_BEFORE], classes.seen);
  EXPECT_EQ(flows_->packets_written(), classes.by_class[FM_METERED]);
  uint64_t twice = 0;  // a packet that did not get the lock is counted at each interface
  for (const InterfaceCounters& each : datapath_->interface_counters())
    for (const fm_hook_counters& hook : each.hook) {
      if (each.index == second)
        twice += hook.by_class[FM_METERED];
      else
        EXPECT_EQ(hook.by_class[FM_METERED], kPacketsPerThread + 1);
    }
  EXPECT_LE(twice, datapath_->counters().uncounted);
  ASSERT_EQ(sink_.rows.size(), 1u);
  EXPECT_LE(sink_.rows[0].forward_packets() - (kPacketsPerThread + 1), twice);
  EXPECT_LE(sink_.rows[0].backward_packets() - (kPacketsPerThread + 1), twice);
}

INSTANTIATE_TEST_SUITE_P(Datapaths, Contention,
                         ::testing::Values(Datapath::kEvents, Datapath::kKernel),
                         [](const auto& instance) {
                           return instance.param == Datapath::kKernel ? "Kernel" : "Events";
                         });

}  // namespace
}  // namespace flowmeter::testing
