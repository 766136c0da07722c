// SPDX-License-Identifier: BSD-3-Clause
// The text of a number cell, which is the same in every format.
#pragma once

#include <charconv>

#include "features/column.h"
#include "output/number.h"
#include "output/row_style.h"

namespace flowmeter {

// Returns the end of the text. Requires: Cell::kMaxText bytes at `at`; not a text cell.
inline char* put_number(char* at, const Cell& cell, const RowStyle& style) {
  if (FM_UNLIKELY(style.decimals.has_value()) && cell.kind() != Cell::Kind::kInteger) {
    const auto end = std::to_chars(at, at + Cell::kMaxText, cell.real(), std::chars_format::fixed,
                                   *style.decimals);
    if (end.ec == std::errc()) return end.ptr;
  }
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
