// SPDX-License-Identifier: BSD-3-Clause
// The heads of all flows that currently keep bytes, and the total of these bytes. The owner gives
// up the oldest heads while the total is above the limit.
#pragma once

#include <cstdint>

#include "application/stream_head.h"
#include "base/slot_pool.h"

namespace flowmeter {

class HeadPool {
 public:
  static constexpr uint32_t kNone = SlotPool<StreamHead>::kNone;

  explicit HeadPool(size_t max_bytes);
  ~HeadPool();

  // Returns a new head, which is the youngest; kNone if there are too many.
  uint32_t open(ApplicationFlow& flow, unsigned direction, uint32_t base);
  // StreamHead::add.
  bool add(uint32_t slot, uint32_t offset, Bytes bytes, uint32_t* end);
  void close(uint32_t slot);
  // A head that was saved (StreamHead::save); kNone if there are too many, or it is incomplete.
  uint32_t restore(ApplicationFlow& flow, unsigned direction, ValueReader& from);
  // Call after the last restore(): heads are as old as they were.
  void sort_by_age();

  StreamHead& operator[](uint32_t slot) { return heads_[slot]; }
  const StreamHead& operator[](uint32_t slot) const { return heads_[slot]; }
  bool over_limit() const { return bytes_ > max_bytes_; }
  // Requires: there is one.
  const StreamHead& oldest() const { return heads_[oldest_]; }
  uint64_t count() const { return heads_.in_use(); }
  uint64_t bytes() const { return bytes_; }

 private:
  void add(uint32_t slot, ApplicationFlow& flow, unsigned direction);
  void link(uint32_t slot);

  SlotPool<StreamHead> heads_;
  const size_t max_bytes_;
  uint32_t oldest_ = kNone, newest_ = kNone;
  uint64_t bytes_ = 0;
  uint64_t opened_ = 0;
};

}  // namespace flowmeter
