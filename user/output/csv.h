// SPDX-License-Identifier: BSD-3-Clause
// CSV of finished flows: UTF-8, comma, line feed, no quotes (no cell can hold a comma or a line
// end). The header row is always there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "features/column.h"

namespace flowmeter {

class CsvSink final : public RecordSink {
 public:
  // Creates path, or will replace what it holds with the first flush ("-" is standard output). The
  // header row comes first.
  // buffer_bytes: rows wait for the operating system in no more than this (and one row).
  static Result<std::unique_ptr<CsvSink>> open(const std::string& path, std::vector<Column> columns,
                                               size_t buffer_bytes = kDefaultBuffer);
  static constexpr size_t kDefaultBuffer = 256 * 1024;

  void write(const FlowRecord& record) override;
  bool failed() const override { return write_error_ != 0; }
  Status flush() override;

  // Whole rows that the operating system has taken.
  uint64_t rows_written() const { return rows_written_; }

 private:
  CsvSink(UniqueFd fd, std::string path, std::vector<Column> columns, size_t buffer_bytes);
  void put_header();
  void drain();

  UniqueFd fd_;
  std::string path_;
  std::vector<Column> columns_;
  size_t row_bound_;
  size_t buffer_bytes_;
  std::unique_ptr<char[]> buffer_;
  size_t filled_ = 0;
  uint64_t rows_buffered_ = 0;
  bool header_buffered_ = false;
  bool begun_ = false;  // something was written
  uint64_t rows_written_ = 0;
  uint64_t rows_lost_ = 0;
  int write_error_ = 0;
};

}  // namespace flowmeter
