// SPDX-License-Identifier: BSD-3-Clause
// Sends 64-octet UDP packets out of an interface at a given rate, over a given number of flows (a
// power of two, by source address). Needs root.
//
// Up to kSocketRate by a packet socket, evenly (each millisecond); above by live frames of an XDP
// program (BPF_F_TEST_XDP_LIVE_FRAMES), which reach rates on one CPU that sockets do not, but in
// bursts: each run of the program ends with a wait of some 20 ms in the kernel. A veth takes live
// frames only if its peer has GRO on.
//
// send_bench_packets INTERFACE RATE FLOWS SECONDS    prints {"sent": …, "seconds": …}
#include <bpf/bpf.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "raw_bpf.h"

namespace flowmeter {
namespace {

double now_s() {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

UniqueFd load_generator(unsigned interface, int counter_fd, uint32_t mask) {
  using namespace bpf;
  std::vector<bpf_insn> program = {
      load32(BPF_REG_7, BPF_REG_1, offsetof(xdp_md, data)),
      load32(BPF_REG_8, BPF_REG_1, offsetof(xdp_md, data_end)),
      mov(BPF_REG_3, BPF_REG_7),
      add_imm(BPF_REG_3, 42),
      mov_imm(BPF_REG_0, XDP_DROP),
  };
  const size_t check = program.size();
  program.push_back(jump_greater(BPF_REG_3, BPF_REG_8, 0));
  next_source_address(program, BPF_REG_7, counter_fd, mask);
  program.push_back(mov_imm(BPF_REG_1, static_cast<int32_t>(interface)));
  program.push_back(mov_imm(BPF_REG_2, 0));
  program.push_back(call(BPF_FUNC_redirect));
  program[check].off = static_cast<__s16>(program.size() - check - 1);
  program.push_back(exit());
  return load_raw_program(BPF_PROG_TYPE_XDP, program);
}

constexpr double kSocketRate = 200'000;

// Calls burst(count) so that packets go out at the rate, at most every pause_s seconds. burst
// returns how many it sent, or a negative errno. Returns how many were sent in all, or the negative
// errno.
template <typename Burst>
int64_t pace(double rate, double seconds, double pause_s, Burst&& burst) {
  const double begin = now_s();
  int64_t sent = 0;
  for (double now = begin; now < begin + seconds; now = now_s()) {
    const double due = (now - begin) * rate - static_cast<double>(sent);
    if (due >= 1) {
      const int64_t count = burst(static_cast<int>(std::min(due, rate)));
      if (count < 0) return count;
      sent += count;
    }
    const struct timespec pause { 0, static_cast<long>(pause_s * 1e9) };
    ::nanosleep(&pause, nullptr);
  }
  return sent;
}

int64_t send_live_frames(unsigned interface, double rate, uint32_t flows, double seconds) {
  const UniqueFd counter = create_raw_map(BPF_MAP_TYPE_ARRAY, 8, 1);
  const UniqueFd generator = load_generator(interface, counter.get(), flows - 1);
  const std::vector<uint8_t> frame = bench_frame(false, 64);
  xdp_md context{};
  context.data_end = static_cast<__u32>(frame.size());
  return pace(rate, seconds, 0, [&](int count) -> int64_t {
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(),
                .data_size_in = static_cast<__u32>(frame.size()), .ctx_in = &context,
                .ctx_size_in = sizeof(context), .repeat = count,
                .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
    const int error = bpf_prog_test_run_opts(generator.get(), &options);
    return error < 0 ? error : count;
  });
}

int64_t send_by_socket(unsigned interface, double rate, uint32_t flows, double seconds) {
  const UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(interface);
  if (!socket || ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0)
    return -errno;
  constexpr size_t kBatch = 64;
  std::array<std::vector<uint8_t>, kBatch> frames;
  std::array<iovec, kBatch> vectors;
  std::array<mmsghdr, kBatch> messages{};
  for (size_t i = 0; i < kBatch; i++) {
    frames[i] = bench_frame(false, 64);
    vectors[i] = {frames[i].data(), frames[i].size()};
    messages[i].msg_hdr.msg_iov = &vectors[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  uint32_t counter = 0;
  return pace(rate, seconds, 0.001, [&](int count) -> int64_t {
    const auto batch = std::min(static_cast<size_t>(count), kBatch);
    int64_t sent = 0;
    for (int left = count; left > 0; left -= static_cast<int>(batch)) {
      const size_t size = std::min(static_cast<size_t>(left), batch);
      for (size_t i = 0; i < size; i++) {
        counter = counter * 1664525 + 1013904223;  // as next_source_address()
        const uint32_t source = (counter & (flows - 1)) << 8 | 10;
        std::memcpy(frames[i].data() + 26, &source, sizeof(source));
      }
      const int done = ::sendmmsg(socket.get(), messages.data(), static_cast<unsigned>(size), 0);
      if (done < 0) return errno == ENOBUFS ? sent : -errno;
      sent += done;
    }
    return sent;
  });
}

int send(unsigned interface, double rate, uint32_t flows, double seconds) {
  const double begin = now_s();
  const int64_t sent =
      (rate <= kSocketRate ? send_by_socket : send_live_frames)(interface, rate, flows, seconds);
  if (sent < 0) {
    std::fprintf(stderr, "cannot send: %s\n", std::strerror(static_cast<int>(-sent)));
    return 1;
  }
  std::printf("{\"sent\": %lld, \"seconds\": %.3f}\n", static_cast<long long>(sent),
              now_s() - begin);
  return 0;
}

}  // namespace
}  // namespace flowmeter

int main(int argc, char** argv) {
  const unsigned interface = argc == 5 ? ::if_nametoindex(argv[1]) : 0;
  const double rate = argc == 5 ? std::atof(argv[2]) : 0;
  const long flows = argc == 5 ? std::atol(argv[3]) : 0;
  const double seconds = argc == 5 ? std::atof(argv[4]) : 0;
  if (rate <= 0 || flows < 1 || flows > 1 << 20 || (flows & (flows - 1)) != 0 || seconds <= 0) {
    std::fprintf(stderr, "usage: send_bench_packets INTERFACE RATE FLOWS SECONDS\n");
    return 2;
  }
  if (interface == 0) {
    std::fprintf(stderr, "no interface %s\n", argv[1]);
    return 1;
  }
  return flowmeter::send(interface, rate, static_cast<uint32_t>(flows), seconds);
}
