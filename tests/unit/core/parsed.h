// SPDX-License-Identifier: BSD-3-Clause
// A frame as the parser sees it, and packets that its tests share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>

#include "flowmeter/parse.h"
#include "support/packet_builder.h"

namespace flowmeter::testing {

struct Parsed {
  fm_packet_class packet_class = FM_NOT_IP;
  fm_packet packet{};
  fm_fragment_key fragment{};
  fm_fragment_role role = FM_NOT_FRAGMENT;
};

// Parses it from a heap block of exactly the captured length, so that AddressSanitizer sees a read
// outside.
inline Parsed parse(const Frame& frame, uint8_t tags_beside = 0) {
  const auto exact = std::make_unique<uint8_t[]>(frame.bytes.size());
  std::copy(frame.bytes.begin(), frame.bytes.end(), exact.get());
  const fm_captured captured{exact.get(), static_cast<uint32_t>(frame.bytes.size())};
  Parsed p;
  p.packet_class = fm_parse(&captured, {frame.wire_length, 0, tags_beside}, frame.link_type,
                            &p.packet, &p.fragment, &p.role);
  return p;
}

inline bool same(const Parsed& a, const Parsed& b) {
  if (a.packet_class != FM_METERED || b.packet_class != FM_METERED)
    return a.packet_class == b.packet_class;
  return a.role == b.role &&
         std::memcmp(&a.packet, &b.packet, offsetof(fm_packet, segment_bytes)) == 0 &&
         std::memcmp(&a.fragment, &b.fragment, sizeof(a.fragment)) == 0;
}

constexpr const char* kA = "10.0.0.1";
constexpr const char* kB = "10.0.0.2";
constexpr const char* kA6 = "2001:db8::1";
constexpr const char* kB6 = "2001:db8::2";

inline Packet tcp4() {
  return ipv4(kA, kB).tcp(4242, 80, FM_ACK);
}
inline Packet udp4() {
  return ipv4(kA, kB).udp(5353, 53).payload(10);
}
inline Packet udp6() {
  return ipv6(kA6, kB6).udp(5353, 53).payload(10);
}
inline Packet extensions(unsigned count) {
  Packet p = udp6();
  for (unsigned i = 0; i < count; i++) p.extension(60);
  return p;
}
inline Packet tags(unsigned count) {
  Packet p = udp4();
  for (unsigned i = 0; i < count; i++) p.vlan();
  return p;
}

}  // namespace flowmeter::testing
