// SPDX-License-Identifier: BSD-3-Clause
// The text of a cell that is a number: the same in every format.
#pragma once

#include <charconv>

#include "features/column.h"
#include "output/number.h"

namespace flowmeter {

// Returns the end of the text. Requires: kMaxRealText bytes at `at`; not a text cell.
inline char* put_number(char* at, const Cell& cell) {
  if (cell.kind() == Cell::Kind::kReal) return put_real(at, cell.real());
  if (cell.kind() == Cell::Kind::kNanoseconds) return put_seconds(at, cell.nanoseconds());
  // The getters' only negative integer is -1; counters use all 64 bits.
  if (cell.integer() == -1) {
    *at++ = '-';
    *at++ = '1';
    return at;
  }
  return std::to_chars(at, at + 20, static_cast<uint64_t>(cell.integer())).ptr;
}

}  // namespace flowmeter
