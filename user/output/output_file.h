// SPDX-License-Identifier: BSD-3-Clause
// Writes rows of text to a file or to standard output, through one buffer. The old contents of the
// file are removed by the first flush, not when it is opened, so a run that fails at its start
// destroys nothing. After an error nothing more is written, an incomplete row is removed if
// possible, and lost rows are counted.
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
  // Creates path, or replaces its contents at the first flush ("-" is standard output). row_bound:
  // bytes of the header and the longest row. buffer_bytes: bytes of rows that may wait for the
  // operating system (and one row).
  static Result<OutputFile> open(const std::string& path, size_t row_bound,
                                 size_t buffer_bytes = kDefaultBuffer);
  static constexpr size_t kDefaultBuffer = 256 * 1024;

  // The same, but rows are appended to the file's contents. Fails unless the file is empty or its
  // first line is this header (with its line end). A last row without a line end is incomplete, and
  // is removed.
  static Result<OutputFile> open_to_append(const std::string& path, std::string_view header,
                                           size_t row_bound, size_t buffer_bytes = kDefaultBuffer);
  // Whether the file has the header already.
  bool has_header() const { return has_header_; }

  // Where to write the next row.
  char* at() { return buffer_.get() + filled_; }
  // Adds the row. end: the position after its line end. The header comes first, and is not a row.
  void end_header(const char* end);
  void end_row(const char* end);

  bool failed() const { return write_error_ != 0; }
  // Without any rows, this makes the file empty.
  Status flush();
  // The number of whole rows that the operating system has accepted.
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
  bool begun_ = false;  // something was written, or old contents are kept
  uint64_t rows_written_ = 0;
  uint64_t rows_lost_ = 0;
  int write_error_ = 0;
};

}  // namespace flowmeter
