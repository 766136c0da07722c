// SPDX-License-Identifier: BSD-3-Clause
// Writes rows to a file on the thread that makes them: for files where a write is a copy to the
// page cache, and for pipes if the run should wait for the reader. Flushed rows are kept if the
// program is killed.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "output/output_file.h"
#include "output/row_format.h"

namespace flowmeter {

class FileSink final : public RecordSink {
 public:
  struct Options : OutputFile::Options {
    // What happens to the rows that are in the file: new ones are appended to them, or the first
    // flush replaces them.
    bool appends = false;
  };

  // Creates or opens path ("-" is standard output). The format's header comes first. Requires: host
  // outlives the sink.
  static Result<std::unique_ptr<FileSink>> open(const std::string& path,
                                                std::unique_ptr<RowFormat> format, Host& host,
                                                const Options& options) {
    const std::string header = format->header();
    auto file = options.appends && path != "-"
                    ? OutputFile::open_to_append(path, *format, options, host)
                    : OutputFile::open(path, header.size() + format->bound(), options, &host);
    if (!file) return file.error();
    if (!file->has_header()) file->end_header(std::copy(header.begin(), header.end(), file->at()));
    return std::unique_ptr<FileSink>(new FileSink(std::move(*file), std::move(format)));
  }

  static Result<std::unique_ptr<FileSink>> open(const std::string& path,
                                                std::unique_ptr<RowFormat> format, Host& host) {
    return open(path, std::move(format), host, Options());
  }

  void write(const FlowRecord& record) override {
    file_.end_row(format_->put_row(file_.at(), record));
  }
  bool failed() const override { return file_.failed(); }
  Status flush() override { return file_.flush(); }
  Status finish() override { return file_.finish(); }

  Status retry() override { return file_.retry(); }
  Status resume(const LastCommit& last) override { return file_.resume(last); }
  bool safe() const override { return file_.safe(); }
  bool full() const override { return file_.full(); }
  void positions(std::vector<fm_output_position>& all) const override { file_.positions(all); }

  std::vector<OutputAccount> accounts() const override { return {file_.account()}; }
  uint64_t rows_unwritten() const override { return file_.rows_buffered(); }

  // The number of whole rows that the operating system has accepted.
  uint64_t rows_written() const { return file_.rows_written(); }

 private:
  FileSink(OutputFile file, std::unique_ptr<RowFormat> format)
      : file_(std::move(file)), format_(std::move(format)) {}

  OutputFile file_;
  std::unique_ptr<RowFormat> format_;
};

}  // namespace flowmeter
