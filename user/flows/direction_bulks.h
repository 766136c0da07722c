// SPDX-License-Identifier: BSD-3-Clause
// Bulks of one direction that packets of the other direction do not end: runs of payload packets
// without a gap above bulk_max_gap_ns. Kept with fm_settings.with_application. (The bulks of
// flow_timing.h end with the other direction's payload.)
#pragma once

#include <cstdint>

#include "flowmeter/packet.h"
#include "flowmeter/settings.h"

namespace flowmeter {

struct alignas(64) DirectionBulks {
  struct Run {
    uint64_t packets = 0;
    uint64_t bytes = 0;
    uint64_t first_ns = 0;
    uint64_t last_ns = 0;
  };
  struct Totals {
    uint64_t count = 0;
    uint64_t packets = 0;
    uint64_t bytes = 0;
    double rate_sum = 0;  // sum of each bulk's bytes per second; 0 for a bulk without duration
  };
  Run run;        // the current run
  Totals totals;  // of the bulks that have ended

  // Adds a packet of this direction with all its segments, which have one time. now_ns: the flow's
  // time (fm_flow_time), which never runs back.
  void add(const fm_packet& packet, uint64_t now_ns, const fm_settings& settings) {
    if (packet.payload_bytes == 0) return;
    if (run.packets == 0 || now_ns - run.last_ns > settings.bulk_max_gap_ns) {
      end_run(settings);
      run = {0, 0, now_ns, now_ns};
    }
    run.packets += fm_packet_segments(&packet);
    run.bytes += packet.payload_bytes;
    run.last_ns = now_ns;
  }

  // The bulks if the flow ends now. The open run may be one of them.
  DirectionBulks finished(const fm_settings& settings) const {
    DirectionBulks all = *this;
    all.end_run(settings);
    all.run = {};
    return all;
  }

 private:
  void end_run(const fm_settings& settings) {
    if (run.packets == 0 || run.packets < settings.bulk_min_packets) return;
    totals.count++;
    totals.packets += run.packets;
    totals.bytes += run.bytes;
    if (run.last_ns > run.first_ns)
      totals.rate_sum += static_cast<double>(run.bytes) * FM_SECOND_NS /
                         static_cast<double>(run.last_ns - run.first_ns);
  }
};
static_assert(sizeof(DirectionBulks) == 64, "one cache line per packet");

}  // namespace flowmeter
