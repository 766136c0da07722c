// SPDX-License-Identifier: BSD-3-Clause
// Packets of one TCP conversation, written as in the specifications of the feature sets.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "support/packet_builder.h"
#include "support/replay_rows.h"

namespace flowmeter::testing {

// F(100): a forward packet with 100 bytes of payload.
inline Packet F(size_t payload, uint8_t flags = FM_ACK, uint16_t window = 8192) {
  return ipv4("192.168.1.9", "10.0.0.2").tcp(4242, 80, flags, window).payload(payload);
}
inline Packet B(size_t payload, uint8_t flags = FM_ACK, uint16_t window = 8192) {
  return ipv4("10.0.0.2", "192.168.1.9").tcp(80, 4242, flags, window).payload(payload);
}

inline std::vector<TimedFrame> forward_at(std::initializer_list<double> times, size_t payload = 0) {
  std::vector<TimedFrame> frames;
  for (const double t : times) frames.push_back(F(payload).at(t));
  return frames;
}

inline void expect_zero(const Row& row, const std::vector<std::string>& names) {
  for (const std::string& name : names) EXPECT_EQ(row.text(name), "0") << name;
}

}  // namespace flowmeter::testing
