// SPDX-License-Identifier: BSD-3-Clause
// What the BPF program costs a packet, by BPF_PROG_TEST_RUN, net of the same run with an empty
// program. Needs root.
//
// TEST_RUN repeats one packet. To visit many flows a driver program, which is what is run, changes
// the packet's source address and tail-calls the program under test; the driver with an empty
// program behind it is the base that is subtracted. The ring buffer is drained between the timed
// runs, so no event is lost and no consumer disturbs.
//
// datapath_bench ROUNDS    prints one JSON object a line and round
#include <bpf/bpf.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "capture/bpf_datapath.h"
#include "raw_bpf.h"

namespace flowmeter {
namespace {

constexpr uint32_t kRepeat =
    1 << 18;  // packets a timed run; their records fit into half of the ring
constexpr uint32_t kRingBytes = 64 << 20;

UniqueFd load_empty() {
  return load_raw_program(BPF_PROG_TYPE_SCHED_CLS, {bpf::mov_imm(BPF_REG_0, -1), bpf::exit()});
}

UniqueFd load_driver(int counter_fd, int programs_fd, int index, uint32_t mask) {
  using namespace bpf;
  std::vector<bpf_insn> program = {
      mov(BPF_REG_6, BPF_REG_1),
      load32(BPF_REG_7, BPF_REG_6, offsetof(__sk_buff, data)),
      load32(BPF_REG_8, BPF_REG_6, offsetof(__sk_buff, data_end)),
      mov(BPF_REG_3, BPF_REG_7),
      add_imm(BPF_REG_3, 54),
  };
  const size_t check = program.size();
  program.push_back(jump_greater(BPF_REG_3, BPF_REG_8, 0));
  next_source_address(program, BPF_REG_7, counter_fd, mask);
  program.push_back(mov(BPF_REG_1, BPF_REG_6));
  load_map(program, BPF_REG_2, BPF_PSEUDO_MAP_FD, programs_fd);
  program.push_back(mov_imm(BPF_REG_3, index));
  program.push_back(call(BPF_FUNC_tail_call));
  program[check].off = static_cast<__s16>(program.size() - check - 1);
  program.push_back(mov_imm(BPF_REG_0, 0));
  program.push_back(exit());
  return load_raw_program(BPF_PROG_TYPE_SCHED_CLS, program);
}

// Mean ns of one run of the program, the loop around it included.
double run(int program, uint32_t repeat) {
  static const std::vector<uint8_t> frame = bench_frame(true, 100);
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(),
              .data_size_in = static_cast<__u32>(frame.size()), .repeat = static_cast<int>(repeat));
  if (const int error = bpf_prog_test_run_opts(program, &options); error != 0) {
    std::fprintf(stderr, "BPF_PROG_TEST_RUN: %s\n", std::strerror(-error));
    std::exit(1);
  }
  return options.duration;
}

class Bench {
 public:
  Bench()
      : empty_(load_empty()),
        counter_(create_raw_map(BPF_MAP_TYPE_ARRAY, 8, 1)),
        programs_(create_raw_map(BPF_MAP_TYPE_PROG_ARRAY, 4, 2)) {
    set_program(0, empty_.get());
  }

  void measure(uint32_t flows, int rounds) {
    BpfDatapath::Config config;
    config.settings = fm_default_settings();
    config.max_flows = flows > 65536 ? 2097152 : 131072;
    config.max_fragments = 1024;
    config.ring_bytes = kRingBytes;
    auto datapath = BpfDatapath::load(config, [](const void*, size_t) {});
    if (!datapath) {
      std::fprintf(stderr, "%s\n", datapath.error().message().c_str());
      std::exit(1);
    }
    BpfDatapath& product = **datapath;
    set_program(1, product.ingress_program_fd());
    const UniqueFd base_driver = load_driver(counter_.get(), programs_.get(), 0, flows - 1);
    const UniqueFd driver = load_driver(counter_.get(), programs_.get(), 1, flows - 1);

    const uint32_t runs = flows > 4 * kRepeat ? flows / kRepeat : 4;
    uint64_t sent = 0;
    const auto mean_of_runs = [&](int program) {
      double sum = 0;
      for (uint32_t i = 0; i < runs; i++) {
        sum += run(program, kRepeat);
        product.drain(SIZE_MAX);
      }
      return sum / runs;
    };
    mean_of_runs(driver.get());  // creates the flows, in full periods of the counter
    sent += uint64_t{runs} * kRepeat;
    for (int round = 0; round < rounds; round++) {
      const double base = mean_of_runs(base_driver.get());
      const double with = mean_of_runs(driver.get());
      sent += uint64_t{runs} * kRepeat;
      double direct_base = 0, direct = 0;
      if (flows == 1) {
        direct_base = mean_of_runs(empty_.get());
        direct = mean_of_runs(product.ingress_program_fd());
        sent += uint64_t{runs} * kRepeat;
      }
      const fm_cpu_counters counters = product.counters();
      std::printf(
          "{\"flows\": %u, \"base_ns\": %.1f, \"program_ns\": %.1f, "
          "\"direct_base_ns\": %.1f, \"direct_ns\": %.1f, \"sent\": %llu, \"metered\": %llu, "
          "\"inserted\": %llu, \"events_lost\": %llu}\n",
          flows, base, with, direct_base, direct, static_cast<unsigned long long>(sent),
          static_cast<unsigned long long>(counters.by_reason[FM_HOOK_INGRESS][FM_METERED]),
          static_cast<unsigned long long>(counters.entries_inserted),
          static_cast<unsigned long long>(counters.events_lost));
      std::fflush(stdout);
    }
  }

 private:
  void set_program(uint32_t index, int fd) {
    if (bpf_map_update_elem(programs_.get(), &index, &fd, BPF_ANY) != 0) {
      std::perror("cannot fill the program array");
      std::exit(1);
    }
  }

  UniqueFd empty_;
  UniqueFd counter_;
  UniqueFd programs_;
};

}  // namespace
}  // namespace flowmeter

int main(int argc, char** argv) {
  const int rounds = argc == 2 ? std::atoi(argv[1]) : 0;
  if (rounds < 1) {
    std::fprintf(stderr, "usage: datapath_bench ROUNDS\n");
    return 2;
  }
  flowmeter::Bench bench;
  for (const uint32_t flows : {1u, 65536u, 1048576u}) bench.measure(flows, rounds);
  return 0;
}
