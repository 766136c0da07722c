// SPDX-License-Identifier: BSD-3-Clause
// Writes rows to a file on the thread that makes them: for files where a write is a copy to the
// page cache, and for pipes if the run should wait for the reader. Flushed rows are kept if the
// program is killed.
#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "output/output_file.h"
#include "output/row_format.h"

namespace flowmeter {

class FileSink final : public RecordSink {
 public:
  // What happens to the rows that are in the file: the first flush replaces them, or new rows are
  // appended to them (OutputFile::open_to_append).
  enum class OldRows { kReplaced, kKept };

  // Creates or opens path ("-" is standard output). The format's header comes first.
  // buffer_bytes: bytes of rows that may wait for the operating system (and one row).
  static Result<std::unique_ptr<FileSink>> open(const std::string& path,
                                                std::unique_ptr<RowFormat> format,
                                                size_t buffer_bytes = OutputFile::kDefaultBuffer,
                                                OldRows old_rows = OldRows::kReplaced) {
    const std::string header = format->header();
    const size_t bound = header.size() + format->bound();
    auto file = old_rows == OldRows::kKept
                    ? OutputFile::open_to_append(path, header, bound, buffer_bytes)
                    : OutputFile::open(path, bound, buffer_bytes);
    if (!file) return file.error();
    if (!file->has_header()) file->end_header(std::copy(header.begin(), header.end(), file->at()));
    return std::unique_ptr<FileSink>(new FileSink(std::move(*file), std::move(format)));
  }

  void write(const FlowRecord& record) override {
    file_.end_row(format_->put_row(file_.at(), record));
  }
  bool failed() const override { return file_.failed(); }
  Status flush() override { return file_.flush(); }

  // The number of whole rows that the operating system has accepted.
  uint64_t rows_written() const { return file_.rows_written(); }

 private:
  FileSink(OutputFile file, std::unique_ptr<RowFormat> format)
      : file_(std::move(file)), format_(std::move(format)) {}

  OutputFile file_;
  std::unique_ptr<RowFormat> format_;
};

}  // namespace flowmeter
