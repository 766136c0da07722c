// SPDX-License-Identifier: BSD-3-Clause
#include "application/head_pool.h"

#include <algorithm>

namespace flowmeter {

HeadPool::HeadPool(size_t max_bytes)
    : heads_(static_cast<uint32_t>(
          std::min<size_t>(max_bytes / sizeof(StreamHead) + 2, UINT32_MAX - 1))),
      max_bytes_(max_bytes) {}

HeadPool::~HeadPool() {
  for (uint32_t head = oldest_; head != kNone; head = heads_[head].newer) heads_[head].release();
}

uint32_t HeadPool::open(ApplicationFlow& flow, unsigned direction, uint32_t base) {
  const uint32_t slot = heads_.take();
  if (slot == kNone) return kNone;
  StreamHead& head = heads_[slot];
  head.begin(base);
  head.flow = &flow;
  head.direction = static_cast<uint8_t>(direction);
  head.older = newest_;
  head.newer = kNone;
  (newest_ == kNone ? oldest_ : heads_[newest_].newer) = slot;
  newest_ = slot;
  bytes_ += head.bytes();
  return slot;
}

bool HeadPool::add(uint32_t slot, uint32_t offset, Bytes bytes, uint32_t* end) {
  StreamHead& head = heads_[slot];
  const size_t before = head.bytes();
  const bool kept = head.add(offset, bytes, end);
  bytes_ += head.bytes() - before;
  return kept;
}

void HeadPool::close(uint32_t slot) {
  StreamHead& head = heads_[slot];
  bytes_ -= head.bytes();
  (head.older == kNone ? oldest_ : heads_[head.older].newer) = head.newer;
  (head.newer == kNone ? newest_ : heads_[head.newer].older) = head.older;
  head.release();
  heads_.give_back(slot);
}

}  // namespace flowmeter
