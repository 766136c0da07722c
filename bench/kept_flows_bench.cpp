// SPDX-License-Identifier: BSD-3-Clause
// What it costs to copy the open flows for the next daemon (--pin), which is done each second: CPU
// time per copy, with all flows or a part of them changed since the copy before.
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "flows/live_flows.h"

namespace flowmeter {
namespace {

class NoRows final : public RecordSink {
 public:
  void write(const FlowRecord&) override {}
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }
};

double cpu_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

// The kernel's end: flows with one packet each, and then further packets of them.
class Kernel {
 public:
  explicit Kernel(LiveFlows& flows) : flows_(flows) {}

  void open(uint32_t number) {
    const fm_packet packet = next_packet(number);
    fm_open_record record{};
    fm_packet_to_record(&record.packet, &packet, number + 1, FM_RECORD_OPEN_NEW);
    record.key = packet.key;
    flows_.take(&record, sizeof(record));
  }
  void send(uint32_t number) {
    const fm_packet packet = next_packet(number);
    fm_packet_record record{};
    fm_packet_to_record(&record, &packet, number + 1, FM_RECORD_PACKET);
    flows_.take(&record, sizeof(record));
  }

 private:
  fm_packet next_packet(uint32_t number) {
    fm_packet packet{};
    packet.key = {{fm_address_ipv4(number), fm_address_ipv4(2)}, {}, 0, 0, 0, 0};
    fm_key_set_ports(&packet.key, 1000, 80, FM_TCP, 4);
    packet.time_ns = time_ns_ += 1000;
    packet.wire_length = 60;
    packet.header_bytes = 40;
    packet.flags = FM_ACK;
    return packet;
  }

  LiveFlows& flows_;
  uint64_t time_ns_ = FM_SECOND_NS;
};

// Prints the CPU milliseconds of each of `copies` copies, where one flow in `every` has changed.
int bench(const std::string& directory, uint32_t count, uint32_t every, int copies) {
  NoRows rows;
  LiveFlows flows(fm_default_settings(), count, rows);
  auto place = OwnedDirectory::open(directory, OwnedDirectory::IfMissing::kFail);
  if (!place) return std::fprintf(stderr, "%s\n", place.error().message().c_str()), 1;
  auto state = FlowState::open(std::move(*place), "bench.flows", 1, flows.capacity(), false);
  if (!state) return std::fprintf(stderr, "%s\n", state.error().message().c_str()), 1;
  Kernel kernel(flows);
  for (uint32_t i = 0; i < count; i++) kernel.open(i);
  for (int copy = 0; copy <= copies; copy++) {
    for (uint32_t i = 0; i < count; i += every) kernel.send(i);
    flows.settle();
    const double begin = cpu_ms();
    Status saved =
        flows.save(**state, static_cast<uint64_t>(copy + 1), LiveFlows::Copied::kChanges);
    const double end = cpu_ms();
    if (!saved) return std::fprintf(stderr, "%s\n", saved.error().message().c_str()), 1;
    if (copy > 0) std::printf("%.3f\n", end - begin);  // the first one gets its memory
  }
  return (*state)->remove() ? 0 : 1;
}

}  // namespace
}  // namespace flowmeter

int main(int argc, char** argv) {
  if (argc != 5) return std::fputs("usage: kept_flows_bench DIR FLOWS EVERY COPIES\n", stderr), 2;
  return flowmeter::bench(argv[1], static_cast<uint32_t>(std::atoi(argv[2])),
                          static_cast<uint32_t>(std::atoi(argv[3])), std::atoi(argv[4]));
}
