// SPDX-License-Identifier: BSD-3-Clause
#include "output/csv.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

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
      // All of it: a copy of a size known here is a few stores, and row_bound_ has the room.
      std::memcpy(at, cell.text().data(), Cell::kMaxText);
      return at + cell.text().size();
  }
  return at;
}

}  // namespace

Result<std::unique_ptr<CsvSink>> CsvSink::open(const std::string& path,
                                               std::vector<Column> columns, size_t buffer_bytes) {
  const int fd = path == "-" ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                             : ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return Error{"cannot write output " + path, errno};
  std::unique_ptr<CsvSink> sink(new CsvSink(UniqueFd(fd), path, std::move(columns), buffer_bytes));
  sink->put_header();
  return sink;
}

CsvSink::CsvSink(UniqueFd fd, std::string path, std::vector<Column> columns, size_t buffer_bytes)
    : fd_(std::move(fd)),
      path_(std::move(path)),
      columns_(std::move(columns)),
      row_bound_(columns_.size() * (Cell::kMaxText + 1)),
      buffer_bytes_(buffer_bytes) {
  size_t header_bound = 0;
  for (const Column& column : columns_) header_bound += column.name.size() + 1;
  buffer_ =
      std::make_unique_for_overwrite<char[]>(buffer_bytes_ + std::max(row_bound_, header_bound));
}

void CsvSink::put_header() {
  for (const Column& column : columns_) {
    std::memcpy(buffer_.get() + filled_, column.name.data(), column.name.size());
    filled_ += column.name.size();
    buffer_[filled_++] = ',';
  }
  buffer_[filled_ - 1] = '\n';
  header_buffered_ = true;
}

void CsvSink::write(const FlowRecord& record) {
  char* at = buffer_.get() + filled_;
  for (const Column& column : columns_) {
    at = put_cell(at, column.get(record));
    *at++ = ',';
  }
  at[-1] = '\n';
  filled_ = static_cast<size_t>(at - buffer_.get());
  rows_buffered_++;
  if (filled_ >= buffer_bytes_) drain();
}

// After an error nothing more is written: a full disk that gets room again must not leave a hole in
// the file.
void CsvSink::drain() {
  size_t done = 0;
  // What the file held goes with the first write and not before: a run that fails at its start
  // destroys nothing.
  if (!begun_ && path_ != "-") {
    struct stat status {};
    if (::fstat(fd_.get(), &status) == 0 && S_ISREG(status.st_mode) &&
        ::ftruncate(fd_.get(), 0) != 0)
      write_error_ = errno;
  }
  begun_ = true;
  while (done < filled_ && write_error_ == 0) {
    const ssize_t put = ::write(fd_.get(), buffer_.get() + done, filled_ - done);
    if (put >= 0) {
      done += static_cast<size_t>(put);
    } else if (errno == EAGAIN) {  // a pipe that its other end has made non-blocking
      struct pollfd writable {
        fd_.get(), POLLOUT, 0
      };
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      write_error_ = errno;
    }
  }
  if (write_error_ == 0) {
    rows_written_ += rows_buffered_;
  } else {
    // Of a row that was cut, the part that is in the file is taken back where that can be done.
    size_t whole = done;
    while (whole > 0 && buffer_[whole - 1] != '\n') whole--;
    struct stat status {};
    if (done > whole && ::fstat(fd_.get(), &status) == 0 && S_ISREG(status.st_mode))
      (void)!::ftruncate(fd_.get(), status.st_size - static_cast<off_t>(done - whole));
    auto whole_rows = static_cast<uint64_t>(std::count(buffer_.get(), buffer_.get() + whole, '\n'));
    if (header_buffered_ && whole_rows > 0) whole_rows--;
    rows_written_ += whole_rows;
    rows_lost_ += rows_buffered_ - whole_rows;
  }
  filled_ = 0;
  rows_buffered_ = 0;
  header_buffered_ = false;
}

Status CsvSink::flush() {
  drain();
  if (write_error_ == 0) return Done{};
  return Error{"cannot write output " + path_ + " (" + std::to_string(rows_written_) +
                   " rows are in it, " + std::to_string(rows_lost_) + " are lost)",
               write_error_};
}

}  // namespace flowmeter
