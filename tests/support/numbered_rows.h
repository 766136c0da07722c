// SPDX-License-Identifier: BSD-3-Clause
// Rows that are easy to tell apart: numbered, and of 100 bytes each.
#pragma once

#include <string>

#include "output/row_format.h"

namespace flowmeter::testing {

class NumberedRows final : public RowFormat {
 public:
  static constexpr char kHeader[] = "number\n";

  explicit NumberedRows(unsigned first = 0) : next_(first) {}
  static std::string row(unsigned number) {
    const std::string text = std::to_string(number);
    return text + std::string(99 - text.size(), '.') + "\n";
  }
  static std::string rows(unsigned from, unsigned to) {
    std::string text;
    for (; from < to; from++) text += row(from);
    return text;
  }

  std::string header() const override { return kHeader; }
  char* put_row(char* at, const FlowRecord&) const override {
    return at + row(next_++).copy(at, 100);
  }
  size_t bound() const override { return 100; }

 private:
  mutable unsigned next_;
};

}  // namespace flowmeter::testing
