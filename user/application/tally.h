// SPDX-License-Identifier: BSD-3-Clause
// Counts of different values, of which only the first few are told apart; and which came most.
// Of values that came equally often it is the one seen first, whenever they are added.
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
  // seen: when, if values are not added in that order.
  void add(const Value& value, uint8_t seen = 0) {
    unsigned i = 0;
    while (i < used_ && values_[i] != value) i++;
    if (i == kDifferent) return;
    if (i == used_) {
      values_[i] = value;
      counts_[i] = 0;
      seen_[i] = seen;
      used_++;
    }
    counts_[i] += counts_[i] != std::numeric_limits<uint32_t>::max();
    seen_[i] = std::min(seen_[i], seen);
    for (; i > 0 && seen_[i] < seen_[i - 1]; i--) {
      std::swap(values_[i], values_[i - 1]);
      std::swap(counts_[i], counts_[i - 1]);
      std::swap(seen_[i], seen_[i - 1]);
    }
  }
  // The value seen most, of several the one seen first; none if there is no value.
  Value most_common(Value none) const {
    unsigned best = 0;
    for (unsigned i = 1; i < used_; i++)
      if (counts_[i] > counts_[best]) best = i;
    return used_ == 0 ? none : values_[best];
  }
  bool empty() const { return used_ == 0; }
  void clear() { used_ = 0; }

 private:
  std::array<uint32_t, kDifferent> counts_;
  std::array<Value, kDifferent> values_;
  uint8_t used_ = 0;
  std::array<uint8_t, kDifferent> seen_;  // first, ascending
};

}  // namespace flowmeter
