// SPDX-License-Identifier: BSD-3-Clause
#include "application/dns.h"

namespace flowmeter {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr unsigned kMaxOpcode = 6;  // DSO (RFC 8490), the last one assigned
constexpr unsigned kMaxQuestions = 32;
constexpr size_t kMaxLabelBytes = 254;  // 255 with the root (RFC 1035, 2.3.4)

}  // namespace

Verdict parse_dns(Bytes bytes, size_t length, DnsMessage* message) {
  // The verdict on a message whose first `needed` bytes have to be read but are not all there.
  const auto unfinished = [length](size_t needed) {
    return needed > length ? Verdict::kNo : Verdict::kMore;
  };
  if (bytes.size() < kHeaderBytes) return unfinished(kHeaderBytes);
  message->response = (bytes[2] & 0x80) != 0;
  message->rcode = bytes[3] & 0x0f;
  message->questions = be16(&bytes[4]);
  message->type = 0;
  if ((bytes[2] >> 3 & 0x0f) > kMaxOpcode || message->questions > kMaxQuestions)
    return Verdict::kNo;
  if (message->questions == 0) return Verdict::kYes;

  constexpr size_t kTypeAndClass = 4;
  size_t at = kHeaderBytes;
  for (;;) {
    if (at >= bytes.size()) return unfinished(at + 1 + kTypeAndClass);
    const uint8_t label = bytes[at];
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
    if (at - kHeaderBytes > kMaxLabelBytes) return Verdict::kNo;
  }
  if (bytes.size() < at + kTypeAndClass) return unfinished(at + kTypeAndClass);
  message->type = be16(&bytes[at]);
  return Verdict::kYes;
}

}  // namespace flowmeter
