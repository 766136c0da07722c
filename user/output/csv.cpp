// SPDX-License-Identifier: BSD-3-Clause
#include "output/csv.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "output/number.h"

namespace flowmeter {
namespace {

char* put_cell(char* at, const Cell& cell) {
  switch (cell.kind()) {
    case Cell::Kind::kInteger:
      // The getters' only negative integer is -1; counters use all 64 bits.
      if (cell.integer() == -1) {
        *at++ = '-';
        *at++ = '1';
        return at;
      }
      return std::to_chars(at, at + 20, static_cast<uint64_t>(cell.integer())).ptr;
    case Cell::Kind::kReal:
      return put_real(at, cell.real());
    case Cell::Kind::kNanoseconds:
      return put_seconds(at, cell.nanoseconds());
    case Cell::Kind::kText:
      // More than its size: a copy of a size known here is a few stores, and the row's bound has
      // the room.
      std::memcpy(at, cell.text().data(), Cell::kShortText);
      if (cell.text().size() > Cell::kShortText)
        std::memcpy(at, cell.text().data(), Cell::kMaxText);
      return at + cell.text().size();
  }
  return at;
}

}  // namespace

Result<std::unique_ptr<CsvSink>> CsvSink::open(const std::string& path, std::vector<Column> columns,
                                               size_t buffer_bytes, bool append) {
  std::string header;
  for (const Column& column : columns) header.append(column.name) += ',';
  header.back() = '\n';
  // put_cell copies texts at their full size: the last cell of a row, too, must have room.
  const size_t bound = std::max(columns.size() * (Cell::kMaxText + 1), header.size());
  auto file = append ? OutputFile::open_to_append(path, header, bound, buffer_bytes)
                     : OutputFile::open(path, bound, buffer_bytes);
  if (!file) return file.error();
  return std::unique_ptr<CsvSink>(new CsvSink(std::move(*file), header, std::move(columns)));
}

CsvSink::CsvSink(OutputFile file, const std::string& header, std::vector<Column> columns)
    : file_(std::move(file)), columns_(std::move(columns)) {
  if (file_.has_header()) return;
  std::memcpy(file_.at(), header.data(), header.size());
  file_.end_header(file_.at() + header.size());
}

void CsvSink::write(const FlowRecord& record) {
  char* at = file_.at();
  for (const Column& column : columns_) {
    at = put_cell(at, column.get(record));
    *at++ = ',';
  }
  at[-1] = '\n';
  file_.end_row(at);
}

}  // namespace flowmeter
