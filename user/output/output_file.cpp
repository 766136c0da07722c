// SPDX-License-Identifier: BSD-3-Clause
#include "output/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "output/file_lock.h"
#include "output/kept_rows.h"
#include "output/output_mode.h"
#include "output/row_text.h"

namespace flowmeter {

Result<OutputFile> OutputFile::open(const std::string& path, size_t row_bound,
                                    const Options& options, Host* host) {
  UniqueFd fd(path == "-" ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                          : ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kOutputMode));
  if (!fd) return Error{"cannot write output " + path, errno};
  if (path != "-")
    if (Status locked = lock_file(fd.get(), path); !locked) return locked.error();
  return OutputFile(std::move(fd), path, row_bound, options, host);
}

Result<OutputFile> OutputFile::open_to_append(const std::string& path, const RowFormat& format,
                                              const Options& options, Host& host) {
  const std::string header = format.header();
  const auto failed = [&] { return Error{"cannot append to output " + path, errno}; };
  struct stat there {};
  // A pipe that is open for reading, too, would never lose its reader.
  const bool is_read = ::stat(path.c_str(), &there) != 0 || S_ISREG(there.st_mode);
  UniqueFd fd(::open(path.c_str(), (is_read ? O_RDWR : O_WRONLY) | O_CREAT | O_APPEND | O_CLOEXEC,
                     kOutputMode));
  if (!fd) return failed();
  if (Status locked = lock_file(fd.get(), path); !locked) return locked.error();
  OutputFile file(std::move(fd), path, header.size() + format.bound(), options, &host);
  struct stat status {};
  if (::fstat(file.fd_.get(), &status) != 0) return failed();
  file.appends_ = file.is_regular_;
  if (!file.appends_ || status.st_size == 0) return file;
  auto start = read_at(file.fd_.get(), 0, header.size() + format.bound());
  if (!start) return failed();
  if (!format.recognizes(*start)) return not_our_rows(path);
  auto kept = end_of_rows(file.fd_.get(), status.st_size);
  if (!kept) return failed();
  file.kept_bytes_ = *kept;
  file.header_bytes_ = static_cast<off_t>(header.size());
  host.log_info("appending to " + path + ", " + rows_there(file.fd_.get(), *kept, header));
  return file;
}

OutputFile::OutputFile(UniqueFd fd, std::string path, size_t row_bound, const Options& options,
                       Host* host)
    : fd_(std::move(fd)),
      path_(std::move(path)),
      row_bound_(row_bound),
      options_(options),
      host_(host),
      buffer_(std::make_unique_for_overwrite<char[]>(options.buffer_bytes + row_bound)),
      capacity_(options.buffer_bytes),
      threshold_(options.buffer_bytes) {
  struct stat status {};
  is_regular_ = ::fstat(fd_.get(), &status) == 0 && S_ISREG(status.st_mode);
  if (is_regular_ && options.most_waiting > 0) outage_.emplace(path_, *host);
}

OutputFile::~OutputFile() {
  if (fd_ && is_regular_ && path_ != "-") unlock_file(fd_.get());
}

void OutputFile::end_header(const char* end) {
  filled_ = static_cast<size_t>(end - buffer_.get());
  header_buffered_ = filled_ > 0;
}

// Called when a row has filled the buffer.
void OutputFile::make_room(size_t newest_row) {
  if (!options_.commits) drain();
  if (filled_ < threshold_) return;
  if (options_.commits) return grow(2 * capacity_);
  if (capacity_ < options_.most_waiting)
    return grow(std::min(2 * capacity_, options_.most_waiting));
  filled_ -= newest_row;
  rows_buffered_--;
  rows_dropped_++;
  if (!told_dropping_)
    host_->log_warning("output " + path_ +
                       ": rows are dropped, because more than --output-queue wait");
  told_dropping_ = true;
}

void OutputFile::grow(size_t capacity) {
  auto larger = std::make_unique_for_overwrite<char[]>(capacity + row_bound_);
  std::memcpy(larger.get(), buffer_.get(), filled_);
  buffer_ = std::move(larger);
  capacity_ = threshold_ = capacity;
}

// Removes what is not kept of the old contents.
Status OutputFile::begin() {
  if (std::exchange(begun_, true) || !is_regular_ || path_ == "-") return Done{};
  struct stat status {};
  if (::fstat(fd_.get(), &status) != 0) return Error{"cannot append to output " + path_, errno};
  if (status.st_size == kept_bytes_) return Done{};
  if (appends_ && status.st_size > kept_bytes_)
    host_->log_info(cut_text(path_, fd_.get(), kept_bytes_, status.st_size));
  if (::ftruncate(fd_.get(), kept_bytes_) != 0)
    return Error{"cannot append to output " + path_, errno};
  return Done{};
}

Status OutputFile::resume(const LastCommit& last) {
  struct stat status {};
  if (!appends_ || ::fstat(fd_.get(), &status) != 0) return Done{};
  const fm_output_position* const position = position_of(status, last);
  if (!position && status.st_size > 0 && is_of_killed(last))
    host_->log_warning(not_in_commit(path_));
  if (position && !last.ended) {
    const off_t bytes = std::max(static_cast<off_t>(position->bytes), header_bytes_);
    if (bytes > status.st_size)
      host_->log_warning(shorter_than_commit(path_, bytes - status.st_size));
    auto kept = end_of_rows(fd_.get(), std::min(kept_bytes_, bytes));
    if (!kept) return Error{"cannot append to output " + path_, kept.error().os_error};
    kept_bytes_ = *kept;
  }
  return begin();
}

void OutputFile::drain() {
  flushed_ = filled_;
  rows_flushed_ = rows_buffered_;
  write_flushed();
}

void OutputFile::write_flushed() {
  if (outage_ && !outage_->may_try()) return;
  if (!begun_)
    if (Status begun = begin(); !begun) write_error_ = begun.error().os_error;
  if (write_error_ != 0) return give_up(write_error_);
  const std::string_view rows(buffer_.get(), flushed_);
  const size_t done = write_all(fd_.get(), rows);
  const int os_error = done < rows.size() ? errno : 0;
  note_written(done);
  if (os_error == 0) {
    if (outage_) outage_->note_success();
  } else if (outage_) {
    outage_->note_failure(os_error);
  } else {
    give_up(os_error);
  }
}

// Removes bytes from the start of the buffer, which are in the file now.
void OutputFile::note_written(size_t bytes) {
  const std::string_view written(buffer_.get(), bytes), whole = whole_rows(written);
  uint64_t rows = rows_flushed_;
  if (bytes < flushed_) {
    rows = count_rows(whole);
    if (header_buffered_ && rows > 0) rows--;
    rows = std::min(rows, rows_flushed_);  // a table repeats its header
  }
  if (!whole.empty()) {
    header_buffered_ = false;
    incomplete_bytes_ = 0;
  }
  incomplete_bytes_ += written.size() - whole.size();
  rows_written_ += rows;
  rows_flushed_ -= rows;
  rows_buffered_ -= rows;
  flushed_ -= bytes;
  filled_ -= bytes;
  if (filled_ > 0 && bytes > 0) std::memmove(buffer_.get(), buffer_.get() + bytes, filled_);
  if (flushed_ == 0) threshold_ = options_.commits ? capacity_ : options_.buffer_bytes;
}

// After the last error nothing more is written, because the file would have a hole if a full disk
// gets space again. If possible, an incomplete row at its end is removed.
void OutputFile::give_up(int os_error) {
  write_error_ = os_error;
  struct stat status {};
  if (incomplete_bytes_ > 0 && is_regular_ && ::fstat(fd_.get(), &status) == 0)
    (void)!::ftruncate(fd_.get(), status.st_size - static_cast<off_t>(incomplete_bytes_));
  incomplete_bytes_ = 0;
  rows_dropped_ += rows_buffered_;
  filled_ = flushed_ = 0;
  rows_buffered_ = rows_flushed_ = 0;
  header_buffered_ = false;
}

Status OutputFile::flush() {
  drain();
  return write_error_ == 0 ? Done{} : result();
}

Status OutputFile::retry() {
  if (flushed_ > 0) write_flushed();
  return write_error_ == 0 ? Done{} : result();
}

Status OutputFile::finish() {
  const auto deadline = RowQueue::now() + options_.patience;
  for (;;) {
    (void)!flush();
    if (filled_ == 0) break;
    if (RowQueue::now() >= deadline) {
      give_up(outage_->os_error());
      break;
    }
    if (outage_->lasts()) std::this_thread::sleep_until(std::min(outage_->next_try(), deadline));
  }
  return result();
}

Status OutputFile::result() const {
  if (write_error_ != 0)
    return Error{"cannot write output " + path_ + " (" + std::to_string(rows_written_) +
                     " rows are in it, " + std::to_string(rows_dropped_) + " are lost)",
                 write_error_};
  if (rows_dropped_ > 0)
    return Error{"output " + path_ + ": " + std::to_string(rows_dropped_) +
                 " rows were dropped while it could not be written (--output-queue makes room for "
                 "more)"};
  return Done{};
}

void OutputFile::positions(std::vector<fm_output_position>& all) const {
  struct stat status {};
  if (path_ != "-" && is_regular_ && ::fstat(fd_.get(), &status) == 0)
    all.push_back(position_in(status, static_cast<uint64_t>(status.st_size)));
}

OutputAccount OutputFile::account() const {
  OutputAccount account;
  account.name = path_;
  account.rows = rows_written_ + rows_buffered_ + rows_dropped_;
  account.written = rows_written_;
  account.dropped = rows_dropped_;
  account.waiting_bytes = filled_;
  account.up = !failed() && !(outage_ && outage_->lasts());
  return account;
}

}  // namespace flowmeter
