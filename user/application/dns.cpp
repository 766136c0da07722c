// SPDX-License-Identifier: BSD-3-Clause
#include "application/dns.h"

namespace flowmeter {
namespace {

constexpr size_t kHeaderOctets = 12;
constexpr unsigned kMaxOpcode = 6;  // DSO (RFC 8490), the last one assigned
constexpr unsigned kMaxQuestions = 32;
constexpr size_t kMaxLabelOctets = 254;  // 255 with the root (RFC 1035, 2.3.4)

}  // namespace

Verdict parse_dns(Octets octets, size_t length, DnsMessage* message) {
  // What is said of a message whose first `needed` octets would have to be read.
  const auto unfinished = [length](size_t needed) {
    return needed > length ? Verdict::kNo : Verdict::kMore;
  };
  if (octets.size() < kHeaderOctets) return unfinished(kHeaderOctets);
  message->response = (octets[2] & 0x80) != 0;
  message->rcode = octets[3] & 0x0f;
  message->questions = be16(&octets[4]);
  message->type = 0;
  if ((octets[2] >> 3 & 0x0f) > kMaxOpcode || message->questions > kMaxQuestions)
    return Verdict::kNo;
  if (message->questions == 0) return Verdict::kYes;

  constexpr size_t kTypeAndClass = 4;
  size_t at = kHeaderOctets;
  for (;;) {
    if (at >= octets.size()) return unfinished(at + 1 + kTypeAndClass);
    const uint8_t label = octets[at];
    if (label == 0) {
      at += 1;
      break;
    }
    if ((label & 0xc0) == 0xc0) {  // a pointer ends the name
      at += 2;
      break;
    }
    if (label > 63) return Verdict::kNo;
    at += 1u + label;
    if (at - kHeaderOctets > kMaxLabelOctets) return Verdict::kNo;
  }
  if (octets.size() < at + kTypeAndClass) return unfinished(at + kTypeAndClass);
  message->type = be16(&octets[at]);
  return Verdict::kYes;
}

}  // namespace flowmeter
