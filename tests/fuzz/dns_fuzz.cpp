// SPDX-License-Identifier: BSD-3-Clause
// Runs the DNS parser on arbitrary bytes, in a heap block of exactly their length, and compares its
// verdict on a prefix with its verdict on the whole.
#include <algorithm>
#include <cstdlib>
#include <memory>

#include "application/dns.h"

namespace {

using namespace flowmeter;

void require(bool holds) {
  if (!holds) std::abort();
}

Verdict parse(const uint8_t* data, size_t size, size_t length, DnsMessage* message) {
  const auto exact = std::make_unique<uint8_t[]>(size);
  std::copy(data, data + size, exact.get());
  return parse_dns({exact.get(), size}, length, message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  DnsMessage all, open, part;
  const Verdict verdict = parse(data, size, size, &all);
  require(verdict != Verdict::kMore);
  if (verdict == Verdict::kYes) require(all.rcode < 16 && all.questions <= 32 && size >= 12);
  const Verdict so_far = parse(data, size, UINT16_MAX, &open);
  require(so_far == verdict || (so_far == Verdict::kMore && verdict == Verdict::kNo));
  // The header and the first question fit into 272 bytes.
  if (size >= 272) require(so_far != Verdict::kMore);
  const Verdict earlier = parse(data, size / 2, UINT16_MAX, &part);
  if (earlier == Verdict::kMore) return 0;
  require(earlier == so_far);
  if (earlier == Verdict::kYes)
    require(part.type == open.type && part.response == open.response && part.rcode == open.rcode);
  return 0;
}
