// SPDX-License-Identifier: BSD-3-Clause
#include "output/csv.h"

#include <algorithm>
#include <cstring>

#include "output/cell_text.h"
#include "output/output_kind.h"

namespace flowmeter {
namespace {

// Quoted where RFC 4180, section 2, requires it.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"") == std::string::npos) return text;
  std::string out(1, '"');
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  out.push_back('"');
  return out;
}

char* put_cell(char* at, const Cell& cell, const RowStyle& style) {
  if (cell.kind() != Cell::Kind::kText) return put_number(at, cell, style);
  if (cell.is_lasting()) return std::copy(cell.text().begin(), cell.text().end(), at);
  // Copies more than the text, because a copy of constant size is only a few stores. The row's
  // bound includes the space for it.
  std::memcpy(at, cell.text().data(), Cell::kShortText);
  if (cell.text().size() > Cell::kShortText) std::memcpy(at, cell.text().data(), Cell::kMaxText);
  return at + cell.text().size();
}

}  // namespace

CsvFormat::CsvFormat(const std::vector<Column>& columns, RowStyle style)
    : style_(std::move(style)) {
  for (const Column& column : style_.written(columns)) {
    getters_.push_back(column.get);
    // put_cell copies a constant size, so the last cell of a row needs that space, too.
    bound_ += std::max(column.max_text, Cell::kMaxText) + 1;
    if (!header_.empty()) header_.push_back(',');
    header_.append(style_.name_of(column));
  }
  if (style_.label) {
    header_.append(",label");
    row_end_.append(",").append(quoted(*style_.label));
  }
  header_.push_back('\n');
  row_end_.push_back('\n');
  bound_ += row_end_.size();
}

char* CsvFormat::put_row(char* at, const FlowRecord& record) const {
  for (const Getter get : getters_) {
    at = put_cell(at, get(record), style_);
    *at++ = ',';
  }
  at--;
  std::memcpy(at, row_end_.data(), row_end_.size());
  return at + row_end_.size();
}

constinit const OutputKind kCsvOutput = {
    .names = "-c,--csv",
    .type = "FILE",
    .help =
        "Write the flows as CSV; - is standard output, the\n"
        "default if it is not a terminal (realtime97: append\n"
        "to output/live_flow_features.csv)",
    .may_be_bare = true,  // a flag of the Python cicflowmeter
    .format = format_of<CsvFormat>,
};

}  // namespace flowmeter
