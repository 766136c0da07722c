// SPDX-License-Identifier: BSD-3-Clause
// One flow of the Java CICFlowMeter, and how a packet updates it (its class BasicFlow).
//
// Quirks that change cells are the named functions below, one per rule. Times are microseconds and
// wrap like the original's. Trivially copyable, because flows are in a pool.
#pragma once

#include <array>
#include <cstdint>

#include "compat/java_packet.h"
#include "compat/java_statistics.h"

namespace flowmeter {

struct JavaFlowIdentity {
  uint32_t source = 0;
  uint32_t destination = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint8_t protocol = 0;
};

inline JavaFlowIdentity identity_of(const JavaPacket& packet) {
  return {packet.source, packet.destination, packet.source_port, packet.destination_port,
          packet.protocol};
}

// BasicFlow.updateBackwardBulk.
struct JavaBulk {
  int64_t begin_us = 0;  // of the current run of packets; 0: none
  int64_t last_us = 0;
  int64_t run_packets = 0;
  int64_t run_bytes = 0;
  // Sums over all runs of at least four packets.
  int64_t bulks = 0;
  int64_t packets = 0;
  int64_t bytes = 0;
  int64_t duration_us = 0;

  void add(const JavaPacket& packet);
};

struct JavaDirection {
  JavaStatistics payload;
  JavaStatistics gaps;
  int64_t last_us = 0;
  int64_t header_bytes = 0;
  int64_t payload_bytes = 0;
  int64_t window = 0;
};

struct JavaFlow {
  enum Flag : uint8_t { kFin = 1, kRst = 4, kPsh = 8, kUrg = 32 };

  // Starts a flow: the packet is its first and counts as forward, whoever sent it.
  JavaFlow(const JavaFlowIdentity& flow_identity, const JavaPacket& packet);

  // BasicFlow.addPacket, for packets after the first.
  void add(const JavaPacket& packet);

  // BasicFlow.updateActiveIdleTime. The last active period, which ends with the flow, is never
  // added.
  void update_activity(int64_t time_us);

  // By address only, so that a flow between equal addresses is all forward.
  bool is_forward(const JavaPacket& packet) const { return packet.source == identity.source; }

  int64_t packets() const { return forward.payload.count() + backward.payload.count(); }

  JavaFlowIdentity identity;
  int64_t start_us = 0;
  int64_t last_us = 0;

  JavaDirection forward, backward;
  JavaStatistics payload;  // of both directions; the first packet's is in it twice
  JavaStatistics gaps;

  std::array<int64_t, 8> flag_packets{};  // by bit
  bool first_psh = false, first_urg = false;
  int64_t forward_fins = 0;  // as FlowGenerator counts them: not that of the first packet
  int64_t forward_data_packets = 0;
  int64_t least_forward_header = 0;

  JavaBulk bulk;
  int64_t subflow_gaps = 0;
  int64_t active_begin_us = 0;
  int64_t active_end_us = 0;
  JavaStatistics active, idle;

 private:
  void count_flags(const JavaPacket& packet);
  void detect_subflow(const JavaPacket& packet);
};

}  // namespace flowmeter
