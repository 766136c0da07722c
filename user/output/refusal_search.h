// SPDX-License-Identifier: BSD-3-Clause
// Finds the rows for which a server refuses a whole request: a refused request is sent again in
// halves, until the row at fault is alone. That takes about log2(n) requests per row at fault.
//
// If the server refuses every row, because its table has other columns for example, that would be
// two requests per row. So after kAlike rows in succession that were refused alone, the last row of
// a refused request is tried alone: if it is refused, too, so are all; if it is taken, the request
// is divided. That ends when a row is taken in its turn.
#pragma once

#include <algorithm>
#include <cstdint>

namespace flowmeter {

class RefusalSearch {
 public:
  static constexpr uint32_t kAlike = 32;

  // The most rows for the next request, of which `most` are allowed.
  uint32_t limit(uint32_t most) const {
    if (suspects_ > 0) return std::min(most, std::max(1u, suspects_ / 2));
    // Several in a row: there are probably more.
    return alike_ >= 2 && alike_ < kAlike ? std::min(most, 2u) : most;
  }

  void note_taken(uint32_t rows) {
    suspects_ -= std::min(suspects_, rows);
    alike_ = 0;
  }

  enum class Next {
    kDivide,     // send fewer of these rows
    kSetAside,   // it is the row at fault
    kTryLastRow  // if that is taken, the next request has fewer of these rows
  };
  Next note_refused(uint32_t rows) {
    if (rows > 1) {
      suspects_ = rows;
      return alike_ >= kAlike ? Next::kTryLastRow : Next::kDivide;
    }
    suspects_ = 0;
    alike_++;
    return Next::kSetAside;
  }

  // The last of the refused rows was refused alone, so all are.
  void note_last_row_refused() { suspects_ = 0; }

 private:
  uint32_t suspects_ = 0;  // of so many rows, from the next one on, at least one is at fault; 0: no
                           // search
  uint32_t alike_ = 0;     // rows that were refused alone since one was taken
};

}  // namespace flowmeter
