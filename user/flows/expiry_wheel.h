// SPDX-License-Identifier: BSD-3-Clause
// Says when which flow has to be checked: a timing wheel of slots, as doubly linked lists.
//
// A packet moves its flow's deadline without touching the wheel. When the old deadline has passed,
// the caller checks the flow and schedules its slot again if it continues. So the wheel costs one
// visit per flow and idle time-out, not one per packet, and nothing ever iterates over all flows.
#pragma once

#include <cstdint>
#include <vector>

namespace flowmeter {

class ExpiryWheel {
 public:
  // A slot is collected at most this long after its deadline.
  static constexpr uint64_t kTickNs = uint64_t{1} << 27;  // 0.13 s

  ExpiryWheel() : heads_(kBuckets, kNone) {}

  // collect() will find slot once deadline_ns has passed, or earlier if the deadline is beyond the
  // wheel's reach (4.6 minutes after the last collect). A slot that is in the wheel is moved.
  void schedule(uint32_t slot, uint64_t deadline_ns) {
    if (slot >= links_.size()) links_.resize(slot + 1);
    cancel(slot);
    uint64_t tick = deadline_ns / kTickNs + 1;
    if (tick <= tick_) tick = tick_ + 1;
    if (tick > tick_ + kBuckets - 1) tick = tick_ + kBuckets - 1;
    const auto bucket = static_cast<uint32_t>(tick % kBuckets);
    Link& link = links_[slot];
    link = {heads_[bucket], kNone, bucket};
    if (link.next != kNone) links_[link.next].previous = slot;
    heads_[bucket] = slot;
  }

  void cancel(uint32_t slot) {
    if (slot >= links_.size() || links_[slot].bucket == kNone) return;
    Link& link = links_[slot];
    if (link.next != kNone) links_[link.next].previous = link.previous;
    (link.previous == kNone ? heads_[link.bucket] : links_[link.previous].next) = link.next;
    link.bucket = kNone;
  }

  // Calls visit(slot) for each slot whose deadline has passed. The slot has left the wheel by then
  // and may be scheduled again. Requires: now_ns never runs back.
  template <typename Visit>
  void collect(uint64_t now_ns, Visit&& visit) {
    const uint64_t now_tick = now_ns / kTickNs;
    if (tick_ + kBuckets < now_tick) tick_ = now_tick - kBuckets;  // one turn visits all buckets
    while (tick_ < now_tick) {
      tick_++;
      const auto bucket = static_cast<uint32_t>(tick_ % kBuckets);
      while (heads_[bucket] != kNone) {
        const uint32_t slot = heads_[bucket];
        cancel(slot);
        visit(slot);
      }
    }
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kBuckets = 2048;
  struct Link {
    uint32_t next = kNone;
    uint32_t previous = kNone;
    uint32_t bucket = kNone;
  };

  std::vector<uint32_t> heads_;
  std::vector<Link> links_;
  uint64_t tick_ = 0;  // all buckets up to this one are empty
};

}  // namespace flowmeter
