// SPDX-License-Identifier: BSD-3-Clause
#include "application/dns.h"

namespace flowmeter {
namespace {

constexpr size_t kHeaderOctets = 12;
constexpr unsigned kMaxOpcode = 6;  // DSO (RFC 8490), the last one assigned
constexpr unsigned kMaxQuestions = 32;
constexpr size_t kMaxLabelOctets = 254;  // 255 with the root (RFC 1035, 2.3.4)

}  // namespace

Verdict parse_dns(Octets octets, bool all, DnsMessage* message) {
  const Verdict unfinished = all ? Verdict::kNo : Verdict::kMore;
  if (octets.size() < kHeaderOctets) return unfinished;
  message->response = (octets[2] & 0x80) != 0;
  message->rcode = octets[3] & 0x0f;
  message->questions = be16(&octets[4]);
  message->type = 0;
  if ((octets[2] >> 3 & 0x0f) > kMaxOpcode || message->questions > kMaxQuestions)
    return Verdict::kNo;
  if (message->questions == 0) return Verdict::kYes;

  size_t at = kHeaderOctets;
  for (;;) {
    if (at >= octets.size()) return unfinished;
    const uint8_t length = octets[at];
    if (length == 0) {
      at += 1;
      break;
    }
    if ((length & 0xc0) == 0xc0) {  // a pointer ends the name
      at += 2;
      break;
    }
    if (length > 63) return Verdict::kNo;
    at += 1u + length;
    if (at - kHeaderOctets > kMaxLabelOctets) return Verdict::kNo;
  }
  if (octets.size() < at + 4) return unfinished;  // type and class
  message->type = be16(&octets[at]);
  return Verdict::kYes;
}

}  // namespace flowmeter
