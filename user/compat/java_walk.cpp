// SPDX-License-Identifier: BSD-3-Clause
// The walk is a loop of steps. A step reads one header and sets its length and the kind of the next
// one. The loop records the header and continues after it. Offsets are signed 32-bit numbers, as in
// the original. (scan_ and record_ are functions of jNetPcap's native packet scanner.)
#include "compat/java_walk.h"

#include <algorithm>

#include "flowmeter/packet.h"
#include "flowmeter/wire_headers.h"

namespace flowmeter {
namespace {

enum class Kind : uint8_t {
  kPayload,
  kEthernet,
  kVlan,
  kLlc,
  kSnap,
  kIpv4,
  kIpv6,
  kIcmp,
  kTcp,
  kUdp,
  kL2tp,
  kPpp,
  kSctp,
  kSctpChunk,
  kArp,
};

// A recorded header; number < 0: none.
struct Header {
  int32_t number = -1;
  int32_t offset = 0;
  int32_t length = 0;   // only what was captured
  int32_t payload = 0;  // only what was captured
};

class HeaderWalk {
 public:
  HeaderWalk(const uint8_t* data, int32_t captured, int32_t wire)
      : data_(data), buffer_end_(captured), wire_(wire) {}

  void run(Kind first);

  const Header& first_ipv4() const { return first_ipv4_; }
  const Header& first_tcp() const { return first_tcp_; }
  const Header& first_udp() const { return first_udp_; }
  bool seen(const Header& header) const {
    return header.number >= 0 && header.number < visible_records();
  }
  // The native library keeps the number of a packet's records in a signed byte
  // (packet_state_t.pkt_header_count). So only the first n mod 256 of n records are seen, or none
  // if that number is negative as a signed byte.
  int32_t visible_records() const { return static_cast<int8_t>(static_cast<uint32_t>(records_)); }

 private:
  void step(Kind kind);
  void record(Kind kind);
  static Kind by_ether_type(uint32_t type);
  static Kind by_ip_protocol(uint32_t protocol);

  void ethernet();
  void vlan();
  void llc();
  void snap();
  void ipv4();
  void ipv6();
  void icmp();
  void tcp();
  void udp();
  void l2tp();
  void ppp();
  void sctp();
  void sctp_chunk();
  void arp();

  // Bytes from this header to the end of the buffer.
  bool have(int32_t size) const { return buffer_end_ - offset_ >= size; }
  uint32_t u8(int32_t at) const { return data_[offset_ + at]; }
  uint32_t u16(int32_t at) const { return u8(at) << 8 | u8(at + 1); }

  const uint8_t* data_;
  int32_t
      buffer_end_;  // of what counts as captured; trailers are cut off. At most what was captured
  int32_t wire_;
  int32_t offset_ = 0;
  int32_t records_ = 0;
  Kind previous_ = Kind::kPayload;  // the record directly before

  // State of the current step.
  int32_t length_ = 0;
  int32_t payload_ = 0;
  int32_t postfix_ = 0;
  Kind next_ = Kind::kPayload;

  Header first_ipv4_, first_tcp_, first_udp_;
};

void HeaderWalk::run(Kind first) {
  Kind kind = first;
  do {
    length_ = payload_ = postfix_ = 0;
    next_ = Kind::kPayload;
    step(kind);
    if (kind == Kind::kPayload && length_ == 0) return;
    if (length_ != 0) {
      record(kind);
      offset_ += length_;
      previous_ = kind;
    } else {
      next_ = Kind::kPayload;  // too short, or a length field of 0: the rest is payload
    }
    kind = next_;
  } while (offset_ < buffer_end_);
}

void HeaderWalk::step(Kind kind) {
  switch (kind) {
    case Kind::kPayload:
      length_ = std::max(buffer_end_ - offset_, 0);
      return;
    case Kind::kEthernet:
      return ethernet();
    case Kind::kVlan:
      return vlan();
    case Kind::kLlc:
      return llc();
    case Kind::kSnap:
      return snap();
    case Kind::kIpv4:
      return ipv4();
    case Kind::kIpv6:
      return ipv6();
    case Kind::kIcmp:
      return icmp();
    case Kind::kTcp:
      return tcp();
    case Kind::kUdp:
      return udp();
    case Kind::kL2tp:
      return l2tp();
    case Kind::kPpp:
      return ppp();
    case Kind::kSctp:
      return sctp();
    case Kind::kSctpChunk:
      return sctp_chunk();
    case Kind::kArp:
      return arp();
  }
}

// record_header: a header's payload is the rest, unless its step sets another length. The part
// beyond the buffer is removed from the payload first, then from the header.
void HeaderWalk::record(Kind kind) {
  wire_ = static_cast<int32_t>(static_cast<uint32_t>(wire_) - static_cast<uint32_t>(postfix_));
  buffer_end_ = std::min(buffer_end_, wire_);
  int64_t length = length_, payload = payload_;
  const int64_t room = int64_t{buffer_end_} - offset_;
  if (payload == 0) payload = std::max<int64_t>(0, room - length);
  if (length + payload + postfix_ > room) {
    payload = std::max<int64_t>(0, room - length);
    if (length > room) length = std::max<int64_t>(0, room);
  }
  const int32_t number = records_++;
  Header* header = kind == Kind::kIpv4  ? &first_ipv4_
                   : kind == Kind::kTcp ? &first_tcp_
                   : kind == Kind::kUdp ? &first_udp_
                                        : nullptr;
  if (header && header->number < 0)
    *header = {number, offset_, static_cast<int32_t>(length), static_cast<int32_t>(payload)};
}

constexpr uint32_t kLeastEtherType = 0x600;  // below, the field is a length

// The registry's bindings. MPLS, PPPoE and all others are payload.
Kind HeaderWalk::by_ether_type(uint32_t type) {
  switch (type) {
    case FM_ETH_IPV4:
      return Kind::kIpv4;
    case 0x0806:
      return Kind::kArp;
    case FM_ETH_IPV6:
      return Kind::kIpv6;
    case FM_ETH_VLAN:
    case FM_ETH_QINQ:
    case FM_ETH_QINQ_OLD:
      return Kind::kVlan;
    default:
      return Kind::kPayload;
  }
}

// The bindings that IPv4 and IPv6 have in common; IPv4 also has L2TP.
Kind HeaderWalk::by_ip_protocol(uint32_t protocol) {
  switch (protocol) {
    case FM_ICMP:
      return Kind::kIcmp;
    case 4:
      return Kind::kIpv4;
    case FM_TCP:
      return Kind::kTcp;
    case FM_UDP:
      return Kind::kUdp;
    case 132:
      return Kind::kSctp;
    default:
      return Kind::kPayload;
  }
}

// scan_ethernet
void HeaderWalk::ethernet() {
  if (!have(14)) return;
  length_ = 14;
  const uint32_t type = u16(12);
  if (type >= kLeastEtherType) {
    next_ = by_ether_type(type);
    return;
  }
  payload_ = static_cast<int32_t>(type) - 14;
  postfix_ = buffer_end_ - static_cast<int32_t>(type);
  next_ = Kind::kLlc;
}

// scan_vlan
void HeaderWalk::vlan() {
  if (!have(4)) return;
  length_ = 4;
  const uint32_t type = u16(2);
  if (type >= kLeastEtherType) {
    next_ = by_ether_type(type);
    return;
  }
  payload_ = static_cast<int32_t>(type) - 4 - offset_;
  next_ = Kind::kLlc;
}

// scan_llc: an information frame is taken to have a control field of one byte if its lowest bit is
// set.
void HeaderWalk::llc() {
  if (!have(4)) return;
  length_ = u8(2) & 1 ? 3 : 4;
  if (u8(0) == 0xaa) next_ = Kind::kSnap;
}

// scan_snap: asks for 4 of its 5 bytes.
void HeaderWalk::snap() {
  if (!have(4)) return;
  length_ = 5;
  if (have(5) && u8(0) == 0 && u16(1) == 0) next_ = by_ether_type(u16(3));
}

// scan_ip4: does not check the version.
void HeaderWalk::ipv4() {
  if (!have(20)) return;
  length_ = static_cast<int32_t>(4 * (u8(0) & 0x0f));
  const auto total_length = static_cast<int32_t>(u16(2));
  payload_ = total_length - length_;
  // The trailer is cut off only if the header directly follows Ethernet, so after a VLAN tag or LLC
  // padding is payload. A total length of 0 (segmentation offload) cuts everything off.
  if (previous_ == Kind::kEthernet) buffer_end_ = std::min(buffer_end_, offset_ + total_length);
  const uint32_t fragment = u16(6);
  if (fragment & 0x2000) payload_ = buffer_end_ - offset_ - length_;
  if (fragment & 0x1fff || buffer_end_ == offset_) return;
  next_ = u8(9) == 115 ? Kind::kL2tp : by_ip_protocol(u8(9));
}

// scan_ip6: an extension header is measured from the wrong place (the offset counts twice). All of
// them are measured in units of 8 bytes, even the authentication header.
void HeaderWalk::ipv6() {
  if (!have(40)) return;
  length_ = 40;
  uint32_t type = u8(6);
  while (true) {
    switch (type) {
      case 0:
      case 43:
      case 44:
      case 50:
      case 51:
      case 60:
      case 135: {
        if (!have(length_ + 2)) return;
        type = u8(length_);
        const auto extension = static_cast<int32_t>((u8(length_ + 1) + 1) * 8);
        if (2 * offset_ + extension > buffer_end_) return;
        length_ += extension;
        continue;
      }
      default:
        next_ = by_ip_protocol(type);
        return;
    }
  }
}

// scan_icmp: destination unreachable and parameter problem contain the packet that they are about.
// The walk continues in it as if it were part of this packet.
void HeaderWalk::icmp() {
  if (!have(4)) return;
  length_ = 8;
  if (u8(0) == 3 || u8(0) == 12) next_ = Kind::kIpv4;
}

// scan_tcp
void HeaderWalk::tcp() {
  if (!have(20)) return;
  length_ = static_cast<int32_t>(4 * (u8(12) >> 4));
}

// scan_udp: the length field is ignored. A destination port of RTP or SIP takes precedence over a
// source port of L2TP.
void HeaderWalk::udp() {
  if (!have(8)) return;
  length_ = 8;
  const uint32_t source = u16(0), destination = u16(2);
  const bool other = destination == 5004 || destination == 5005 || destination == 5060;
  if (destination == 1701 || (source == 1701 && !other)) next_ = Kind::kL2tp;
}

// scan_l2tp
void HeaderWalk::l2tp() {
  if (!have(2)) return;
  const uint32_t flags = u16(0);
  length_ = 6 + (flags & 0x4000 ? 2 : 0) + (flags & 0x0800 ? 4 : 0) + (flags & 0x0200 ? 4 : 0);
  if (!(flags & 0x8000)) next_ = Kind::kPpp;
}

// scan_ppp: the address and control bytes are assumed to be there.
void HeaderWalk::ppp() {
  if (!have(4)) return;
  length_ = 4;
  if (u16(2) == 0x0021) next_ = Kind::kIpv4;
  if (u16(2) == 0x0057) next_ = Kind::kIpv6;
}

// scan_sctp: does not check the length.
void HeaderWalk::sctp() {
  length_ = 12;
  if (have(12)) next_ = Kind::kSctpChunk;
}

// scan_sctp_chunk
void HeaderWalk::sctp_chunk() {
  if (!have(4)) return;
  if (u8(0) == 0) {
    length_ = 16;
    return;
  }
  length_ = static_cast<int32_t>((u16(2) + 3) & ~3u);
  next_ = Kind::kSctpChunk;
}

// scan_arp
void HeaderWalk::arp() {
  if (!have(6)) return;
  length_ = static_cast<int32_t>(2 * (u8(4) + u8(5)) + 8);
}

// ---- what PacketReader uses of a walk ----

// Headers are read through a view of their recorded length. A read beyond it makes the original
// fail (BufferUnderflowException) and give up.
class HeaderView {
 public:
  HeaderView(const uint8_t* data, const Header& header)
      : data_(data + header.offset), length_(header.length) {}

  bool has(int32_t at) const { return at >= 0 && at < length_; }
  uint32_t u8(int32_t at) const { return data_[at]; }
  uint32_t u16(int32_t at) const { return u8(at) << 8 | u8(at + 1); }
  uint32_t u32(int32_t at) const { return u16(at) << 16 | u16(at + 2); }

 private:
  const uint8_t* data_;
  int32_t length_;
};

// Ip4.decodeHeader walks the options. It adds an option's length on top of its loop's step, so
// after the first option it is out of step. An option number without a name stops it.
bool ipv4_options_decode(const HeaderView& ipv4, int32_t header_length) {
  constexpr uint32_t kNoOperation = 1, kEnd = 0, kUnknown = 22, kFirstUnknown = 26;
  for (int32_t i = 20; i < header_length; i++) {
    if (!ipv4.has(i)) return false;
    const uint32_t id = ipv4.u8(i) & 31;
    if (id == kEnd || id == kUnknown || id >= kFirstUnknown) return true;
    if (id == kNoOperation) continue;
    if (!ipv4.has(i + 1)) return false;
    i += static_cast<int32_t>(ipv4.u8(i + 1));
  }
  return true;
}

// Tcp.decodeHeader looks at the first option only.
bool tcp_options_decode(const HeaderView& tcp) {
  const uint32_t data_offset = tcp.u8(12) >> 4;
  if (data_offset <= 5) return true;
  if (!tcp.has(20)) return false;
  return tcp.u8(20) <= 1 || tcp.has(21);
}

// PacketReader.getIpv4Info. False: no IPv4 header, or one that cannot be decoded.
bool take_ipv4(const uint8_t* data, int32_t captured, const HeaderWalk& walk, JavaPacket* packet) {
  const Header& found = walk.first_ipv4();
  // A header that extends beyond the captured bytes also fails. (It is not cut off there if its
  // payload is negative, because of a fragment or a total length below the header's own.)
  if (!walk.seen(found) || found.offset + found.length > captured) return false;
  const HeaderView ipv4(data, found);
  if (!ipv4.has(19) || !ipv4_options_decode(ipv4, static_cast<int32_t>(4 * (ipv4.u8(0) & 0x0f))))
    return false;
  *packet = JavaPacket{};
  packet->source = ipv4.u32(12);
  packet->destination = ipv4.u32(16);

  if (walk.seen(walk.first_tcp())) {
    const Header& header = walk.first_tcp();
    const HeaderView tcp(data, header);
    if (!tcp.has(15) || !tcp_options_decode(tcp)) return false;
    packet->protocol = FM_TCP;
    packet->source_port = static_cast<uint16_t>(tcp.u16(0));
    packet->destination_port = static_cast<uint16_t>(tcp.u16(2));
    packet->tcp_flags = static_cast<uint8_t>(tcp.u8(13));
    packet->tcp_window = static_cast<uint16_t>(tcp.u16(14));
    packet->header_bytes = header.length;
    packet->payload_bytes = header.payload;
  } else if (walk.seen(walk.first_udp())) {
    const Header& header = walk.first_udp();
    const HeaderView udp(data, header);
    packet->protocol = FM_UDP;
    packet->source_port = static_cast<uint16_t>(udp.u16(0));
    packet->destination_port = static_cast<uint16_t>(udp.u16(2));
    packet->header_bytes = header.length;
    packet->payload_bytes = header.payload;
  } else {
    // For its log the original takes an object from a pool for each recorded header, by the
    // record's number instead of its kind. The pool has 20 objects.
    constexpr int32_t kPooledHeaders = 20;
    if (walk.visible_records() >= kPooledHeaders) return false;
  }
  return true;
}

// PacketReader.getVPNInfo: the frame is first walked as L2TP, which accepts any two bytes. Because
// L2TP was "found", the frame is then walked as IPv4 from its first byte.
bool take_as_tunnel(const uint8_t* data, int32_t captured, int32_t wire, JavaPacket* packet) {
  HeaderWalk tunnel(data, captured, wire);
  tunnel.run(Kind::kL2tp);
  if (tunnel.visible_records() <= 0) return false;
  HeaderWalk walk(data, captured, wire);
  walk.run(Kind::kIpv4);
  return take_ipv4(data, captured, walk, packet);
}

}  // namespace

JavaPacketClass java_walk(const uint8_t* data, uint32_t captured_length, uint32_t wire_length,
                          JavaPacket* packet) {
  const auto captured = static_cast<int32_t>(captured_length);
  const auto wire = static_cast<int32_t>(wire_length);
  HeaderWalk walk(data, captured, wire);
  walk.run(Kind::kEthernet);
  if (take_ipv4(data, captured, walk, packet)) return JavaPacketClass::kTaken;
  if (take_as_tunnel(data, captured, wire, packet)) return JavaPacketClass::kTakenAsRawIp;
  return JavaPacketClass::kNotIpv4;
}

}  // namespace flowmeter
