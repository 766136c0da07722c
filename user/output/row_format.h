// SPDX-License-Identifier: BSD-3-Clause
// Formats a finished flow as a row of text. A format does not know where rows go, and a sink knows
// only that a row ends with its only line feed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "flows/flow_record.h"

namespace flowmeter {

class RowFormat {
 public:
  virtual ~RowFormat() = default;

  // The start of a file; empty: the format has none.
  virtual std::string header() const { return ""; }
  // Writes a row; returns its end.
  virtual char* put_row(char* at, const FlowRecord& record) const = 0;
  // The most bytes that a row can have.
  virtual size_t bound() const = 0;
  // Whether a file that starts with this text, which may be cut anywhere, can have rows of this
  // format with the same columns.
  virtual bool recognizes(std::string_view start) const {
    const std::string expected = header();
    const size_t size = std::min(start.size(), expected.size());
    return start.substr(0, size) == std::string_view(expected).substr(0, size);
  }
};

}  // namespace flowmeter
