// SPDX-License-Identifier: BSD-3-Clause
// Sends 64-byte UDP packets out of an interface through a packet socket, at a given rate, evenly
// (each millisecond), in a given number of flows (a power of two, by source address). Needs root.
// For more than about 200,000 packets/s use tests/kernel/live_frames.
//
// send_bench_packets INTERFACE RATE FLOWS SECONDS    prints {"sent": …, "seconds": …}
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

#include "support/raw_bpf.h"

namespace flowmeter {
namespace {

double now_s() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Returns how many were sent, or a negative errno.
int64_t send(unsigned interface, double rate, uint32_t flows, double seconds) {
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
  int64_t sent = 0;
  const double begin = now_s();
  for (double now = begin; now < begin + seconds; now = now_s()) {
    for (auto due = static_cast<int64_t>((now - begin) * rate) - sent; due > 0;) {
      const size_t size = std::min(static_cast<size_t>(due), kBatch);
      for (size_t i = 0; i < size; i++) {
        counter = counter * 1664525 + 1013904223;  // like bpf::next_source_address()
        const uint32_t source = (counter & (flows - 1)) << 8 | 10;
        std::memcpy(frames[i].data() + 26, &source, sizeof(source));
      }
      const int done = ::sendmmsg(socket.get(), messages.data(), static_cast<unsigned>(size), 0);
      if (done < 0 && errno != ENOBUFS) return -errno;
      if (done <= 0) break;
      sent += done;
      due -= done;
    }
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  return sent;
}

int run(unsigned interface, double rate, uint32_t flows, double seconds) {
  const double begin = now_s();
  const int64_t sent = send(interface, rate, flows, seconds);
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
  if (rate <= 0 || rate > 1e6 || flows < 1 || flows > 1 << 20 || (flows & (flows - 1)) != 0 ||
      seconds <= 0) {
    std::fprintf(stderr, "usage: send_bench_packets INTERFACE RATE FLOWS SECONDS\n");
    return 2;
  }
  if (interface == 0) {
    std::fprintf(stderr, "no interface %s\n", argv[1]);
    return 1;
  }
  return flowmeter::run(interface, rate, static_cast<uint32_t>(flows), seconds);
}
