// SPDX-License-Identifier: BSD-3-Clause
// The account of packets: seen = metered + the packets of every other class.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "flowmeter/packet_class.h"

namespace flowmeter {

struct Account {
  uint64_t seen = 0;
  std::array<uint64_t, FM_PACKET_CLASS_COUNT> by_class{};

  void count(fm_packet_class packet_class) {
    seen++;
    by_class[packet_class]++;
  }
  uint64_t metered() const { return by_class[FM_METERED]; }
  bool balanced() const {
    uint64_t sum = 0;
    for (const uint64_t packets : by_class) sum += packets;
    return sum == seen;
  }
};

// "seen=5 metered=3 not_ip=2 …": every class, also those without packets.
std::string account_text(const Account& account);

}  // namespace flowmeter
