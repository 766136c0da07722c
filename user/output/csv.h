// SPDX-License-Identifier: BSD-3-Clause
// CSV of finished flows (RFC 4180): UTF-8, comma, line feed. Only the label may need quotes, since
// no other cell can contain a comma or a line end. There is always a header row.
#pragma once

#include <string>
#include <vector>

#include "features/column.h"
#include "output/row_format.h"
#include "output/row_style.h"

namespace flowmeter {

struct OutputKind;
extern const OutputKind kCsvOutput;

class CsvFormat final : public RowFormat {
 public:
  explicit CsvFormat(const std::vector<Column>& columns, RowStyle style = {});

  std::string header() const override { return header_; }
  char* put_row(char* at, const FlowRecord& record) const override;
  size_t bound() const override { return bound_; }

 private:
  std::vector<Getter> getters_;  // contiguous, because a row is a loop over them
  const RowStyle style_;
  std::string header_;
  std::string row_end_;  // the text after the last cell: the label and the line feed
  size_t bound_ = 0;
};

}  // namespace flowmeter
