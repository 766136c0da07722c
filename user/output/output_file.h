// SPDX-License-Identifier: BSD-3-Clause
// Rows of text to a file or standard output, through one buffer. What a file held goes with the
// first flush and not before: a run that fails at its start destroys nothing. After an error
// nothing more is written, a row that was cut is taken back where that can be done, and what is
// lost is counted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace flowmeter {

class OutputFile {
 public:
  // Creates path, or will replace what it holds ("-" is standard output). row_bound: the longest
  // row or header in octets. buffer_bytes: rows wait for the operating system in no more than this
  // (and one row).
  static Result<OutputFile> open(const std::string& path, size_t row_bound,
                                 size_t buffer_bytes = kDefaultBuffer);
  static constexpr size_t kDefaultBuffer = 256 * 1024;

  // The same, but what the file holds stays, and rows go behind it. That is refused unless it is
  // empty or its first line is this header (with its line end). A last row without a line end is
  // one that was cut: it is taken back.
  static Result<OutputFile> open_to_append(const std::string& path, std::string_view header,
                                           size_t row_bound, size_t buffer_bytes = kDefaultBuffer);
  // Whether the header is there already.
  bool has_header() const { return has_header_; }

  // Where the next row goes.
  char* at() { return buffer_.get() + filled_; }
  // end: behind the line end of the header, which comes first and is not a row.
  void end_header(const char* end);
  void end_row(const char* end);

  bool failed() const { return write_error_ != 0; }
  // Also of nothing: the file is then empty.
  Status flush();
  // Whole rows that the operating system has taken.
  uint64_t rows_written() const { return rows_written_; }

 private:
  OutputFile(UniqueFd fd, std::string path, size_t row_bound, size_t buffer_bytes);
  void drain();

  UniqueFd fd_;
  std::string path_;
  size_t buffer_bytes_;
  std::unique_ptr<char[]> buffer_;
  size_t filled_ = 0;
  uint64_t rows_buffered_ = 0;
  bool header_buffered_ = false;
  bool has_header_ = false;
  bool begun_ = false;  // something was written, or is to stay
  uint64_t rows_written_ = 0;
  uint64_t rows_lost_ = 0;
  int write_error_ = 0;
};

}  // namespace flowmeter
