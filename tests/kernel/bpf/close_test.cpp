// SPDX-License-Identifier: BSD-3-Clause
// Closes flows that are busy on two CPUs: no packet is lost, and none is added to another flow.
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "bpf/parity.h"
#include "flows/live_flows.h"
#include "kernel/bpf_datapath.h"
#include "support/packet_builder.h"

namespace flowmeter::testing {
namespace {

constexpr unsigned kFlows = 4;
constexpr unsigned kPacketsPerThread = 100'000;  // at least
constexpr unsigned kRows = 2'000;                // closed while busy

// Each flow has its own packet length, so a packet in another flow's row is noticed.
uint32_t length_of(uint16_t port) {
  return 100u + port;
}

class LengthCheck final : public RecordSink {
 public:
  void write(const FlowRecord& record) override {
    rows++;
    const uint16_t port = record.key.port[record.key.port[0] == 9];
    const fm_moments& length = record.forward().length;
    if (length.min != length_of(port) || length.max != length_of(port)) wrong_rows++;
  }
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }
  uint64_t rows = 0, wrong_rows = 0;
};

class Close : public ::testing::TestWithParam<Datapath> {};

TEST_P(Close, LosesNoPacketOfBusyFlows) {
  if (const std::string why = why_bpf_cannot_run(); !why.empty()) GTEST_SKIP() << why;
  BpfDatapath::Config config;
  config.settings = fm_default_settings();
  config.datapath = GetParam();
  config.max_entries = 4096;
  config.max_fragments = 64;
  config.stream_bytes = 64 << 20;
  LengthCheck sink;
  LiveFlows flows(config.settings, config.max_entries, sink,
                  GetParam() == Datapath::kKernel ? TimingIn::kKernel : TimingIn::kDaemon);
  auto loaded =
      BpfDatapath::load(config, [&](const void* record, size_t size) { flows.take(record, size); });
  ASSERT_TRUE(loaded) << loaded.error().message();
  BpfDatapath& datapath = **loaded;
  Interface interface;
  interface.index = 1;  // loopback, on which BPF_PROG_TEST_RUN delivers packets
  ASSERT_TRUE(datapath.add_interface(interface, DeviceMerging::kOff));

  std::vector<Frame> frames;
  for (uint16_t port = 20; port < 20 + kFlows; port++)
    frames.push_back(ipv4("10.0.0.1", "10.0.0.2").udp(port, 9).pad_to(length_of(port)));
  std::atomic<unsigned> running{2}, failed{0}, sent{0};
  std::atomic<bool> enough{false};
  const auto send = [&] {
    for (unsigned i = 0; i < kPacketsPerThread || !enough; i++) {
      const Frame& frame = frames[i % kFlows];
      LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes.data(),
                  .data_size_in = static_cast<__u32>(frame.bytes.size()), .repeat = 1);
      if (bpf_prog_test_run_opts(datapath.program_fd(interface, FM_HOOK_INGRESS), &options) != 0)
        failed++;
      sent++;
    }
    running--;
  };
  std::thread first(send), second(send);
  const auto close_all = [&] {
    datapath.drain(monotonic_ns(), 1 << 18);
    flows.settle();
    datapath.release();
    std::vector<fm_close_request> requests;
    flows.request_close(FM_END_INPUT, requests);
    EXPECT_TRUE(datapath.close_flows(requests));
  };
  while (running > 0) {
    close_all();
    enough = sink.rows > kRows;
  }
  first.join();
  second.join();
  for (int turn = 0; turn < 3; turn++) close_all();
  close_all();
  flows.finish(FM_END_INPUT);

  const fm_cpu_counters counters = datapath.counters();
  EXPECT_EQ(failed, 0u);
  EXPECT_EQ(counters.events_lost, 0u);
  EXPECT_EQ(datapath.interface_counters().at(0).hook[FM_HOOK_INGRESS].by_class[FM_METERED], sent);
  EXPECT_EQ(flows.packets_written(), sent);
  EXPECT_EQ(sink.wrong_rows, 0u);
}

INSTANTIATE_TEST_SUITE_P(Datapaths, Close, ::testing::Values(Datapath::kEvents, Datapath::kKernel),
                         [](const auto& instance) {
                           return instance.param == Datapath::kKernel ? "Kernel" : "Events";
                         });

}  // namespace
}  // namespace flowmeter::testing
