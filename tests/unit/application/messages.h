// SPDX-License-Identifier: BSD-3-Clause
// TLS and DNS messages made by hand, and a conversation that hands payloads to an ApplicationLayer.
// Bytes are std::string, so that tests can write and cut them as text.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "application/application_layer.h"

namespace flowmeter::testing {

inline Bytes bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string u8(size_t value) {
  return std::string(1, static_cast<char>(value));
}
inline std::string u16(size_t value) {
  return u8(value >> 8 & 0xff) + u8(value & 0xff);
}
inline std::string u24(size_t value) {
  return u8(value >> 16 & 0xff) + u16(value & 0xffff);
}

// ---- TLS ----
inline std::string record(unsigned type, const std::string& body, unsigned version = 0x0301) {
  return u8(type) + u16(version) + u16(body.size()) + body;
}
inline std::string message(unsigned type, const std::string& body) {
  return u8(type) + u24(body.size()) + body;
}
inline std::string handshake(const std::string& messages) {
  return record(0x16, messages);
}
inline std::string warning() {
  return record(0x15, u8(1) + u8(112));
}
inline std::string fatal() {
  return record(0x15, u8(2) + u8(40));
}
inline std::string change_cipher_spec() {
  return record(0x14, u8(1));
}

struct Extension {
  unsigned type;
  std::string body = {};
};
inline std::string extensions(const std::vector<Extension>& list) {
  std::string block;
  for (const Extension& e : list) block += u16(e.type) + u16(e.body.size()) + e.body;
  return u16(block.size()) + block;
}
inline Extension offered(std::initializer_list<unsigned> versions) {
  std::string list;
  for (const unsigned v : versions) list += u16(v);
  return {43, u8(list.size()) + list};
}
inline Extension chosen(unsigned version) {
  return {43, u16(version)};
}

// The bodies. Without extensions there is no block either.
inline std::string client_hello_body(const std::vector<unsigned>& suites,
                                     const std::vector<Extension>& list = {},
                                     unsigned version = 0x0303) {
  std::string list_of_suites;
  for (const unsigned s : suites) list_of_suites += u16(s);
  return u16(version) + std::string(32, 'r') + u8(4) + "sess" + u16(list_of_suites.size()) +
         list_of_suites + u8(1) + u8(0) + (list.empty() ? "" : extensions(list));
}
inline std::string server_hello_body(unsigned suite, const std::vector<Extension>& list = {},
                                     unsigned version = 0x0303) {
  return u16(version) + std::string(32, 'R') + u8(0) + u16(suite) + u8(0) +
         (list.empty() ? "" : extensions(list));
}
inline std::string client_hello(const std::vector<unsigned>& suites,
                                const std::vector<Extension>& list = {},
                                unsigned version = 0x0303) {
  return message(1, client_hello_body(suites, list, version));
}
inline std::string server_hello(unsigned suite, const std::vector<Extension>& list = {},
                                unsigned version = 0x0303) {
  return message(2, server_hello_body(suite, list, version));
}

// ---- DNS ----
inline std::string name(std::initializer_list<std::string> labels) {
  std::string text;
  for (const std::string& label : labels) text += u8(label.size()) + label;
  return text + u8(0);
}
inline std::string dns_header(unsigned flags, unsigned questions) {
  return u16(0x1234) + u16(flags) + u16(questions) + u16(0) + u16(0) + u16(0);
}
inline std::string question(unsigned type) {
  return name({"example", "com"}) + u16(type) + u16(1);
}
inline std::string query(unsigned type) {
  return dns_header(0x0100, 1) + question(type);
}
inline std::string response(unsigned type, unsigned rcode = 0) {
  return dns_header(0x8180 | rcode, 1) + question(type);
}
inline std::string framed(const std::string& dns) {
  return u16(dns.size()) + dns;
}

// ---- a conversation ----

// A summary in one line: "HTTP requests/responses method code bytes", "TLS messages version suites
// extensions", "DNS queries/responses type rcode", each only if the flow has it; or "nothing".
std::string text(const ApplicationSummary& summary);

// Positions are offsets in a direction's stream. The forward sequence numbers soon wrap around
// 2^32.
class Conversation {
 public:
  static constexpr uint32_t kSyn[2] = {0xffffff00, 7000};

  explicit Conversation(ApplicationLayer& layer) : layer_(&layer) {}
  Conversation(const Conversation&) = delete;
  ~Conversation() { layer_->release(flow_); }

  Conversation& on_port_53() {
    port_53_ = true;
    return *this;
  }
  Conversation& syn(unsigned direction);
  // A segment after all that was sent so far.
  Conversation& send(unsigned direction, std::string_view payload);
  // A segment anywhere; length on the wire may be more than what was captured.
  Conversation& at(unsigned direction, uint32_t offset, std::string_view payload,
                   uint32_t length = 0);
  // Segments that do not concern the others: three bytes of noise each.
  Conversation& noise(unsigned direction, unsigned segments);
  // A payload without a known origin, as in a flow that had started before.
  Conversation& raw(const Payload& payload);
  Conversation& datagram(unsigned direction, std::string_view payload);
  Conversation& lost();
  std::string result() { return text(layer_->finish(flow_)); }
  ValueBytes saved() const;
  // Goes on in another layer, as after a restart. False if the bytes are not all.
  bool continue_in(ApplicationLayer& layer, std::span<const std::byte> saved);

 private:
  ApplicationLayer* layer_;
  ApplicationFlow flow_{};
  bool port_53_ = false;
  uint32_t sent_[2] = {0, 0};
};

}  // namespace flowmeter::testing
