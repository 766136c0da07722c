// SPDX-License-Identifier: BSD-3-Clause
// Frames as code: `ipv4("10.0.0.1", "10.0.0.2").tcp(4242, 80, FM_ACK).payload(64)`. Lengths,
// next-header values and checksums are right unless a test says otherwise, so a row shows only what
// it is about. By default a frame is Ethernet. Depends neither on a test framework nor on the
// product's parser.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace flowmeter::testing {

// One frame as a capture or an interface gives it.
struct Frame {
  std::vector<uint8_t> bytes;  // what is captured
  uint32_t wire_length = 0;    // at least bytes.size()
  uint32_t link_type = 1;      // LINKTYPE registry
};

// A frame and when it was seen.
struct TimedFrame {
  uint64_t time_ns = 0;
  Frame frame;
};

class Packet {
 public:
  // ---- transport ----
  Packet& tcp(uint16_t source_port, uint16_t destination_port, uint8_t flags,
              uint16_t window = 8192);
  Packet& tcp_sequence(uint32_t number);
  // A multiple of 4, at most 40.
  Packet& tcp_options(unsigned bytes);
  // Replaces the header length field, in units of 4 bytes; the header stays as long as it is.
  Packet& tcp_data_offset(unsigned in_4);
  Packet& udp(uint16_t source_port, uint16_t destination_port);
  // ICMP over IPv4, ICMPv6 over IPv6.
  Packet& icmp(uint8_t type, uint8_t code, uint16_t identifier = 0, uint16_t sequence = 0);
  // No transport header, and this protocol number in the IP header.
  Packet& protocol(uint8_t number);
  Packet& payload(size_t bytes);
  Packet& payload(std::vector<uint8_t> bytes);

  // ---- network ----
  // A multiple of 4, at most 40.
  Packet& ip_options(unsigned bytes);
  Packet& ip_version(unsigned version);
  // Replaces the header length field, in units of 4 bytes; the header stays as long as it is.
  Packet& ihl(unsigned in_4);
  // Replaces the total length (IPv4) or payload length (IPv6) field.
  Packet& ip_length(uint16_t bytes);
  // IPv6: the next extension header of the chain. bytes: of the whole header; a multiple of 8 (AH,
  // 51: of 4).
  Packet& extension(uint8_t type, unsigned bytes = 8);
  // IPv4: flags and offset of the header. IPv6: a fragment header, next in the chain. Offset in
  // units of 8 bytes. With an offset above 0 there is no transport header; call protocol() to say
  // whose fragment it is.
  Packet& fragment(uint16_t offset_in_8, bool more, uint32_t identification = 1);
  Packet& first_fragment(uint32_t identification = 1) { return fragment(0, true, identification); }
  Packet& middle_fragment(uint16_t offset_in_8, uint32_t identification = 1) {
    return fragment(offset_in_8, true, identification);
  }
  Packet& last_fragment(uint16_t offset_in_8, uint32_t identification = 1) {
    return fragment(offset_in_8, false, identification);
  }
  // The whole datagram (RFC 6946).
  Packet& atomic_fragment(uint32_t identification = 1) {
    return fragment(0, false, identification);
  }

  // ---- link ----
  // 0, 1, 9, 12, 14, 101, 108, 113, 228, 229, 276; others have no header.
  Packet& link(uint32_t link_type);
  Packet& tag(uint16_t tag_protocol, uint16_t id = 100);
  Packet& vlan(uint16_t id = 100) { return tag(0x8100, id); }
  Packet& qinq(uint16_t outer = 200, uint16_t inner = 100) {
    return tag(0x88a8, outer).tag(0x8100, inner);
  }
  Packet& mpls(unsigned labels, bool multicast = false);
  Packet& pppoe();
  Packet& hdlc();  // PPP only: ff 03 in front of the protocol
  // Replaces the innermost EtherType, PPP protocol or address family.
  Packet& network_type(uint32_t value);
  // Null link only: the family in network order (it is little-endian otherwise). Loop is always
  // network order.
  Packet& big_endian_family();

  // ---- frame ----
  // Zero bytes after the IP packet up to this frame length.
  Packet& pad_to(size_t bytes);
  // Captured length; later bytes were only on the wire.
  Packet& cut_to(size_t bytes);
  // Length on the wire, whatever the headers say.
  Packet& wire_length(uint32_t bytes);

  // The same packet from the other end: addresses and ports are exchanged.
  Packet reversed() const;

  Frame frame() const;
  operator Frame() const { return frame(); }
  TimedFrame at_ns(uint64_t time_ns) const { return {time_ns, frame()}; }
  TimedFrame at(double seconds) const;

 private:
  friend Packet ipv4(const std::string& source, const std::string& destination);
  friend Packet ipv6(const std::string& source, const std::string& destination);

  enum class Transport : uint8_t { kNone, kTcp, kUdp, kIcmp };
  struct Extension {
    uint8_t type;
    unsigned bytes;
    uint16_t fragment_field;
    uint32_t identification;
  };
  struct Encapsulation {
    uint16_t ethertype;  // that announces it
    unsigned labels;     // MPLS only
    uint16_t id;
  };

  std::vector<uint8_t> transport_bytes() const;
  std::vector<uint8_t> network_bytes() const;
  std::vector<uint8_t> link_bytes() const;
  uint8_t transport_protocol() const;

  bool is_ipv6_ = false;
  std::vector<uint8_t> source_, destination_;
  unsigned ip_options_ = 0;
  std::optional<unsigned> ip_version_, ihl_;
  std::optional<uint16_t> ip_length_;
  std::vector<Extension> extensions_;
  uint16_t fragment_field_ = 0;
  uint32_t identification_ = 0;
  bool later_fragment_ = false;

  Transport transport_ = Transport::kNone;
  std::optional<uint8_t> protocol_;
  uint16_t ports_[2] = {0, 0};
  uint8_t flags_ = 0;
  uint16_t window_ = 0;
  uint32_t sequence_ = 1;
  unsigned tcp_options_ = 0;
  std::optional<unsigned> data_offset_;
  uint8_t icmp_type_ = 0, icmp_code_ = 0;
  uint16_t icmp_identifier_ = 0, icmp_sequence_ = 0;
  std::vector<uint8_t> payload_;

  uint32_t link_type_ = 1;
  std::vector<Encapsulation> encapsulations_;
  bool hdlc_ = false, big_endian_family_ = false;
  std::optional<uint32_t> network_type_;

  size_t pad_to_ = 0;
  std::optional<size_t> cut_to_;
  std::optional<uint32_t> wire_length_;
};

// Requires: addresses in text form.
Packet ipv4(const std::string& source, const std::string& destination);
Packet ipv6(const std::string& source, const std::string& destination);

}  // namespace flowmeter::testing
