// SPDX-License-Identifier: BSD-3-Clause
// Writes rows of text to a file or to standard output, through one buffer. The old contents of the
// file are removed by the first flush, not when it is opened, so a run that fails at its start
// destroys nothing. A regular file is locked, so that no other run writes it.
//
// If a write fails, later rows may wait in the buffer until the file accepts them (most_waiting).
// Otherwise nothing more is written after an error. Rows that the file did not get are counted, and
// an incomplete row is removed if possible.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/host.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "flowmeter/abi.h"
#include "output/outage.h"
#include "output/row_format.h"

namespace flowmeter {

class OutputFile {
 public:
  static constexpr size_t kDefaultBuffer = 256 * 1024;
  struct Options {
    // Rows are written when this is full (and one row more).
    size_t buffer_bytes = kDefaultBuffer;
    // The most bytes that wait for a regular file that accepts none; further rows are dropped. 0:
    // the first error is final.
    size_t most_waiting = 0;
    // Rows are written only by flush(), and wait for it without a limit (RecordSink::resume).
    bool commits = false;
    // How long finish() tries to write what waits.
    RowQueue::Duration patience{};
  };

  // Creates path, or replaces its contents at the first flush ("-" is standard output). row_bound:
  // bytes of the header and the longest row.
  static Result<OutputFile> open(const std::string& path, size_t row_bound) {
    return open(path, row_bound, {}, nullptr);
  }
  // The same. Requires: host outlives it; only without most_waiting it may be null.
  static Result<OutputFile> open(const std::string& path, size_t row_bound, const Options& options,
                                 Host* host);
  // The same, but the rows are appended to those in the file, and the log says so. Fails if they
  // are not of this format. An incomplete row at its end is removed by the first flush.
  static Result<OutputFile> open_to_append(const std::string& path, const RowFormat& format,
                                           const Options& options, Host& host);
  ~OutputFile();
  OutputFile(OutputFile&&) = default;
  OutputFile& operator=(OutputFile&&) = delete;

  // Whether the file has the header already.
  bool has_header() const { return kept_bytes_ > 0; }

  // Where to write the next row.
  char* at() { return buffer_.get() + filled_; }
  // Adds the row. end: the position after its line end. The header comes first, and is not a row.
  void end_header(const char* end);
  void end_row(const char* end) {
    const auto bytes = static_cast<size_t>(end - at());
    filled_ += bytes;
    rows_buffered_++;
    if (filled_ >= threshold_) make_room(bytes);
  }

  bool failed() const { return write_error_ != 0; }
  // Writes the rows, or tries again. Without any rows, this makes the file empty.
  Status flush();
  // Writes the last rows, and tries for `patience`.
  Status finish();

  // RecordSink::retry(), resume(), safe(), full() and positions().
  Status retry();
  Status resume(const LastCommit& last);
  bool safe() const { return !options_.commits || flushed_ == 0; }
  bool full() const { return filled_ >= options_.most_waiting; }
  void positions(std::vector<fm_output_position>& all) const;

  // The number of whole rows that the operating system has accepted.
  uint64_t rows_written() const { return rows_written_; }
  OutputAccount account() const;
  uint64_t rows_buffered() const { return rows_buffered_; }

 private:
  OutputFile(UniqueFd fd, std::string path, size_t row_bound, const Options& options, Host* host);
  Status begin();
  void drain();
  void write_flushed();
  void note_written(size_t bytes);
  void give_up(int os_error);
  void make_room(size_t newest_row);
  void grow(size_t capacity);
  Status result() const;

  UniqueFd fd_;
  std::string path_;
  size_t row_bound_;
  Options options_;
  Host* host_;
  bool is_regular_ = false;
  std::optional<Outage> outage_;  // none: the first error is final

  std::unique_ptr<char[]> buffer_;  // capacity_ + row_bound_
  size_t capacity_, threshold_;     // where rows are added, and where make_room() is called
  size_t filled_ = 0;
  size_t flushed_ = 0;  // of these bytes; the file has not accepted them yet
  uint64_t rows_buffered_ = 0, rows_flushed_ = 0;
  bool header_buffered_ = false;

  bool begun_ = false;  // the old contents were removed, or cut to those that are kept
  bool appends_ = false;
  off_t kept_bytes_ = 0;
  off_t header_bytes_ = 0;       // of the kept ones
  size_t incomplete_bytes_ = 0;  // of a row at the end of the file
  uint64_t rows_written_ = 0, rows_dropped_ = 0;
  bool told_dropping_ = false;
  int write_error_ = 0;
};

}  // namespace flowmeter
