// SPDX-License-Identifier: BSD-3-Clause
// NDJSON of finished flows: one object per line. The members have the names of the columns; numbers
// are JSON numbers, a number without a value is null, and times are ISO 8601 unless the style says
// otherwise.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "features/column.h"
#include "output/row_format.h"
#include "output/row_style.h"

namespace flowmeter {

class JsonFormat final : public RowFormat {
 public:
  explicit JsonFormat(std::vector<Column> columns, RowStyle style = {});

  char* put_row(char* at, const FlowRecord& record) const override;
  size_t bound() const override { return bound_; }
  bool recognizes(std::string_view start) const override;

 private:
  const RowStyle style_;
  const std::vector<Column> columns_;
  std::string row_end_;            // the text after the last value: label, end of the object
  std::vector<std::string> keys_;  // {"src_ip":  ,"dst_ip":  …
  size_t bound_;
};

}  // namespace flowmeter
