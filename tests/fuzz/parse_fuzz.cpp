// SPDX-License-Identifier: BSD-3-Clause
// Runs the packet parser on arbitrary bytes. The first four choose the link type, the VLAN tags
// outside the frame, and how much longer the frame was on the wire. The rest is the frame, in a
// heap block of exactly its length.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <memory>

#include "flowmeter/parse.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

struct Parsed {
  fm_packet_class packet_class = FM_NOT_IP;
  fm_packet packet{};
  fm_fragment_key fragment{};
  fm_fragment_role role = FM_NOT_FRAGMENT;
};

Parsed parse(const uint8_t* data, size_t size, uint32_t wire_length, uint8_t tags, uint32_t link) {
  const auto exact = std::make_unique<uint8_t[]>(size);
  std::copy(data, data + size, exact.get());
  const fm_captured captured{exact.get(), static_cast<uint32_t>(size)};
  Parsed p;
  p.packet_class =
      fm_parse(&captured, {wire_length, 0, tags}, link, &p.packet, &p.fragment, &p.role);
  return p;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint32_t kLinks[] = {0, 1, 9, 12, 14, 101, 108, 113, 228, 229, 276, 105};
  if (size < 4 || size > 70000) return 0;
  const uint32_t link = kLinks[data[0] % std::size(kLinks)];
  const uint8_t tags = data[1] % 3;
  const uint32_t extra = static_cast<uint32_t>(data[2]) << 8 | data[3];
  data += 4;
  size -= 4;
  // Includes the largest 32-bit length.
  const uint32_t wire =
      extra == 0xffff ? UINT32_MAX : static_cast<uint32_t>(size) + (extra & 0x7fff);

  const Parsed p = parse(data, size, wire, tags, link);
  require(p.packet_class <= FM_MALFORMED);
  if (p.packet_class != FM_METERED) return 0;
  require(p.packet.wire_length == wire);
  require(uint64_t{p.packet.header_bytes} + p.packet.payload_bytes <= wire);
  require(p.packet.header_bytes >= 20);
  require(p.packet.direction <= 1);
  if (p.role != FM_NOT_FRAGMENT) require(p.fragment.ip_version == 4 || p.fragment.ip_version == 6);
  if (p.role == FM_LATER_FRAGMENT) {
    require(p.packet.transport_header_bytes == 0 && p.packet.flags == 0 && p.packet.window == 0);
  } else {
    const uint8_t protocol = p.packet.key.protocol, version = p.packet.key.ip_version;
    require(protocol == FM_TCP || protocol == FM_UDP || (protocol == FM_ICMP && version == 4) ||
            (protocol == FM_ICMPV6 && version == 6));
    require((protocol == FM_TCP) == (p.packet.transport_header_bytes >= 20));
    require(p.packet.transport_header_bytes == 8 || protocol == FM_TCP);
    require(p.packet.transport_header_bytes % 4 == 0 && p.packet.transport_header_bytes <= 60);
    require(!fm_address_less(&p.packet.key.address[1], &p.packet.key.address[0]));
  }
  // A shorter capture of the frame gives the same result, or the frame is not metered.
  const Parsed cut = parse(data, size / 2, wire, tags, link);
  if (cut.packet_class == FM_METERED)
    require(std::memcmp(&cut.packet, &p.packet, offsetof(fm_packet, segment_bytes)) == 0 &&
            cut.role == p.role);
  return 0;
}
