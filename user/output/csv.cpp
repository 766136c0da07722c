// SPDX-License-Identifier: BSD-3-Clause
#include "output/csv.h"

#include <algorithm>
#include <cstring>

#include "output/cell_text.h"

namespace flowmeter {
namespace {

char* put_cell(char* at, const Cell& cell) {
  if (cell.kind() != Cell::Kind::kText) return put_number(at, cell);
  // More than its size: a copy of a size known here is a few stores, and the row's bound has the
  // room.
  std::memcpy(at, cell.text().data(), Cell::kShortText);
  if (cell.text().size() > Cell::kShortText) std::memcpy(at, cell.text().data(), Cell::kMaxText);
  return at + cell.text().size();
}

}  // namespace

CsvFormat::CsvFormat(std::vector<Column> columns) : columns_(std::move(columns)) {
  // put_cell copies texts at their full size: the last cell of a row, too, must have room.
  const size_t row_bound = columns_.size() * (Cell::kMaxText + 1);
  size_t header_bound = 0;
  for (const Column& column : columns_) header_bound += column.name.size() + 1;
  bound_ = std::max(row_bound, header_bound);
}

char* CsvFormat::put_header(char* at) const {
  for (const Column& column : columns_) {
    std::memcpy(at, column.name.data(), column.name.size());
    at += column.name.size();
    *at++ = ',';
  }
  at[-1] = '\n';
  return at;
}

char* CsvFormat::put_row(char* at, const FlowRecord& record) const {
  for (const Column& column : columns_) {
    at = put_cell(at, column.get(record));
    *at++ = ',';
  }
  at[-1] = '\n';
  return at;
}

}  // namespace flowmeter
