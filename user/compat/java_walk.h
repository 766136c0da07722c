// SPDX-License-Identifier: BSD-3-Clause
// From a frame's bytes to the packet that the Java CICFlowMeter sees: the header walk of jNetPcap
// 1.4 (the registry's scanners, in native code there) and what PacketReader takes from it.
//
// It differs from the product's own parser on purpose: every frame is taken for Ethernet, headers
// of different layers may make one packet, and a frame without a usable IPv4 header is walked a
// second time as if one stood at its first byte. Stateless; no frame is an error.
#pragma once

#include <cstdint>

#include "compat/java_packet.h"

namespace flowmeter {

// Why a frame is no packet of the original, or how it became one.
enum class JavaWalk : uint8_t {
  kTaken,     // by the first walk
  kFallback,  // by the second walk
  kNotIpv4,   // neither walk found a usable IPv4 header
};

// Fills all of packet but time_us if the frame is taken. captured_length bytes at data are read,
// at most; wire_length is the record's, whatever it is.
JavaWalk java_walk(const uint8_t* data, uint32_t captured_length, uint32_t wire_length,
                   JavaPacket* packet);

}  // namespace flowmeter
