// SPDX-License-Identifier: BSD-3-Clause
#include "application/head_pool.h"

#include <algorithm>
#include <vector>

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
  head.opened = opened_++;
  add(slot, flow, direction);
  return slot;
}

uint32_t HeadPool::restore(ApplicationFlow& flow, unsigned direction, ValueReader& from) {
  const uint32_t slot = heads_.take();
  if (slot == kNone) return kNone;
  if (heads_[slot].restore(from)) {
    add(slot, flow, direction);
    return slot;
  }
  heads_.give_back(slot);
  return kNone;
}

void HeadPool::add(uint32_t slot, ApplicationFlow& flow, unsigned direction) {
  StreamHead& head = heads_[slot];
  head.flow = &flow;
  head.direction = static_cast<uint8_t>(direction);
  bytes_ += head.bytes();
  link(slot);
}

// Makes it the youngest.
void HeadPool::link(uint32_t slot) {
  heads_[slot].older = newest_;
  heads_[slot].newer = kNone;
  (newest_ == kNone ? oldest_ : heads_[newest_].newer) = slot;
  newest_ = slot;
}

void HeadPool::sort_by_age() {
  std::vector<uint32_t> slots;
  for (uint32_t head = oldest_; head != kNone; head = heads_[head].newer) slots.push_back(head);
  std::ranges::sort(slots, {}, [this](uint32_t slot) { return heads_[slot].opened; });
  oldest_ = newest_ = kNone;
  for (const uint32_t slot : slots) link(slot);
  if (!slots.empty()) opened_ = heads_[newest_].opened + 1;
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
