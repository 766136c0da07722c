// SPDX-License-Identifier: BSD-3-Clause
// Counts how often each value occurred, and finds the most common one. Only the first few different
// values are counted. Among equally common values the one seen first wins, no matter in which order
// they are added.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>

namespace flowmeter {

template <typename Value, unsigned kDifferent>
class Tally {
 public:
  // seen: when the value was seen, if values are added in another order.
  void add(const Value& value, uint8_t seen = 0) {
    unsigned i = 0;
    while (i < used_ && entries_[i].value != value) i++;
    if (i == kDifferent) return;
    if (i == used_) entries_[used_++] = {0, seen, value};
    entries_[i].count += entries_[i].count != std::numeric_limits<uint32_t>::max();
    entries_[i].seen = std::min(entries_[i].seen, seen);
    for (; i > 0 && entries_[i].seen < entries_[i - 1].seen; i--)
      std::swap(entries_[i], entries_[i - 1]);
  }
  // The most common value, or `none` if there is no value.
  Value most_common(Value none) const {
    unsigned best = 0;
    for (unsigned i = 1; i < used_; i++)
      if (entries_[i].count > entries_[best].count) best = i;
    return used_ == 0 ? none : entries_[best].value;
  }
  bool empty() const { return used_ == 0; }
  void clear() { used_ = 0; }

 private:
  struct Entry {
    uint32_t count;
    uint8_t seen;  // when it was first seen; entries are sorted by it
    Value value;
  };
  uint8_t used_ = 0;
  std::array<Entry, kDifferent> entries_;
};

}  // namespace flowmeter
