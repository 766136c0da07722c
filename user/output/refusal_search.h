// SPDX-License-Identifier: BSD-3-Clause
// Finds the rows for which a server refuses a whole request: a refused request is sent again in
// halves, until the row at fault is alone. That takes about log2(n) requests per row at fault.
//
// If the server refuses every row, because its table has other columns for example, that would be a
// request per row. So if it has never taken a row, and has refused kAlike of them alone, samples of
// a refused request are tried alone: if all are refused, so is the rest. As soon as one row is
// taken, each row is refused for itself only.
#pragma once

#include <algorithm>
#include <cstdint>

namespace flowmeter {

class RefusalSearch {
 public:
  static constexpr uint32_t kAlike = 32, kSamples = 8;

  // The most rows for the next request, of which `most` are allowed.
  uint32_t limit(uint32_t most) const {
    if (suspects_ > 0) return std::min(most, std::max(1u, suspects_ / 2));
    // Several in a row: there are probably more.
    return alike_ >= 2 && !may_sample() ? 1 : most;
  }

  void note_taken(uint32_t rows) {
    suspects_ -= std::min(suspects_, rows);
    alike_ = 0;
    ever_taken_ = true;
  }

  enum class Next {
    kDivide,    // send fewer of these rows
    kSetAside,  // it is the row at fault
    kSample     // if one of the samples is taken, the next request has fewer of these rows
  };
  Next note_refused(uint32_t rows) {
    if (rows > 1) {
      suspects_ = rows;
      return may_sample() ? Next::kSample : Next::kDivide;
    }
    suspects_ = 0;
    alike_++;
    return Next::kSetAside;
  }

  // So many rows are too many at once.
  void divide(uint32_t rows) { suspects_ = rows; }

  // Whether this row of a request is a sample: kSamples rows, evenly spread, with the last.
  static bool is_sample(uint32_t row, uint32_t rows) {
    return (uint64_t{row} + 1) * kSamples / rows != uint64_t{row} * kSamples / rows;
  }
  void note_sample_taken() { ever_taken_ = true; }
  void note_samples_refused() { suspects_ = 0; }

 private:
  bool may_sample() const { return !ever_taken_ && alike_ >= kAlike; }

  uint32_t suspects_ =
      0;                // so many rows, from the next one on, were refused together; 0: no search
  uint32_t alike_ = 0;  // rows that were refused alone since one was taken
  bool ever_taken_ = false;
};

}  // namespace flowmeter
