// SPDX-License-Identifier: BSD-3-Clause
// A packet as nqmn/cicflowmeter 0.4.1 sees it, and how it is made from a frame: libpcap and
// tcpdump's filter "ip and (tcp or udp or icmp)", then scapy 2.5.0's dissection of the frames that
// pass.
#pragma once

#include <cstdint>

#include "capture/capture_reader.h"
#include "compat/live_packet.h"

namespace flowmeter {

struct PythonPacket {
  // The two ends, as get_packet_flow_key() sees them: ports, or ICMP's type and identifier. The
  // protocol is not part of the key.
  struct Key {
    uint32_t source_ip;  // host order
    uint32_t destination_ip;
    uint32_t source_value;
    uint32_t destination_value;  // or kNoIdentifier
    bool operator==(const Key&) const = default;
  };
  // ICMP types without an identifier: scapy's None, which equals no port.
  static constexpr uint32_t kNoIdentifier = 0x10000;

  int64_t time_us;  // since the epoch
  Key key;
  uint16_t length;   // captured
  uint16_t payload;  // padding included
  uint16_t window;   // TCP only, as is
  uint8_t flags;     // FM_FIN …
  uint8_t ihl;       // the IP header's length field, in units of 4 bytes
  uint8_t protocol;  // 6, 17 or 1
};

// The key of the packet's flow if the packet is one of the other direction. An echo reply (type 0)
// looks for its request's flow; nothing looks for a reply's.
PythonPacket::Key reverse_key(const PythonPacket& packet);

// What became of a frame: kTaken, or why the original never counts it.
enum class PythonPacketClass : uint8_t {
  kTaken,
  kLinkType,       // all frames of a capture that tcpdump or scapy cannot filter
  kNotIpv4,        // no IPv4 directly after the link header, with 20 bytes captured
  kOtherProtocol,  // not TCP, UDP, ICMP
  kLaterFragment,  // not the first of its datagram
  kNotDissected,   // so short that scapy does not make it a TCP, UDP or ICMP layer
  kCount
};

// Walks frames' headers.
class PythonDissector {
 public:
  void begin(const CaptureReader& capture) { capture_ = &capture; }

  PythonPacketClass dissect(const CapturedFrame& frame, PythonPacket* packet) const;
  // The same for a packet of a live run.
  static PythonPacketClass dissect(const LivePacket& live, PythonPacket* packet);
  // Whether the capture's frames cannot be filtered at all (PythonPacketClass::kLinkType).
  bool can_filter(uint32_t link_type) const;

 private:
  int64_t time_us(const CapturedFrame& frame) const;

  const CaptureReader* capture_ = nullptr;
};

}  // namespace flowmeter
