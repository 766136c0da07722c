// SPDX-License-Identifier: BSD-3-Clause
// Formats a finished flow as a row of text. A format does not know where rows go, and a sink knows
// only that a row ends with its only line feed.
#pragma once

#include <cstddef>

#include "flows/flow_record.h"

namespace flowmeter {

class RowFormat {
 public:
  virtual ~RowFormat() = default;

  // Writes the start of a file, if the format has one. Returns its end.
  virtual char* put_header(char* at) const = 0;
  // Writes a row; returns its end.
  virtual char* put_row(char* at, const FlowRecord& record) const = 0;
  // The most bytes that a header or a row can have.
  virtual size_t bound() const = 0;
};

}  // namespace flowmeter
