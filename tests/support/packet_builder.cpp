// SPDX-License-Identifier: BSD-3-Clause
#include "support/packet_builder.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace flowmeter::testing {
namespace {

using Bytes = std::vector<uint8_t>;

void put8(Bytes& out, unsigned value) {
  out.push_back(static_cast<uint8_t>(value));
}
void put16(Bytes& out, unsigned value) {
  put8(out, value >> 8 & 0xff);
  put8(out, value & 0xff);
}
void put32(Bytes& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}
void append(Bytes& out, const Bytes& more) {
  out.insert(out.end(), more.begin(), more.end());
}
void set16(Bytes& out, size_t at, unsigned value) {
  out[at] = static_cast<uint8_t>(value >> 8);
  out[at + 1] = static_cast<uint8_t>(value);
}

// RFC 1071.
uint16_t checksum(const Bytes& bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i++)
    sum += static_cast<uint64_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

Bytes address(int family, const std::string& text) {
  Bytes bytes(family == AF_INET ? 4 : 16);
  // A typing error in a test must not become a packet.
  if (::inet_pton(family, text.c_str(), bytes.data()) != 1) std::abort();
  return bytes;
}

}  // namespace

Packet ipv4(const std::string& source, const std::string& destination) {
  Packet p;
  p.source_ = address(AF_INET, source);
  p.destination_ = address(AF_INET, destination);
  return p;
}

Packet ipv6(const std::string& source, const std::string& destination) {
  Packet p;
  p.is_ipv6_ = true;
  p.source_ = address(AF_INET6, source);
  p.destination_ = address(AF_INET6, destination);
  return p;
}

Packet& Packet::tcp(uint16_t source_port, uint16_t destination_port, uint8_t flags,
                    uint16_t window) {
  transport_ = Transport::kTcp;
  ports_[0] = source_port;
  ports_[1] = destination_port;
  flags_ = flags;
  window_ = window;
  return *this;
}
Packet& Packet::tcp_sequence(uint32_t number) {
  sequence_ = number;
  return *this;
}
Packet& Packet::tcp_options(unsigned bytes) {
  tcp_options_ = bytes;
  return *this;
}
Packet& Packet::tcp_data_offset(unsigned in_4) {
  data_offset_ = in_4;
  return *this;
}
Packet& Packet::udp(uint16_t source_port, uint16_t destination_port) {
  transport_ = Transport::kUdp;
  ports_[0] = source_port;
  ports_[1] = destination_port;
  return *this;
}
Packet& Packet::icmp(uint8_t type, uint8_t code, uint16_t identifier, uint16_t sequence) {
  transport_ = Transport::kIcmp;
  icmp_type_ = type;
  icmp_code_ = code;
  icmp_identifier_ = identifier;
  icmp_sequence_ = sequence;
  return *this;
}
Packet& Packet::protocol(uint8_t number) {
  protocol_ = number;
  return *this;
}
Packet& Packet::payload(size_t bytes) {
  payload_.resize(bytes);
  for (size_t i = 0; i < bytes; i++) payload_[i] = static_cast<uint8_t>('a' + i % 26);
  return *this;
}
Packet& Packet::payload(std::vector<uint8_t> bytes) {
  payload_ = std::move(bytes);
  return *this;
}
Packet& Packet::ip_options(unsigned bytes) {
  ip_options_ = bytes;
  return *this;
}
Packet& Packet::ip_version(unsigned version) {
  ip_version_ = version;
  return *this;
}
Packet& Packet::ihl(unsigned in_4) {
  ihl_ = in_4;
  return *this;
}
Packet& Packet::ip_length(uint16_t bytes) {
  ip_length_ = bytes;
  return *this;
}
Packet& Packet::extension(uint8_t type, unsigned bytes) {
  extensions_.push_back({type, bytes, 0, 0});
  return *this;
}
Packet& Packet::fragment(uint16_t offset_in_8, bool more, uint32_t identification) {
  if (is_ipv6_) {
    const auto field = static_cast<uint16_t>(offset_in_8 << 3 | (more ? 1 : 0));
    extensions_.push_back({44, 8, field, identification});
  } else {
    fragment_field_ = static_cast<uint16_t>(offset_in_8 | (more ? 0x2000 : 0));
    identification_ = identification;
  }
  later_fragment_ = offset_in_8 > 0;
  return *this;
}
Packet& Packet::link(uint32_t link_type) {
  link_type_ = link_type;
  return *this;
}
Packet& Packet::tag(uint16_t tag_protocol, uint16_t id) {
  encapsulations_.push_back({tag_protocol, 0, id});
  return *this;
}
Packet& Packet::mpls(unsigned labels, bool multicast) {
  encapsulations_.push_back({static_cast<uint16_t>(multicast ? 0x8848 : 0x8847), labels, 0});
  return *this;
}
Packet& Packet::pppoe() {
  encapsulations_.push_back({0x8864, 0, 0});
  return *this;
}
Packet& Packet::hdlc() {
  hdlc_ = true;
  return *this;
}
Packet& Packet::network_type(uint32_t value) {
  network_type_ = value;
  return *this;
}
Packet& Packet::big_endian_family() {
  big_endian_family_ = true;
  return *this;
}
Packet& Packet::pad_to(size_t bytes) {
  pad_to_ = bytes;
  return *this;
}
Packet& Packet::cut_to(size_t bytes) {
  cut_to_ = bytes;
  return *this;
}
Packet& Packet::wire_length(uint32_t bytes) {
  wire_length_ = bytes;
  return *this;
}

Packet Packet::reversed() const {
  Packet other = *this;
  std::swap(other.source_, other.destination_);
  std::swap(other.ports_[0], other.ports_[1]);
  return other;
}

uint8_t Packet::transport_protocol() const {
  if (protocol_) return *protocol_;
  switch (transport_) {
    case Transport::kTcp:
      return 6;
    case Transport::kUdp:
      return 17;
    case Transport::kIcmp:
      return is_ipv6_ ? 58 : 1;
    case Transport::kNone:
      break;
  }
  return later_fragment_ ? 17 : 59;  // 59: no next header
}

// Transport header and payload.
Bytes Packet::transport_bytes() const {
  Bytes out;
  size_t checksum_at = 0;
  if (!later_fragment_) {
    switch (transport_) {
      case Transport::kTcp:
        put16(out, ports_[0]);
        put16(out, ports_[1]);
        put32(out, sequence_);
        put32(out, 1);
        put8(out, data_offset_.value_or(5 + tcp_options_ / 4) << 4);
        put8(out, flags_);
        put16(out, window_);
        put32(out, 0);
        out.insert(out.end(), tcp_options_, 1);  // no-operation options
        checksum_at = 16;
        break;
      case Transport::kUdp:
        put16(out, ports_[0]);
        put16(out, ports_[1]);
        put16(out, static_cast<unsigned>(8 + payload_.size()));
        put16(out, 0);
        checksum_at = 6;
        break;
      case Transport::kIcmp:
        put8(out, icmp_type_);
        put8(out, icmp_code_);
        put16(out, 0);
        put16(out, icmp_identifier_);
        put16(out, icmp_sequence_);
        checksum_at = 2;
        break;
      case Transport::kNone:
        break;
    }
  }
  append(out, payload_);
  if (checksum_at == 0) return out;

  Bytes covered;
  if (transport_ != Transport::kIcmp || is_ipv6_) {  // the pseudo-header
    append(covered, source_);
    append(covered, destination_);
    if (is_ipv6_) put16(covered, 0);
    put16(covered, static_cast<unsigned>(out.size()));
    if (is_ipv6_) put16(covered, 0);
    put16(covered, transport_protocol());
  }
  append(covered, out);
  uint16_t sum = checksum(covered);
  if (transport_ == Transport::kUdp && sum == 0) sum = 0xffff;  // 0 would say "no checksum"
  set16(out, checksum_at, sum);
  return out;
}

Bytes Packet::network_bytes() const {
  const Bytes inner = transport_bytes();
  Bytes out;
  if (!is_ipv6_) {
    const size_t header = 20 + ip_options_;
    put8(out,
         (ip_version_.value_or(4) << 4 | ihl_.value_or(static_cast<unsigned>(header / 4))) & 0xff);
    put8(out, 0);
    put16(out, ip_length_ ? *ip_length_ : static_cast<unsigned>(header + inner.size()) & 0xffff);
    put16(out, identification_ & 0xffff);
    put16(out, fragment_field_);
    put8(out, 64);
    put8(out, transport_protocol());
    put16(out, 0);
    append(out, source_);
    append(out, destination_);
    out.insert(out.end(), ip_options_, 1);  // no-operation options
    set16(out, 10, checksum(out));
    append(out, inner);
    return out;
  }
  Bytes chain;
  for (size_t i = 0; i < extensions_.size(); i++) {
    const Extension& e = extensions_[i];
    const size_t start = chain.size();
    put8(chain, i + 1 < extensions_.size() ? extensions_[i + 1].type : transport_protocol());
    if (e.type == 44) {
      put8(chain, 0);
      put16(chain, e.fragment_field);
      put32(chain, e.identification);
      continue;
    }
    put8(chain, e.type == 51 ? e.bytes / 4 - 2 : e.bytes / 8 - 1);
    chain.resize(start + e.bytes, 0);
  }
  put32(out, static_cast<uint32_t>(ip_version_.value_or(6)) << 28);
  put16(out,
        ip_length_ ? *ip_length_ : static_cast<unsigned>(chain.size() + inner.size()) & 0xffff);
  put8(out, extensions_.empty() ? transport_protocol() : extensions_[0].type);
  put8(out, 64);
  append(out, source_);
  append(out, destination_);
  append(out, chain);
  append(out, inner);
  return out;
}

// Everything in front of the IP header.
Bytes Packet::link_bytes() const {
  const unsigned ethertype = network_type_.value_or(is_ipv6_ ? 0x86dd : 0x0800);
  const unsigned ppp_protocol = network_type_.value_or(is_ipv6_ ? 0x0057 : 0x0021);
  const unsigned first = encapsulations_.empty() ? ethertype : encapsulations_[0].ethertype;
  Bytes out;
  switch (link_type_) {
    case 1:
      append(out, {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1});
      put16(out, first);
      break;
    case 113:
      append(out, {0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0});
      put16(out, first);
      break;
    case 276:
      put16(out, first);
      append(out, {0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0});
      break;
    case 0:
    case 108: {
      const uint32_t family = network_type_.value_or(is_ipv6_ ? 30 : 2);
      put32(out, link_type_ == 108 || big_endian_family_ ? family : __builtin_bswap32(family));
      break;
    }
    case 9:
      if (hdlc_) append(out, {0xff, 0x03});
      put16(out, ppp_protocol);
      break;
    default:
      break;
  }
  for (size_t i = 0; i < encapsulations_.size(); i++) {
    const Encapsulation& e = encapsulations_[i];
    const unsigned next =
        i + 1 < encapsulations_.size() ? encapsulations_[i + 1].ethertype : ethertype;
    if (e.ethertype == 0x8864) {
      append(out, {0x11, 0, 0, 1});
      put16(out, static_cast<unsigned>(2 + network_bytes().size()) & 0xffff);
      put16(out, ppp_protocol);
    } else if (e.ethertype == 0x8847 || e.ethertype == 0x8848) {
      for (unsigned n = 0; n < e.labels; n++)
        put32(out, (16 + n) << 12 | (n + 1 == e.labels ? 0x100u : 0u) | 64);
    } else {
      put16(out, e.id);
      put16(out, next);
    }
  }
  return out;
}

Frame Packet::frame() const {
  Frame f;
  f.link_type = link_type_;
  f.bytes = link_bytes();
  append(f.bytes, network_bytes());
  if (f.bytes.size() < pad_to_) f.bytes.resize(pad_to_, 0);
  f.wire_length = wire_length_.value_or(static_cast<uint32_t>(f.bytes.size()));
  if (cut_to_ && *cut_to_ < f.bytes.size()) f.bytes.resize(*cut_to_);
  if (f.wire_length < f.bytes.size()) f.bytes.resize(f.wire_length);
  return f;
}

TimedFrame Packet::at(double seconds) const {
  return at_ns(static_cast<uint64_t>(std::llround(seconds * 1e9)));
}

}  // namespace flowmeter::testing
