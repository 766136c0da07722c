// SPDX-License-Identifier: BSD-3-Clause
// Traffic for property tests.
#pragma once

#include <iterator>
#include <string>
#include <vector>

#include "flowmeter/packet.h"
#include "flowmeter/settings.h"
#include "support/packet_builder.h"

namespace flowmeter::testing {

// Conversations of a few hosts that touch every rule: all protocols and flags, gaps around the
// limits, a clock that steps back, fragments, and frames that are not metered.
struct Traffic {
  std::vector<Packet> packets;
  std::vector<uint64_t> times_ns;

  std::vector<TimedFrame> frames(bool reversed = false) const {
    std::vector<TimedFrame> all;
    for (size_t i = 0; i < packets.size(); i++)
      all.push_back((reversed ? packets[i].reversed() : packets[i]).at_ns(times_ns[i]));
    return all;
  }
};

// At and just above the default time-outs and gaps.
inline constexpr uint64_t kGapsNs[] = {0,
                                       1,
                                       1000,
                                       10'000'000,
                                       999'999'999,
                                       FM_SECOND_NS,
                                       FM_SECOND_NS + 1,
                                       5 * FM_SECOND_NS,
                                       5 * FM_SECOND_NS + 1,
                                       60 * FM_SECOND_NS,
                                       61 * FM_SECOND_NS,
                                       240 * FM_SECOND_NS + 1};

// below(n): a random number from 0 to n - 1.
template <typename Below>
Packet random_packet(Below below, const std::string& network) {
  const auto host = [&] { return network + std::to_string(1 + below(3)); };
  const auto port = [&] { return static_cast<uint16_t>(1 + below(3)); };
  const auto id = [&] { return 1 + below(3); };
  Packet p = ipv4(host(), host());
  switch (below(12)) {
    case 0:
      p.udp(port(), port()).payload(below(50));
      break;
    case 1:
      p.icmp(below(2) ? 8 : 0, 0, port()).payload(below(50));
      break;
    case 2:
      p.icmp(static_cast<uint8_t>(below(2) ? 3 : 13), static_cast<uint8_t>(below(2))).payload(28);
      break;
    case 3:
      p.udp(port(), port()).payload(8 * below(5)).first_fragment(id());
      break;
    case 4:
      p.protocol(17).payload(below(50)).fragment(3, below(2) == 0, id());
      break;
    case 5:
      if (below(3) == 0)
        p.protocol(47).payload(below(50));
      else
        p.udp(port(), port()).ip_length(static_cast<uint16_t>(below(60)));
      break;
    default: {
      // Few flags on most packets, so that flows last for a while.
      const unsigned rare = below(20);
      const auto flags = static_cast<uint8_t>(rare == 0   ? below(256)
                                              : rare == 1 ? FM_SYN
                                              : rare == 2 ? FM_FIN | FM_ACK
                                                          : FM_ACK | (below(3) == 0 ? FM_PSH : 0));
      p.tcp(port(), port(), flags, static_cast<uint16_t>(below(65536)));
      p.payload(below(3) ? below(400) : 0);
      if (below(4) == 0) p.pad_to(60);
      break;
    }
  }
  if (below(8) == 0) p.vlan();
  if (below(8) == 0) p.cut_to(20 + below(60));
  return p;
}

template <typename Random>
Traffic random_traffic(Random& random, unsigned count, const std::string& network = "10.0.0.") {
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  Traffic t;
  uint64_t now = 1'700'000'000 * FM_SECOND_NS;
  for (unsigned i = 0; i < count; i++) {
    const Packet p = random_packet(below, network);
    const unsigned kind = below(100);
    if (kind < 80)
      now += random() % 400'000'000;
    else if (kind < 97)
      now += kGapsNs[below(std::size(kGapsNs))];
    else
      now -= random() % (3 * FM_SECOND_NS);
    t.packets.push_back(p);
    t.times_ns.push_back(now);
  }
  return t;
}

}  // namespace flowmeter::testing
