// SPDX-License-Identifier: BSD-3-Clause
#include "features/community_id.h"

#include <cstring>
#include <optional>
#include <utility>

#include "flowmeter/wire_headers.h"

namespace flowmeter {
namespace {

struct IcmpPair {
  uint8_t protocol;
  uint8_t request;
  uint8_t reply;
};
// Messages that answer each other, as the reference implementation has them.
constexpr IcmpPair kIcmpPairs[] = {
    {FM_ICMP, FM_ICMP_ECHO_REQUEST, FM_ICMP_ECHO_REPLY},
    {FM_ICMP, 10, 9},   // router solicitation, advertisement
    {FM_ICMP, 13, 14},  // timestamp
    {FM_ICMP, 15, 16},  // information
    {FM_ICMP, 17, 18},  // address mask
    {FM_ICMPV6, FM_ICMPV6_ECHO_REQUEST, FM_ICMPV6_ECHO_REPLY},
    {FM_ICMPV6, 130, 131},  // multicast listener query, report
    {FM_ICMPV6, 133, 134},  // router solicitation, advertisement
    {FM_ICMPV6, 135, 136},  // neighbor solicitation, advertisement
    {FM_ICMPV6, 139, 140},  // node information
    {FM_ICMPV6, 144, 145},  // home agent address discovery
};

std::optional<uint8_t> counterpart(uint8_t protocol, uint8_t type) {
  for (const IcmpPair& pair : kIcmpPairs) {
    if (pair.protocol != protocol) continue;
    if (pair.request == type) return pair.reply;
    if (pair.reply == type) return pair.request;
  }
  return {};
}

// The first packet's ends as they are hashed.
struct Ends {
  unsigned source = 0;  // the number of the end in the key
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  bool one_way = false;  // the order says who sent it
};

Ends icmp_ends(const FlowRecord& record) {
  const fm_flow_counters& counters = record.flow.counters;
  const uint8_t sender = counters.direction[1].icmp_first;
  uint8_t known = counters.direction[0].icmp_first;
  Ends ends;
  ends.source = sender ? sender - 1u : counters.forward_direction;
  if (record.key.kind == FM_KEY_ICMP_ECHO) {
    // Unknown (a flow of an earlier version of the kernel's maps): the initiator asks.
    if (!sender)
      known = record.key.protocol == FM_ICMP ? FM_ICMP_ECHO_REQUEST : FM_ICMPV6_ECHO_REQUEST;
    ends.source_port = known;
  } else {
    ends.source_port = record.key.port[0];
  }
  const auto reply = counterpart(record.key.protocol, static_cast<uint8_t>(ends.source_port));
  ends.one_way = !reply;
  ends.destination_port = reply.value_or(known);
  return ends;
}

Ends ends_of(const FlowRecord& record) {
  if (record.key.kind != FM_KEY_PORTS) return icmp_ends(record);
  return {.source_port = record.key.port[0], .destination_port = record.key.port[1]};
}

uint8_t* put_be16(uint8_t* at, uint16_t value) {
  *at++ = static_cast<uint8_t>(value >> 8);
  *at++ = static_cast<uint8_t>(value);
  return at;
}

Cell base64(const Sha1::Digest& digest) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  constexpr size_t kText = 2 + 28;
  static_assert(sizeof(digest) == 20, "seven groups, and the last one has a byte less");
  char text[kText] = {'1', ':'};
  char* at = text + 2;
  for (size_t i = 0; i < digest.size(); i += 3) {
    const bool whole = i + 2 < digest.size();
    const uint32_t group =
        static_cast<uint32_t>(digest[i] << 16 | digest[i + 1] << 8) | (whole ? digest[i + 2] : 0u);
    for (unsigned shift = 18; shift > 0; shift -= 6) *at++ = kDigits[group >> shift & 63];
    *at++ = whole ? kDigits[group & 63] : '=';
  }
  return std::string_view(text, kText);
}

}  // namespace

Cell community_id(const FlowRecord& record) {
  if (!record.meter) return std::string_view();
  Ends ends = ends_of(record);
  const size_t size = record.key.ip_version == 4 ? 4 : 16;
  const fm_address* source = &record.key.address[ends.source];
  const fm_address* destination = &record.key.address[!ends.source];
  const int order = std::memcmp(source, destination, size);
  if (!ends.one_way && (order > 0 || (order == 0 && ends.source_port > ends.destination_port))) {
    std::swap(source, destination);
    std::swap(ends.source_port, ends.destination_port);
  }
  uint8_t bytes[2 + 2 * 16 + 2 + 4];
  uint8_t* at = put_be16(bytes, record.meter->community_seed());
  std::memcpy(at, source, size);
  std::memcpy(at + size, destination, size);
  at += 2 * size;
  *at++ = record.key.protocol;
  *at++ = 0;
  at = put_be16(at, ends.source_port);
  at = put_be16(at, ends.destination_port);
  Sha1 hash;
  hash.add({bytes, static_cast<size_t>(at - bytes)});
  return base64(hash.finish());
}

}  // namespace flowmeter
