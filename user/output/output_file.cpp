// SPDX-License-Identifier: BSD-3-Clause
#include "output/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "output/row_text.h"

namespace flowmeter {
namespace {

// The size of the file up to its last line end, or -1 (errno).
off_t whole_lines(int fd, off_t size) {
  char last = 0;
  while (size > 0) {
    if (::pread(fd, &last, 1, size - 1) != 1) return -1;
    if (last == '\n') break;
    size--;
  }
  return size;
}

}  // namespace

Result<OutputFile> OutputFile::open(const std::string& path, size_t row_bound,
                                    size_t buffer_bytes) {
  const int fd = path == "-" ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                             : ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return Error{"cannot write output " + path, errno};
  return OutputFile(UniqueFd(fd), path, row_bound, buffer_bytes);
}

Result<OutputFile> OutputFile::open_to_append(const std::string& path, std::string_view header,
                                              size_t row_bound, size_t buffer_bytes) {
  const auto failed = [&] { return Error{"cannot append to output " + path, errno}; };
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  struct stat status {};
  if (fd.get() < 0 || ::fstat(fd.get(), &status) != 0) return failed();
  const bool continues = S_ISREG(status.st_mode) && status.st_size > 0;
  if (continues) {
    std::string first(header.size(), '\0');
    const ssize_t got = ::pread(fd.get(), first.data(), first.size(), 0);
    if (got < 0) return failed();
    if (first != header)
      return Error{
          "output " + path +
          " holds something other than rows with these columns: move it away, name another "
          "file (-c), or replace it (--overwrite)"};
    const off_t whole = whole_lines(fd.get(), status.st_size);
    if (whole < 0 || (whole < status.st_size && ::ftruncate(fd.get(), whole) != 0)) return failed();
  }
  OutputFile file(std::move(fd), path, row_bound, buffer_bytes);
  file.has_header_ = continues;
  file.begun_ = true;
  return file;
}

OutputFile::OutputFile(UniqueFd fd, std::string path, size_t row_bound, size_t buffer_bytes)
    : fd_(std::move(fd)),
      path_(std::move(path)),
      buffer_bytes_(buffer_bytes),
      buffer_(std::make_unique_for_overwrite<char[]>(buffer_bytes_ + row_bound)) {}

void OutputFile::end_header(const char* end) {
  filled_ = static_cast<size_t>(end - buffer_.get());
  header_buffered_ = filled_ > 0;
}

void OutputFile::end_row(const char* end) {
  filled_ = static_cast<size_t>(end - buffer_.get());
  rows_buffered_++;
  if (filled_ >= buffer_bytes_) drain();
}

// After an error nothing more is written, because the file would have a hole if a full disk gets
// space again.
void OutputFile::drain() {
  if (!begun_ && path_ != "-") {
    struct stat status {};
    if (::fstat(fd_.get(), &status) == 0 && S_ISREG(status.st_mode) &&
        ::ftruncate(fd_.get(), 0) != 0)
      write_error_ = errno;
  }
  begun_ = true;
  std::string_view written(buffer_.get(), filled_);
  if (write_error_ == 0) {
    written = written.substr(0, write_all(fd_.get(), written));
    if (written.size() < filled_) write_error_ = errno;
  } else {
    written = "";
  }
  if (write_error_ == 0) {
    rows_written_ += rows_buffered_;
  } else {
    // If possible, the incomplete row at the end of the file is removed.
    const std::string_view whole = whole_rows(written);
    const size_t cut = written.size() - whole.size();
    struct stat status {};
    if (cut > 0 && ::fstat(fd_.get(), &status) == 0 && S_ISREG(status.st_mode))
      (void)!::ftruncate(fd_.get(), status.st_size - static_cast<off_t>(cut));
    uint64_t rows = count_rows(whole);
    if (header_buffered_ && rows > 0) rows--;
    rows = std::min(rows, rows_buffered_);  // a table repeats its header
    rows_written_ += rows;
    rows_lost_ += rows_buffered_ - rows;
  }
  filled_ = 0;
  rows_buffered_ = 0;
  header_buffered_ = false;
}

Status OutputFile::flush() {
  drain();
  if (write_error_ == 0) return Done{};
  return Error{"cannot write output " + path_ + " (" + std::to_string(rows_written_) +
                   " rows are in it, " + std::to_string(rows_lost_) + " are lost)",
               write_error_};
}

}  // namespace flowmeter
