// SPDX-License-Identifier: BSD-3-Clause
#include "features/identity.h"

#include <arpa/inet.h>

namespace flowmeter {
namespace {

char* put_byte(char* at, unsigned value) {
  if (value >= 100) *at++ = static_cast<char>('0' + value / 100);
  if (value >= 10) *at++ = static_cast<char>('0' + value / 10 % 10);
  *at++ = static_cast<char>('0' + value % 10);
  return at;
}

}  // namespace

Cell address_text(const fm_address& address, uint8_t ip_version) {
  uint8_t bytes[sizeof(address)];
  std::memcpy(bytes, &address, sizeof(bytes));
  char text[INET6_ADDRSTRLEN];
  if (ip_version == 4) {
    char* at = text;
    for (int i = 0; i < 4; i++) {
      if (i > 0) *at++ = '.';
      at = put_byte(at, bytes[i]);
    }
    return std::string_view(text, static_cast<size_t>(at - text));
  }
  ::inet_ntop(AF_INET6, bytes, text, sizeof(text));
  return std::string_view(text);
}

std::string endpoint_text(const fm_flow_key& key, unsigned end) {
  std::string text(address_text(key.address[end], key.ip_version).text());
  if (key.kind != FM_KEY_PORTS) return text;
  if (key.ip_version == 6) text = '[' + text + ']';
  return text + ':' + std::to_string(key.port[end]);
}

std::string_view protocol_name(uint8_t protocol) {
  switch (protocol) {
    case FM_TCP:
      return "TCP";
    case FM_UDP:
      return "UDP";
    case FM_ICMP:
      return "ICMP";
    default:
      return "ICMPv6";
  }
}

}  // namespace flowmeter
