// SPDX-License-Identifier: BSD-3-Clause
// The account of packets: seen = metered + the packets of every other class. The modes of compat/
// have classes of their own.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "flowmeter/packet_class.h"

namespace flowmeter {

template <typename Class, Class kClasses>
struct AccountBy {
  uint64_t seen = 0;
  std::array<uint64_t, static_cast<size_t>(kClasses)> by_class{};

  void count(Class packet_class) {
    seen++;
    by_class[static_cast<size_t>(packet_class)]++;
  }
  uint64_t of(Class packet_class) const { return by_class[static_cast<size_t>(packet_class)]; }
  bool balanced() const {
    uint64_t sum = 0;
    for (const uint64_t packets : by_class) sum += packets;
    return sum == seen;
  }
  // "seen=5 metered=3 not_ip=2 …": every class, also those without packets.
  std::string text(const std::array<const char*, static_cast<size_t>(kClasses)>& names) const {
    std::string text = "seen=" + std::to_string(seen);
    for (size_t i = 0; i < names.size(); i++)
      text.append(" ").append(names[i]).append("=").append(std::to_string(by_class[i]));
    return text;
  }
};

struct Account : AccountBy<fm_packet_class, FM_PACKET_CLASS_COUNT> {
  uint64_t metered() const { return of(FM_METERED); }
};

std::string account_text(const Account& account);

}  // namespace flowmeter
