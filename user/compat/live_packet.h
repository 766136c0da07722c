// SPDX-License-Identifier: BSD-3-Clause
// One packet on the wire as the kernel's records describe it, for the compatibility modes. The
// records have only what counters need, not the frame. Other results of the original's walk over
// the frame are derived here as far as possible; docs/compat.md lists the differences.
#pragma once

#include <cstdint>

#include "flowmeter/packet.h"

namespace flowmeter {

struct LivePacket {
  fm_packet packet;  // with its key, and no segments to be cut
  int64_t time_us;   // since the epoch
  bool from_initiator;

  // Addresses and ports in the direction of the packet. Requires: IPv4.
  uint32_t source_ip() const { return ip(packet.direction & 1); }
  uint32_t destination_ip() const { return ip(!(packet.direction & 1)); }
  uint16_t source_port() const { return packet.key.port[packet.direction & 1]; }
  uint16_t destination_port() const { return packet.key.port[!(packet.direction & 1)]; }

  // Whether this is a later fragment of a datagram. (A UDP or ICMP fragment with 8 bytes of IP
  // options is not recognised.)
  bool is_later_fragment() const {
    constexpr uint16_t kLeastIpAndUdp = 28;
    return packet.key.protocol == FM_TCP ? !fm_packet_has_tcp_header(&packet)
                                         : packet.header_bytes < kLeastIpAndUdp;
  }

  // Bytes of the frame before the IP header if there are no shims: an Ethernet header, or none.
  uint32_t link_bytes() const { return outside_ip() < kEthernet ? 0 : kEthernet; }
  // Bytes after the IP packet if there are shims. The number of shims is not known, so a frame of
  // minimum size is assumed to have one VLAN tag, and a longer one to have no padding.
  uint32_t padding_with_shims() const {
    constexpr uint32_t kTag = 4, kLeastFrame = 60;
    const uint32_t other = outside_ip();
    return packet.wire_length <= kLeastFrame + kTag && other > kEthernet + kTag
               ? other - kEthernet - kTag
               : 0;
  }

 private:
  static constexpr uint32_t kEthernet = 14;

  uint32_t outside_ip() const {
    return packet.wire_length - packet.header_bytes - packet.payload_bytes;
  }
  uint32_t ip(unsigned end) const {
    uint32_t bytes;
    __builtin_memcpy(&bytes, &packet.key.address[end], sizeof(bytes));
    return FM_BIG_ENDIAN ? bytes : __builtin_bswap32(bytes);
  }
};

}  // namespace flowmeter
