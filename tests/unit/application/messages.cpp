// SPDX-License-Identifier: BSD-3-Clause
#include "application/messages.h"

#include <cstdio>

namespace flowmeter::testing {

std::string text(const ApplicationSummary& s) {
  std::string line;
  const auto part = [&line](const std::string& words) {
    line += (line.empty() ? "" : ", ") + words;
  };
  const auto number = [](uint64_t value) { return std::to_string(value); };
  if (s.http_requests || s.http_responses || s.http_content_length) {
    const std::string method = s.http_method.text();
    part("HTTP " + number(s.http_requests) + "/" + number(s.http_responses) + " " +
         (method.empty() ? "NONE" : method) + " " + number(s.http_code) + " " +
         number(s.http_content_length));
  }
  if (s.tls_messages || s.tls_version_known || s.tls_cipher_suites || s.tls_extensions) {
    char version[8];
    std::snprintf(version, sizeof version, "0x%04x", s.tls_version);
    part("TLS " + number(s.tls_messages) + " " + (s.tls_version_known ? version : "NONE") + " " +
         number(s.tls_cipher_suites) + " " + number(s.tls_extensions));
  }
  if (s.dns_queries || s.dns_responses || s.dns_type_known)
    part("DNS " + number(s.dns_queries) + "/" + number(s.dns_responses) + " " +
         (s.dns_type_known ? number(s.dns_type) : "NONE") + " " + number(s.dns_rcode));
  if (s.unknown) part("unknown");
  return line.empty() ? "nothing" : line;
}

Conversation& Conversation::syn(unsigned direction) {
  return raw({static_cast<uint8_t>(direction), kSyn[direction], 0, true, {}});
}

Conversation& Conversation::send(unsigned direction, std::string_view payload) {
  return at(direction, sent_[direction], payload);
}

Conversation& Conversation::at(unsigned direction, uint32_t offset, std::string_view payload,
                               uint32_t length) {
  if (length == 0) length = static_cast<uint32_t>(payload.size());
  sent_[direction] = offset + length;
  return raw({static_cast<uint8_t>(direction), kSyn[direction] + 1 + offset, length, false,
              bytes(payload)});
}

Conversation& Conversation::noise(unsigned direction, unsigned segments) {
  for (unsigned i = 0; i < segments; i++) send(direction, "...");
  return *this;
}

Conversation& Conversation::raw(const Payload& payload) {
  layer_->tcp(flow_, port_53_, payload);
  return *this;
}

Conversation& Conversation::datagram(unsigned direction, std::string_view payload) {
  layer_->udp(flow_, {static_cast<uint8_t>(direction), 0, static_cast<uint32_t>(payload.size()),
                      false, bytes(payload)});
  return *this;
}

Conversation& Conversation::lost() {
  layer_->lost(flow_);
  return *this;
}

ValueBytes Conversation::saved() const {
  ValueBytes bytes;
  layer_->save(flow_, bytes);
  return bytes;
}

bool Conversation::continue_in(ApplicationLayer& layer, std::span<const std::byte> saved) {
  layer_->release(flow_);
  layer_ = &layer;
  ValueReader reader(saved);
  return layer_->restore(flow_, reader) && reader.at_end();
}

}  // namespace flowmeter::testing
