// SPDX-License-Identifier: BSD-3-Clause
// Runs the HTTP parser on arbitrary bytes, in a heap block of exactly their length, and compares
// its verdict on a prefix with its verdict on the whole.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "application/http.h"
#include "flowmeter/application.h"

namespace {

using namespace flowmeter;

void require(bool holds) {
  if (!holds) std::abort();
}

Verdict parse(const uint8_t* data, size_t size, Extent extent, HttpMessage* message) {
  const auto exact = std::make_unique<uint8_t[]>(size);
  std::copy(data, data + size, exact.get());
  return parse_http({exact.get(), size}, extent, message);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  HttpMessage all, open, part;
  const Verdict verdict = parse(data, size, Extent::kAll, &all);
  require(verdict != Verdict::kMore);
  if (verdict == Verdict::kYes) {
    require(all.header_bytes <= size);
    require(all.request != (all.code >= 100 && all.code <= 999));
    require(all.request == !all.method.text().empty());
    uint8_t first[FM_START_TEST_BYTES] = {};
    std::memcpy(first, data, std::min(size, sizeof first));
    require(fm_application_starts(first, static_cast<unsigned>(size), 0));
  }
  // An early verdict must hold for every continuation.
  const Verdict so_far = parse(data, size, Extent::kSoFar, &open);
  require(so_far == Verdict::kMore || so_far == verdict);
  const Verdict earlier = parse(data, size / 2, Extent::kSoFar, &part);
  if (earlier == Verdict::kMore) return 0;
  require(earlier == so_far);
  if (earlier == Verdict::kYes)
    require(part.header_bytes == open.header_bytes && part.content_length == open.content_length &&
            part.method == open.method && part.code == open.code);
  return 0;
}
