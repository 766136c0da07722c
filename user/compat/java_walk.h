// SPDX-License-Identifier: BSD-3-Clause
// From a frame's bytes to the packet that the Java CICFlowMeter sees: the header walk of jNetPcap
// 1.4 (the registry's scanners, in native code there) and what PacketReader uses of it.
//
// It differs from flowmeter/parse.h on purpose: every frame is treated as Ethernet, headers of
// different layers may be combined into one packet, and a frame without a usable IPv4 header is
// walked again as if that header were at its first byte. Stateless; no frame is an error.
#pragma once

#include <cstdint>

#include "compat/java_packet.h"

namespace flowmeter {

// What became of a frame.
enum class JavaPacketClass : uint8_t {
  kTaken,              // a packet, by the first walk
  kTakenAsRawIp,       // a packet, by the walk from the first byte
  kNotIpv4,            // neither walk found a usable IPv4 header
  kWireBelowCaptured,  // skipped by the original's reader, before any walk
  kCount
};

// Fills packet, except time_us, if the frame is taken. Reads at most captured_length bytes at data.
// wire_length is that of the record, which was not checked.
JavaPacketClass java_walk(const uint8_t* data, uint32_t captured_length, uint32_t wire_length,
                          JavaPacket* packet);

}  // namespace flowmeter
