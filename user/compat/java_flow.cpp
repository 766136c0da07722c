// SPDX-License-Identifier: BSD-3-Clause
#include "compat/java_flow.h"

namespace flowmeter {
namespace {

constexpr int64_t kActivityTimeoutUs = 5'000'000;
constexpr int64_t kSubflowGapUs = 1'000'000;
constexpr int64_t kBulkGapUs = 1'000'000;
constexpr int64_t kBulkPackets = 4;

double real(int64_t value) {
  return static_cast<double>(value);
}

}  // namespace

// This has the bulks of both directions: BasicFlow.updateFlowBulk compares the addresses as objects
// instead of by content, so it never considers a packet as forward.
void JavaBulk::add(const JavaPacket& packet) {
  if (packet.payload_bytes <= 0) return;
  const int64_t now = packet.time_us;
  if (begin_us <= 0 || java_subtract(now, last_us) > kBulkGapUs) {
    begin_us = last_us = now;
    run_packets = 1;
    run_bytes = packet.payload_bytes;
    return;
  }
  run_packets++;
  run_bytes += packet.payload_bytes;
  if (run_packets == kBulkPackets) {
    bulks++;
    packets += run_packets;
    bytes += run_bytes;
    duration_us = java_add(duration_us, java_subtract(now, begin_us));
  } else if (run_packets > kBulkPackets) {
    packets++;
    bytes += packet.payload_bytes;
    duration_us = java_add(duration_us, java_subtract(now, last_us));
  }
  last_us = now;
}

JavaFlow::JavaFlow(const JavaFlowIdentity& flow_identity, const JavaPacket& packet)
    : identity(flow_identity),
      start_us(packet.time_us),
      last_us(packet.time_us),
      first_psh(packet.tcp_flags & kPsh),
      first_urg(packet.tcp_flags & kUrg),
      least_forward_header(packet.header_bytes),
      active_begin_us(packet.time_us),
      active_end_us(packet.time_us) {
  bulk.add(packet);
  count_flags(packet);
  // BasicFlow.firstPacket adds the payload, and then adds it again by direction.
  payload.add(real(packet.payload_bytes));
  payload.add(real(packet.payload_bytes));
  forward.payload.add(real(packet.payload_bytes));
  forward.payload_bytes = packet.payload_bytes;
  forward.header_bytes = packet.header_bytes;
  forward.window = packet.tcp_window;
  forward.last_us = packet.time_us;
}

void JavaFlow::add(const JavaPacket& packet) {
  bulk.add(packet);
  detect_subflow(packet);
  count_flags(packet);
  payload.add(real(packet.payload_bytes));
  const bool is_fwd = is_forward(packet);
  JavaDirection& direction = is_fwd ? forward : backward;
  if (is_fwd) {
    if (packet.payload_bytes >= 1) forward_data_packets++;
    if (packet.header_bytes < least_forward_header) least_forward_header = packet.header_bytes;
  } else {
    direction.window = packet.tcp_window;  // the last one remains
  }
  if (!direction.payload.empty())
    direction.gaps.add(real(java_subtract(packet.time_us, direction.last_us)));
  direction.last_us = packet.time_us;
  direction.payload.add(real(packet.payload_bytes));
  direction.payload_bytes += packet.payload_bytes;
  direction.header_bytes += packet.header_bytes;
  gaps.add(real(java_subtract(packet.time_us, last_us)));
  last_us = packet.time_us;
}

// BasicFlow.checkFlags
void JavaFlow::count_flags(const JavaPacket& packet) {
  for (size_t bit = 0; bit < flag_packets.size(); bit++)
    flag_packets[bit] += packet.tcp_flags >> bit & 1;
}

// BasicFlow.detectUpdateSubflows. Counts gaps, by which the averages are divided, not subflows.
void JavaFlow::detect_subflow(const JavaPacket& packet) {
  if (java_subtract(packet.time_us, last_us) <= kSubflowGapUs) return;
  subflow_gaps++;
  update_activity(packet.time_us);
}

void JavaFlow::update_activity(int64_t time_us) {
  const int64_t silence = java_subtract(time_us, active_end_us);
  if (silence > kActivityTimeoutUs) {
    const int64_t period = java_subtract(active_end_us, active_begin_us);
    if (period > 0) active.add(real(period));
    idle.add(real(silence));
    active_begin_us = time_us;
  }
  active_end_us = time_us;
}

}  // namespace flowmeter
