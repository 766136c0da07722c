// SPDX-License-Identifier: BSD-3-Clause
// A packet as the Java CICFlowMeter sees it (its BasicPacketInfo), and Java's arithmetic: 64-bit
// integers that wrap.
#pragma once

#include <cmath>
#include <cstdint>

namespace flowmeter {

struct JavaPacket {
  int64_t time_us = 0;  // since the epoch; negative before it, and where the original's time wraps
  uint32_t source = 0;  // addresses as numbers, first byte highest
  uint32_t destination = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint8_t protocol = 0;  // 6, 17, or 0 for everything else
  uint8_t tcp_flags = 0;
  uint16_t tcp_window = 0;
  int64_t header_bytes = 0;   // of the transport header
  int64_t payload_bytes = 0;  // after it; only what was captured
};

inline int64_t java_add(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

inline int64_t java_subtract(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

// The cast (long) of a double: rounds towards zero, turns NaN into 0, and a value that does not fit
// into the nearest limit.
inline int64_t java_long(double value) {
  if (std::isnan(value)) return 0;
  if (value >= 0x1p63) return INT64_MAX;
  if (value <= -0x1p63) return INT64_MIN;
  return static_cast<int64_t>(value);
}

}  // namespace flowmeter
