// SPDX-License-Identifier: BSD-3-Clause
// CSV of finished flows: UTF-8, comma, line feed, no quotes (no cell can hold a comma or a line
// end). The header row is always there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "features/column.h"
#include "output/output_file.h"

namespace flowmeter {

class CsvSink final : public RecordSink {
 public:
  // Creates path, or will replace what it holds with the first flush ("-" is standard output). The
  // header row comes first.
  // buffer_bytes: rows wait for the operating system in no more than this (and one row).
  // append: rows go behind those that path holds (OutputFile::open_to_append).
  static Result<std::unique_ptr<CsvSink>> open(const std::string& path, std::vector<Column> columns,
                                               size_t buffer_bytes = OutputFile::kDefaultBuffer,
                                               bool append = false);

  void write(const FlowRecord& record) override;
  bool failed() const override { return file_.failed(); }
  Status flush() override { return file_.flush(); }

  // Whole rows that the operating system has taken.
  uint64_t rows_written() const { return file_.rows_written(); }

 private:
  CsvSink(OutputFile file, const std::string& header, std::vector<Column> columns);

  OutputFile file_;
  std::vector<Column> columns_;
};

}  // namespace flowmeter
