// SPDX-License-Identifier: BSD-3-Clause
#include "compat/python_packet.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "flowmeter/packet.h"

namespace flowmeter {
namespace {

constexpr uint16_t kEthertypeIpv4 = 0x0800;
constexpr uint32_t kFamilyIpv4 = 2;
constexpr size_t kIpHeader = 20;  // without options

// scapy.data.MTU: utils.RawPcapReader.read_packet() drops captured bytes beyond it.
constexpr uint32_t kScapyMtu = 0xffff;

// Values of scapy.layers.inet fields that were not captured.
constexpr uint16_t kDefaultTcpDestination = 80, kDefaultTcpWindow = 8192;
constexpr uint8_t kDefaultTcpFlags = 2;  // SYN

uint16_t be16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}
uint32_t be32(const uint8_t* at) {
  return uint32_t{be16(at)} << 16 | be16(at + 2);
}
uint32_t le32(const uint8_t* at) {
  return __builtin_bswap32(be32(at));
}

struct Bytes {
  const uint8_t* data;
  size_t size;
  Bytes from(size_t offset) const {
    offset = std::min(offset, size);
    return {data + offset, size - offset};
  }
  Bytes first(size_t count) const { return {data, std::min(count, size)}; }
  Bytes last(size_t count) const { return from(size - std::min(count, size)); }
};

constexpr bool file_is_little_endian(bool byte_swapped) {
  return byte_swapped != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}

// The IPv4 packet directly after the link header, or nothing. No tags, labels or sessions: the
// filter's "ip" checks only one EtherType.
std::optional<Bytes> ipv4_of(Bytes frame, uint32_t link_type, bool little_endian_file) {
  const auto under_type = [&](size_t type_at, size_t header) -> std::optional<Bytes> {
    if (frame.size < header || be16(frame.data + type_at) != kEthertypeIpv4) return std::nullopt;
    return frame.from(header);
  };
  switch (link_type) {
    case 1:  // Ethernet
      return under_type(12, 14);
    case 113:  // Linux cooked v1
      return under_type(14, 16);
    case 276:  // Linux cooked v2
      return under_type(0, 20);
    case 0:  // null: the family is in the byte order of the machine that wrote the file
      if (frame.size < 4 ||
          (little_endian_file ? le32(frame.data) : be32(frame.data)) != kFamilyIpv4)
        return std::nullopt;
      return frame.from(4);
    case 108:  // loop: in network order
      if (frame.size < 4 || be32(frame.data) != kFamilyIpv4) return std::nullopt;
      return frame.from(4);
    case 12:  // raw IP: the only place where the version is checked
      if (frame.size < 1 || frame.data[0] >> 4 != 4) return std::nullopt;
      return frame;
    case 228:  // IPv4
      return frame;
    default:
      return std::nullopt;
  }
}

// scapy.layers.inet.IP: its options field takes 4 * IHL - 20 bytes of what follows the first 20.
// With an IHL below 5 that number is negative, and Python's slices then count from the end: the
// "options" are all but the last bytes.
Bytes after_ip_header(Bytes rest, unsigned ihl) {
  const size_t header = size_t{4} * ihl;
  return header >= kIpHeader ? rest.from(header - kIpHeader) : rest.last(kIpHeader - header);
}

// scapy dissects a layer from fewer bytes than its header if they end between two fields (the
// remaining fields keep their defaults). If they end within a field, it does not make this layer.
bool tcp_dissects(size_t size) {
  switch (size) {
    case 2:
    case 4:
    case 8:
    case 12:
    case 14:
    case 16:
    case 18:
      return true;
    default:
      return size >= 20;
  }
}
bool udp_dissects(size_t size) {
  return size >= 8 || size == 6;
}

// scapy.layers.inet.ICMP has fields that depend on the type.
bool icmp_has_time_stamps(unsigned type) {
  return type == 13 || type == 14;
}
bool icmp_has_mask(unsigned type) {
  return type == 17 || type == 18;
}
bool icmp_has_identifier(unsigned type) {
  return type == 0 || type == 8 || (type >= 13 && type <= 18);
}
size_t icmp_header(unsigned type) {
  return icmp_has_time_stamps(type) ? 20 : icmp_has_mask(type) ? 12 : 8;
}
bool icmp_dissects(unsigned type, size_t size) {
  if (size >= icmp_header(type)) return true;
  switch (size) {
    case 1:
    case 2:
    case 4:
      return true;
    case 5:
      return type == 3 || type == 11 || type == 12;
    case 6:
      return type == 3 || type == 11 || type == 12 || icmp_has_identifier(type);
    case 8:
      return icmp_has_time_stamps(type) || icmp_has_mask(type);
    case 12:
    case 16:
      return icmp_has_time_stamps(type);
    default:
      return false;
  }
}

size_t above(size_t size, size_t header) {
  return size > header ? size - header : 0;
}

// Transport header and payload; packet has protocol and addresses. Returns whether it is taken.
bool dissect_transport(Bytes segment, size_t padding, PythonPacket* packet) {
  const uint8_t* at = segment.data;
  const size_t size = segment.size;
  size_t payload = 0;
  packet->flags = 0;
  packet->window = 0;
  switch (packet->protocol) {
    case FM_TCP:
      if (!tcp_dissects(size)) return false;
      packet->key.source_value = be16(at);
      packet->key.destination_value = size >= 4 ? be16(at + 2) : kDefaultTcpDestination;
      packet->flags = size >= 14 ? at[13] : kDefaultTcpFlags;
      packet->window = size >= 16 ? be16(at + 14) : kDefaultTcpWindow;
      if (size >= 20) payload = above(size, 4 * std::max<size_t>(5, at[12] >> 4));
      break;
    case FM_UDP:
      if (!udp_dissects(size)) return false;
      packet->key.source_value = be16(at);
      packet->key.destination_value = be16(at + 2);
      payload = above(size, 8);
      break;
    default: {
      if (size == 0 || !icmp_dissects(at[0], size)) return false;
      const unsigned type = at[0];
      packet->key.source_value = type;
      packet->key.destination_value = !icmp_has_identifier(type) ? PythonPacket::kNoIdentifier
                                      : size >= 6                ? be16(at + 4)
                                                                 : 0;
      payload = above(size, icmp_header(type));
    }
  }
  // PacketCount.get_payload(): len() of the layer's payload, to which scapy has added a Padding
  // layer. Both are of one captured frame of at most kScapyMtu bytes.
  packet->payload = static_cast<uint16_t>(payload + padding);
  return true;
}

}  // namespace

PythonPacket::Key reverse_key(const PythonPacket& packet) {
  constexpr uint32_t kEchoReply = 0, kEchoRequest = 8;
  const PythonPacket::Key& key = packet.key;
  if (packet.protocol == FM_ICMP)
    return {key.destination_ip, key.source_ip,
            key.source_value == kEchoReply ? kEchoRequest : key.source_value,
            key.destination_value};
  return {key.destination_ip, key.source_ip, key.destination_value, key.source_value};
}

bool PythonDissector::can_filter(uint32_t link_type) const {
  // scapy uses the whole link field; with upper bits set, it is a type that scapy does not know.
  if (capture_ && capture_->link_field() > 0xffff) return false;
  switch (link_type) {
    case 0:
    case 1:
    case 12:
    case 108:
    case 113:
    case 228:
    case 276:
      return true;
    default:
      return false;
  }
}

// tcpdump -w writes 32 bits of seconds and of microseconds; scapy adds them.
int64_t PythonDissector::time_us(const CapturedFrame& frame) const {
  constexpr int64_t kSecond = 1'000'000;
  if (capture_ && capture_->nanoseconds()) {
    // libpcap divides the sub-second field as a signed number.
    const uint32_t subseconds = capture_->record_fields().subseconds;
    const auto seconds = static_cast<int64_t>((frame.time_ns - subseconds) / 1'000'000'000);
    return seconds * kSecond + static_cast<uint32_t>(static_cast<int32_t>(subseconds) / 1000);
  }
  if (!capture_ || !capture_->is_pcapng()) return static_cast<int64_t>(frame.time_ns / 1000);
  const __int128 ns = (static_cast<__int128>(frame.era) << 64) + frame.time_ns;
  // Offsets are whole seconds, so they do not change the fraction of times before the epoch.
  __int128 us = ns / 1000 - (ns % 1000 < 0);
  constexpr __int128 kWrap = static_cast<__int128>(kSecond) << 32;
  us %= kWrap;
  return static_cast<int64_t>(us < 0 ? us + kWrap : us);
}

PythonPacketClass PythonDissector::dissect(const CapturedFrame& frame, PythonPacket* packet) const {
  if (!can_filter(frame.link_type)) return PythonPacketClass::kLinkType;
  uint32_t length = std::min(frame.captured_length, kScapyMtu);
  if (capture_) length = std::min(length, capture_->snap_length());
  const auto ip = ipv4_of({frame.data, length}, frame.link_type,
                          file_is_little_endian(capture_ && capture_->byte_swapped()));
  if (!ip || ip->size < kIpHeader) return PythonPacketClass::kNotIpv4;
  packet->protocol = ip->data[9];
  if (packet->protocol != FM_TCP && packet->protocol != FM_UDP && packet->protocol != FM_ICMP)
    return PythonPacketClass::kOtherProtocol;
  if ((be16(ip->data + 6) & 0x1fff) != 0) return PythonPacketClass::kLaterFragment;

  packet->ihl = ip->data[0] & 0xf;
  packet->key.source_ip = be32(ip->data + 12);
  packet->key.destination_ip = be32(ip->data + 16);
  Bytes segment = after_ip_header(ip->from(kIpHeader), packet->ihl);
  // scapy.layers.inet.IP.extract_padding(): the bytes after the total length. If that length is
  // less than the header (0 before segmentation), there is no padding.
  size_t padding = 0;
  const unsigned total_length = be16(ip->data + 2), header = 4u * packet->ihl;
  if (total_length >= header) {
    padding = above(segment.size, total_length - header);
    segment = segment.first(total_length - header);
  }
  if (!dissect_transport(segment, padding, packet)) return PythonPacketClass::kNotDissected;
  packet->length = static_cast<uint16_t>(length);
  packet->time_us = time_us(frame);
  return PythonPacketClass::kTaken;
}

PythonPacketClass PythonDissector::dissect(const LivePacket& live, PythonPacket* packet) {
  constexpr uint32_t kUdpHeader = 8, kMostTcpHeader = 60;
  const fm_packet& known = live.packet;
  if (known.key.ip_version != 4 || known.has_shims) return PythonPacketClass::kNotIpv4;
  if (live.is_later_fragment()) return PythonPacketClass::kLaterFragment;
  packet->protocol = known.key.protocol;
  packet->key.source_ip = live.source_ip();
  packet->key.destination_ip = live.destination_ip();
  packet->flags = known.flags;
  packet->window = packet->protocol == FM_TCP ? known.window : 0;
  // The lengths of the IP and the TCP header come as one number. IP options are rare, so all
  // options are assumed to be TCP's.
  const size_t ip_header = packet->protocol == FM_TCP
                               ? std::max(kIpHeader, above(known.header_bytes, kMostTcpHeader))
                               : known.header_bytes - kUdpHeader;
  packet->ihl = static_cast<uint8_t>(ip_header / 4);
  size_t headers = known.header_bytes;
  if (packet->protocol == FM_ICMP) {
    // The first packet of an echo is assumed to be the request. Identifiers of other types are not
    // known.
    const bool echo = known.key.kind == FM_KEY_ICMP_ECHO;
    const unsigned type = !echo ? known.key.port[0] : live.from_initiator ? 8 : 0;
    packet->key.source_value = type;
    packet->key.destination_value = echo                        ? known.key.port[0]
                                    : icmp_has_identifier(type) ? 0
                                                                : PythonPacket::kNoIdentifier;
    const size_t size = known.header_bytes - ip_header + known.payload_bytes;
    if (!icmp_dissects(type, size)) return PythonPacketClass::kNotDissected;
    headers = ip_header + icmp_header(type);
  } else {
    packet->key.source_value = live.source_port();
    packet->key.destination_value = live.destination_port();
  }
  const uint32_t length = std::min(known.wire_length, kScapyMtu);
  packet->length = static_cast<uint16_t>(length);
  // Includes padding: everything that was captured after the headers.
  packet->payload = static_cast<uint16_t>(above(length, live.link_bytes() + headers));
  packet->time_us = live.time_us;
  return PythonPacketClass::kTaken;
}

}  // namespace flowmeter
