// SPDX-License-Identifier: BSD-3-Clause
// How a finished flow becomes a row of text. A format knows nothing of where rows go, and a sink
// nothing of what they say, but that a row ends with its only line feed.
#pragma once

#include <cstddef>

#include "flows/flow_record.h"

namespace flowmeter {

class RowFormat {
 public:
  virtual ~RowFormat() = default;

  // Writes what a file begins with; returns its end. Nothing, if there is no such thing.
  virtual char* put_header(char* at) const = 0;
  // Writes a row; returns its end.
  virtual char* put_row(char* at, const FlowRecord& record) const = 0;
  // No header and no row is longer.
  virtual size_t bound() const = 0;
};

}  // namespace flowmeter
