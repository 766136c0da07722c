// SPDX-License-Identifier: BSD-3-Clause
// CSV of finished flows: UTF-8, comma, line feed, no quotes (no cell can hold a comma or a line
// end). The header row is always there.
#pragma once

#include <vector>

#include "features/column.h"
#include "output/row_format.h"

namespace flowmeter {

class CsvFormat final : public RowFormat {
 public:
  explicit CsvFormat(std::vector<Column> columns);

  char* put_header(char* at) const override;
  char* put_row(char* at, const FlowRecord& record) const override;
  size_t bound() const override { return bound_; }

 private:
  std::vector<Column> columns_;
  size_t bound_;
};

}  // namespace flowmeter
