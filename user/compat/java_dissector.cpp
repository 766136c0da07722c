// SPDX-License-Identifier: BSD-3-Clause
#include "compat/java_dissector.h"

#include <algorithm>

namespace flowmeter {
namespace {

constexpr int64_t kMicroseconds = 1'000'000;
constexpr uint64_t kSecondNs = 1'000'000'000;

// JCaptureHeader.timestampInMicros() for a pcap record as libpcap reads it: in this machine's byte
// order both fields are signed 32-bit numbers; in the other order they are unsigned, but the
// microseconds are then stored in a Java int.
int64_t pcap_time_us(uint32_t seconds, uint32_t subseconds, bool swapped, bool nanoseconds) {
  const auto as_read = [swapped](uint32_t field) {
    return swapped ? int64_t{field} : int64_t{static_cast<int32_t>(field)};
  };
  const int64_t us = nanoseconds ? as_read(subseconds) / 1000 : as_read(subseconds);
  return as_read(seconds) * kMicroseconds + static_cast<int32_t>(us);
}

}  // namespace

bool JavaDissector::ends_before(const CapturedFrame& frame) const {
  if (!capture_) return false;
  return capture_->libpcap_stops() ||
         (capture_->is_pcapng() && frame.captured_length > capture_->snap_length());
}

int64_t JavaDissector::time_us(const CapturedFrame& frame) const {
  if (capture_ && !capture_->is_pcapng()) {
    const uint32_t subseconds = capture_->record_fields().subseconds;
    const bool nanoseconds = capture_->nanoseconds();
    const uint64_t subseconds_ns = uint64_t{subseconds} * (nanoseconds ? 1 : 1000);
    const auto seconds = static_cast<uint32_t>((frame.time_ns - subseconds_ns) / kSecondNs);
    return pcap_time_us(seconds, subseconds, capture_->byte_swapped(), nanoseconds);
  }
  if (frame.era == 0) return static_cast<int64_t>(frame.time_ns / 1000);
  // Seconds are rounded down and microseconds are the remainder. The product wraps in Java.
  const __int128 ns = static_cast<__int128>(frame.era) * (static_cast<__int128>(1) << 64) +
                      static_cast<__int128>(frame.time_ns);
  const __int128 us = ns / 1000 - (ns % 1000 < 0 ? 1 : 0);
  return static_cast<int64_t>(us);
}

JavaPacketClass JavaDissector::dissect(const CapturedFrame& frame, JavaPacket* packet) const {
  uint32_t captured = frame.captured_length;
  uint32_t wire = frame.wire_length;
  if (capture_) {
    captured = std::min(captured, capture_->snap_length());  // libpcap ignores further bytes
    wire = capture_->record_fields().wire_length;
  }
  // jNetPcap's file reader compares them as Java ints.
  if (static_cast<int32_t>(wire) < static_cast<int32_t>(captured))
    return JavaPacketClass::kWireBelowCaptured;
  const JavaPacketClass packet_class = java_walk(frame.data, captured, wire, packet);
  if (packet_class != JavaPacketClass::kNotIpv4) packet->time_us = time_us(frame);
  return packet_class;
}

JavaPacketClass JavaDissector::dissect(const LivePacket& live, JavaPacket* packet) {
  const fm_packet& known = live.packet;
  if (known.key.ip_version != 4) return JavaPacketClass::kNotIpv4;
  *packet = JavaPacket{};
  packet->time_us = live.time_us;
  packet->source = live.source_ip();
  packet->destination = live.destination_ip();
  if (known.key.kind == FM_KEY_PORTS && !live.is_later_fragment()) {
    constexpr uint16_t kIpHeader = 20, kUdpHeader = 8, kMostTcpHeader = 60;
    packet->protocol = known.key.protocol;
    packet->source_port = live.source_port();
    packet->destination_port = live.destination_port();
    packet->tcp_flags = known.flags;
    packet->tcp_window = known.window;
    // The lengths of the IP and the TCP header come as one number. IP options are rare, so all
    // options are assumed to be TCP's.
    packet->header_bytes = packet->protocol == FM_UDP
                               ? kUdpHeader
                               : std::min<int>(known.header_bytes - kIpHeader, kMostTcpHeader);
    packet->payload_bytes = known.payload_bytes + (known.has_shims ? live.padding_with_shims() : 0);
  }
  return !known.has_shims && live.link_bytes() == 0 ? JavaPacketClass::kTakenAsRawIp
                                                    : JavaPacketClass::kTaken;
}

}  // namespace flowmeter
