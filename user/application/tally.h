// SPDX-License-Identifier: BSD-3-Clause
// Counts of different values, of which only the first few are told apart; and which came most.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

namespace flowmeter {

template <typename Value, unsigned kDifferent>
class Tally {
 public:
  void add(const Value& value) {
    for (unsigned i = 0; i < used_; i++) {
      if (values_[i] != value) continue;
      counts_[i] += counts_[i] != std::numeric_limits<uint32_t>::max();
      return;
    }
    if (used_ == kDifferent) return;
    values_[used_] = value;
    counts_[used_++] = 1;
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
  // In this order what the first few values need is on few cache lines.
  uint8_t used_ = 0;
  std::array<Value, kDifferent> values_;
  std::array<uint32_t, kDifferent> counts_;
};

}  // namespace flowmeter
