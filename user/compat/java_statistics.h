// SPDX-License-Identifier: BSD-3-Clause
// Reproduces commons-math's SummaryStatistics to the last bit: running mean and sum of squared
// deviations, in the same order of operations. (Built without fused multiply-add, which Java does
// not use.)
#pragma once

#include <cmath>
#include <cstdint>

namespace flowmeter {

class JavaStatistics {
 public:
  void add(double x) {
    if (n_ == 0 || x > max_) max_ = x;
    if (n_ == 0 || x < min_) min_ = x;
    sum_ += x;
    n_++;
    // FirstMoment.increment and SecondMoment.increment.
    const auto n = static_cast<double>(n_);
    const double deviation = x - mean_;
    const double share = deviation / n;
    mean_ += share;
    squares_ += ((n - 1) * deviation) * share;
  }

  int64_t count() const { return n_; }
  bool empty() const { return n_ == 0; }
  double sum() const { return sum_; }
  // Requires of the next five: not empty.
  double max() const { return max_; }
  double min() const { return min_; }
  double mean() const { return mean_; }  // not the sum divided by the count
  double variance() const {              // of a sample
    return n_ == 1 ? 0 : squares_ / static_cast<double>(n_ - 1);
  }
  double deviation() const { return std::sqrt(variance()); }

 private:
  int64_t n_ = 0;
  double sum_ = 0, mean_ = 0, squares_ = 0, max_ = 0, min_ = 0;
};

}  // namespace flowmeter
