// SPDX-License-Identifier: BSD-3-Clause
// The account of packets: seen = metered + each named reason why not.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "flowmeter/reason.h"

namespace flowmeter {

struct Account {
  uint64_t seen = 0;
  std::array<uint64_t, FM_REASON_COUNT> by_reason{};

  void count(fm_reason reason) {
    seen++;
    by_reason[reason]++;
  }
  uint64_t metered() const { return by_reason[FM_METERED]; }
  bool balanced() const {
    uint64_t sum = 0;
    for (const uint64_t packets : by_reason) sum += packets;
    return sum == seen;
  }
};

// "seen=5 metered=3 not_ip=2 …": every reason, also those of 0 packets.
std::string account_text(const Account& account);

}  // namespace flowmeter
