// SPDX-License-Identifier: BSD-3-Clause
// Load generator: sends packets of many flows out of an interface. An XDP program that
// BPF_PROG_TEST_RUN runs on live frames reaches rates on one CPU that sockets do not. Needs root.
//
// The destination MAC address is nobody's, so the receiver drops the packets after its hooks. A
// veth takes them only if its peer has GRO enabled or an XDP program attached. The number that the
// interface counts as sent is printed beside the number offered. Both are right only if nobody else
// sends through it.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <getopt.h>
#include <net/if.h>
#include <pthread.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "live_frames.skel.h"

namespace {

constexpr const char* kUsage =
    R"(usage: send_live_frames [OPTIONS] INTERFACE
Sends packets of many flows and prints how many as one JSON object:
offered (given to the interface), sent and dropped (by its own counters), seconds.
  --packets N     stop after N packets
  --seconds S     stop after S seconds (one of the two is needed; both: what comes first)
  --rate N        packets/s, evenly; default: as fast as it goes
  --flows N       a power of two up to 2^32, told apart by the source address and met in
                  pseudo-random order; 2^32 (or "random"): each packet opens a flow. Default 65536
  --kind KIND     udp4 (default), udp6, or SYNs: tcp4, tcp6
  --size BYTES    of a frame, default 64 (tcp6: 74)
)";

volatile std::sig_atomic_t stopped = 0;

[[noreturn]] void fail(const std::string& doing, int os_error) {
  std::fprintf(stderr, "send_live_frames: %s: %s\n", doing.c_str(), std::strerror(os_error));
  std::exit(1);
}

[[noreturn]] void wrong_usage(const std::string& why) {
  std::fprintf(stderr, "send_live_frames: %s\n%s", why.c_str(), kUsage);
  std::exit(2);
}

struct Options {
  std::string interface;
  std::string kind = "udp4";
  uint64_t packets = 0;
  double seconds = 0;
  double rate = 0;
  uint64_t flows = 65536;
  uint64_t size = 0;
};

uint64_t parse_number(const char* option, const char* text) {
  char* end = nullptr;
  errno = 0;
  const unsigned long long value = std::strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || *text == '-' || value == 0)
    wrong_usage(std::string("--") + option + " needs a positive whole number, not " + text);
  return value;
}

Options parse_options(int argc, char** argv) {
  static const option kLong[] = {
      {"packets", required_argument, nullptr, 'p'}, {"seconds", required_argument, nullptr, 's'},
      {"rate", required_argument, nullptr, 'r'},    {"flows", required_argument, nullptr, 'f'},
      {"kind", required_argument, nullptr, 'k'},    {"size", required_argument, nullptr, 'z'},
      {"help", no_argument, nullptr, 'h'},          {},
  };
  Options o;
  for (int at = -1, c; (c = ::getopt_long(argc, argv, "h", kLong, &at)) != -1; at = -1) {
    const char* name = at >= 0 ? kLong[at].name : "";
    switch (c) {
      case 'p':
        o.packets = parse_number(name, optarg);
        break;
      case 's':
        o.seconds = std::atof(optarg);
        if (!(o.seconds > 0)) wrong_usage("--seconds needs a positive number");
        break;
      case 'r':
        o.rate = static_cast<double>(parse_number(name, optarg));
        break;
      case 'f':
        o.flows = optarg == std::string("random") ? 1ull << 32 : parse_number(name, optarg);
        break;
      case 'k':
        o.kind = optarg;
        break;
      case 'z':
        o.size = parse_number(name, optarg);
        break;
      case 'h':
        std::fputs(kUsage, stdout);
        std::exit(0);
      default:
        wrong_usage("unknown option");
    }
  }
  if (optind + 1 != argc) wrong_usage("one interface is needed");
  o.interface = argv[optind];
  if (o.packets == 0 && !(o.seconds > 0)) wrong_usage("--packets or --seconds is needed");
  if (o.flows > 1ull << 32 || (o.flows & (o.flows - 1)) != 0)
    wrong_usage("--flows needs a power of two up to 2^32");
  return o;
}

struct Frame {
  std::vector<uint8_t> bytes;
  uint32_t source_offset;  // of the last 4 bytes of the source address
};

// A frame to 198.18.0.1 or 2001:2::1 (benchmarking addresses), ports 40000 and 443.
Frame make_frame(const Options& o) {
  const bool tcp = o.kind.starts_with("tcp");
  const bool ipv6 = o.kind.ends_with('6');
  if (o.kind != "udp4" && o.kind != "udp6" && o.kind != "tcp4" && o.kind != "tcp6")
    wrong_usage("--kind is udp4, udp6, tcp4 or tcp6, not " + o.kind);
  const size_t ip_header = ipv6 ? 40 : 20;
  const size_t headers = 14 + ip_header + (tcp ? 20 : 8);
  const size_t size = o.size ? o.size : std::max<size_t>(64, headers);
  if (size < headers || size > 1514)
    wrong_usage("--size of " + o.kind + " is from " + std::to_string(headers) + " to 1514");

  std::vector<uint8_t> f(size);
  const auto put16 = [&f](size_t at, size_t value) {
    f[at] = static_cast<uint8_t>(value >> 8);
    f[at + 1] = static_cast<uint8_t>(value);
  };
  f[0] = f[6] = 0x02;  // locally administered
  f[5] = 2;
  f[11] = 1;
  put16(12, ipv6 ? 0x86dd : 0x0800);
  const size_t ip = 14, transport = ip + ip_header;
  if (ipv6) {
    f[ip] = 0x60;
    put16(ip + 4, size - transport);
    f[ip + 6] = tcp ? 6 : 17;
    f[ip + 7] = 64;
    for (const size_t address : {ip + 8, ip + 24}) {
      put16(address, 0x2001);
      put16(address + 2, 2);
    }
    f[ip + 39] = 1;
  } else {
    f[ip] = 0x45;
    put16(ip + 2, size - ip);
    f[ip + 8] = 64;
    f[ip + 9] = tcp ? 6 : 17;
    put16(ip + 16, 198 << 8 | 18);
    f[ip + 19] = 1;
  }
  put16(transport, 40000);
  put16(transport + 2, 443);
  if (tcp) {
    f[transport + 12] = 0x50;
    f[transport + 13] = 0x02;
    put16(transport + 14, 64240);
  } else {
    put16(transport + 4, size - transport);
  }
  return {f, static_cast<uint32_t>(ip + (ipv6 ? 20 : 12))};
}

struct Sent {
  uint64_t packets = 0, dropped = 0;
};

// The interface's own counters. /proc shows the network namespace of the process.
Sent interface_counters(const std::string& interface) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/net/dev", "re"), std::fclose);
  if (!file) fail("cannot read /proc/net/dev", errno);
  char line[512];
  while (std::fgets(line, sizeof(line), file.get())) {
    char name[64] = "";
    unsigned long long packets = 0, dropped = 0;
    if (std::sscanf(line, " %63[^:]: %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu %*u %llu", name,
                    &packets, &dropped) == 3 &&
        interface == name)
      return {packets, dropped};
  }
  fail("no interface " + interface + " in /proc/net/dev", ENODEV);
}

double now_s() {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

void pause_1ms() {
  const struct timespec pause { 0, 1'000'000 };
  ::nanosleep(&pause, nullptr);
}

// Volatile, because the BPF program changes it meanwhile.
uint64_t packets_of(const live_frames_bpf& bpf) {
  return *static_cast<const volatile __u64*>(&bpf.bss->packets);
}

void send(const Options& o) {
  const Frame frame = make_frame(o);
  const unsigned interface = ::if_nametoindex(o.interface.c_str());
  if (interface == 0) fail("no interface " + o.interface, errno);
  const std::unique_ptr<live_frames_bpf, void (*)(live_frames_bpf*)> bpf(live_frames_bpf__open(),
                                                                         live_frames_bpf__destroy);
  if (!bpf) fail("cannot open the embedded BPF object", errno);
  bpf->rodata->interface = interface;
  bpf->rodata->source_offset = frame.source_offset;
  bpf->rodata->flow_mask = static_cast<uint32_t>(o.flows - 1);
  bpf->rodata->interval_ns = o.rate > 0 ? static_cast<uint64_t>(1e9 / o.rate + 0.5) : 0;
  bpf->rodata->packets_max = o.packets ? o.packets : UINT64_MAX;
  if (const int error = live_frames_bpf__load(bpf.get()); error != 0)
    fail("cannot load the BPF program", -error);

  const Sent before = interface_counters(o.interface);
  const double begin = now_s();
  const auto done = [&] {
    return stopped || (o.packets && packets_of(*bpf) >= o.packets) ||
           (o.seconds > 0 && now_s() - begin >= o.seconds);
  };
  // Starting and ending a test run takes some 20 ms, in which nothing is sent. So there is one run
  // for all packets, and a signal ends it.
  const pthread_t sender = ::pthread_self();
  std::jthread watch([&](const std::stop_token& ended) {
    while (!ended.stop_requested()) {
      if (done()) ::pthread_kill(sender, SIGUSR1);
      pause_1ms();
    }
  });
  xdp_md context{};
  context.data_end = static_cast<__u32>(frame.bytes.size());
  while (!done()) {
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes.data(),
                .data_size_in = static_cast<__u32>(frame.bytes.size()), .ctx_in = &context,
                .ctx_size_in = sizeof(context), .repeat = INT_MAX,
                .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
    const int error = bpf_prog_test_run_opts(bpf_program__fd(bpf->progs.live_frame), &options);
    if (error < 0 && error != -EINTR)
      fail("BPF_PROG_TEST_RUN with live frames (Linux 5.18 and newer)", -error);
  }
  const double seconds = now_s() - begin;
  watch.request_stop();
  watch.join();
  const uint64_t offered = packets_of(*bpf);
  // The peer of a veth receives the last packets after the run has ended.
  Sent after = interface_counters(o.interface);
  for (int i = 0;
       i < 100 && after.packets + after.dropped < before.packets + before.dropped + offered; i++) {
    pause_1ms();
    after = interface_counters(o.interface);
  }
  std::printf("{\"offered\": %llu, \"sent\": %llu, \"dropped\": %llu, \"seconds\": %.3f}\n",
              static_cast<unsigned long long>(offered),
              static_cast<unsigned long long>(after.packets - before.packets),
              static_cast<unsigned long long>(after.dropped - before.dropped), seconds);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse_options(argc, argv);
  struct sigaction action {};
  action.sa_handler = [](int) { stopped = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  action.sa_handler = [](int) {};  // only interrupts
  ::sigaction(SIGUSR1, &action, nullptr);
  send(options);
  return 0;
}
