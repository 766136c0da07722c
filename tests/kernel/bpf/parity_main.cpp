// SPDX-License-Identifier: BSD-3-Clause
// flowmeter-parity CAPTURE…: checks that the loaded BPF program, with each datapath, and replay
// give the same rows for these captures. --short sets short time-outs (idle 10 s, ICMP 5 s, linger
// 1 s, active 20 s), so that flows are split. --features SET uses the settings of that set; the
// columns of all sets that these settings allow are compared. Exit status: 0 equal, 1 different or
// failed, 77 BPF programs cannot be loaded here.
#include <cstdio>
#include <cstring>

#include "bpf/parity.h"
#include "features/feature_sets.h"

int main(int argc, char** argv) {
  using namespace flowmeter;
  fm_settings settings = fm_default_settings();
  if (const std::string why = testing::why_bpf_cannot_run(); !why.empty()) {
    std::printf("skipped: %s\n", why.c_str());
    return 77;
  }
  bool equal = argc > 1;
  uint64_t captures = 0, packets = 0, left_out = 0, cut = 0;
  for (int i = 1; i < argc; i++) {
    if (std::strcmp(argv[i], "--short") == 0) {
      settings.idle_timeout_ns = 10 * FM_SECOND_NS;
      settings.icmp_idle_timeout_ns = 5 * FM_SECOND_NS;
      settings.tcp_linger_ns = 1 * FM_SECOND_NS;
      settings.active_timeout_ns = 20 * FM_SECOND_NS;
      continue;
    }
    if (std::strcmp(argv[i], "--features") == 0 && i + 1 < argc) {
      const NamedFeatureSet* set = find_feature_set(argv[++i]);
      if (!set) {
        std::printf("no feature set %s (there are: %s)\n", argv[i], feature_set_names().c_str());
        return 1;
      }
      settings = set->settings;
      continue;
    }
    for (const Datapath datapath : {Datapath::kEvents, Datapath::kKernel}) {
      // This datapath does not look into payload.
      if (datapath == Datapath::kKernel && settings.with_application) continue;
      const char* name = datapath == Datapath::kKernel ? "kernel" : "events";
      auto report = testing::run_parity(argv[i], settings, datapath);
      if (!report) {
        std::printf("FAILED    %s: %s\n", argv[i], report.error().message().c_str());
        equal = false;
        continue;
      }
      std::printf("%-9s %s %s: %llu packets, %llu rows, left out %llu, cut %llu\n",
                  report->difference_count ? "DIFFERENT" : "equal", name, argv[i],
                  static_cast<unsigned long long>(report->packets),
                  static_cast<unsigned long long>(report->rows),
                  static_cast<unsigned long long>(report->left_out),
                  static_cast<unsigned long long>(report->cut));
      for (const std::string& difference : report->differences)
        std::printf("          %s\n", difference.c_str());
      if (report->difference_count) equal = false;
      if (datapath == Datapath::kKernel) continue;
      captures++;
      packets += report->packets;
      left_out += report->left_out;
      cut += report->cut;
    }
  }
  std::printf("%llu captures, %llu packets; left out %llu, cut %llu\n",
              static_cast<unsigned long long>(captures), static_cast<unsigned long long>(packets),
              static_cast<unsigned long long>(left_out), static_cast<unsigned long long>(cut));
  return equal ? 0 : 1;
}
