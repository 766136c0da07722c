// SPDX-License-Identifier: BSD-3-Clause
#include "output/whole_files.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/owned_directory.h"
#include "output/file_lock.h"
#include "output/kept_rows.h"
#include "output/output_mode.h"
#include "output/row_text.h"
#include "output/whole_file_names.h"

namespace flowmeter {
namespace {

// Rows of a run that commits gather for this long, so that frames are not tiny. Not longer, because
// the kernel keeps the records of these rows meanwhile.
constexpr RowQueue::Duration kFrameEvery = std::chrono::milliseconds(200);

uint64_t now_s() {
  return static_cast<uint64_t>(std::time(nullptr));
}

// The next time that is a multiple of this since 1970.
uint64_t next_multiple_s(uint64_t seconds) {
  return (now_s() / seconds + 1) * seconds;
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

// Neither follows a link nor waits for the reader of a pipe, which others could have left.
constexpr int kNotOfOthers = O_NOFOLLOW | O_NONBLOCK;

// Whether a file was opened (errno) which others cannot have left.
Status check_opened(const UniqueFd& fd, const std::string& path) {
  if (!fd && errno == ELOOP)
    return Error{"cannot write output " + path + ": it is a symbolic link: remove it"};
  if (!fd) return Error{"cannot write output " + path, errno};
  Status owned = check_owned_file(fd.get(), path);
  if (owned) return owned;
  return Error{"cannot write output " + owned.error().doing, owned.error().os_error};
}

// Renames a file unless there is another with that name (errno).
bool rename_to_free(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  // Some network file systems support no flags.
  return errno == EINVAL && !exists(to) && ::rename(from.c_str(), to.c_str()) == 0;
}

}  // namespace

Result<std::unique_ptr<WholeFiles>> WholeFiles::open(const std::string& path,
                                                     const RowFormat& format,
                                                     const Options& options, Host& host) {
  struct stat status {};
  if (!options.rotation && ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    return Error{"cannot write output " + path +
                 ": it is not a regular file, so it can be neither "
                 "compressed nor replaced"};
  auto files = std::unique_ptr<WholeFiles>(new WholeFiles(path, options, format, host));
  auto compressor = compressor_for(path);
  if (!compressor) return compressor.error();
  files->compressor_ = std::move(*compressor);
  if (options.appends && options.rotation) return files;
  if (options.appends)
    if (Status found = files->find_left(); !found) return found.error();
  if (!files->fd_)
    if (Status begun = files->begin_file(); !begun) return begun.error();
  return files;
}

// Opens the file to go on with, if there is one.
Status WholeFiles::find_left() {
  const std::string left = part_name(path_, 0);
  if (exists(left) && exists(path_))
    return Error{"output " + path_ + ": " + left +
                 ", which a killed run has left, would replace it: move one of them away, or "
                 "replace both (--overwrite)"};
  for (const std::string& name : {left, path_}) {
    UniqueFd fd(::open(name.c_str(), O_RDWR | kNotOfOthers | O_CLOEXEC));
    if (!fd && errno == ENOENT) continue;
    if (Status ours = check_opened(fd, name); !ours) return ours;
    if (Status locked = lock_file(fd.get(), name); !locked) return locked;
    auto goes_on = go_on_with(name, std::move(fd));
    if (!goes_on) return goes_on.error();
    if (!*goes_on) return not_our_rows(name);
    final_name_ = path_;
    return Done{};
  }
  return Done{};
}

// The same with rotation: the file that this run was writing when it was killed. Those of other
// runs stay as they are.
Status WholeFiles::find_left_of_rotation() {
  for (const auto& [final_name, is_part, run] : rotated_files(path_)) {
    if (!is_part || run != run_) continue;
    const std::string name = part_name(final_name, run);
    UniqueFd fd(::open(name.c_str(), O_RDWR | kNotOfOthers | O_CLOEXEC));
    if (Status ours = check_opened(fd, name); !ours) return ours;
    if (!lock_file(fd.get(), name)) continue;
    auto goes_on = go_on_with(name, std::move(fd));
    if (!goes_on) return goes_on.error();
    if (*goes_on)
      final_name_ = final_name;
    else
      host_.log_info(name + " has other columns than this run, and stays as it is");
  }
  return Done{};
}

// Whether the rows of this file are like ours. Then it is the one to go on with.
Result<bool> WholeFiles::go_on_with(const std::string& name, UniqueFd fd) {
  const size_t bytes = header_.size() + format_.bound();
  auto start =
      compressor_ ? decompressed_start(path_, fd.get(), bytes) : read_at(fd.get(), 0, bytes);
  if (!start || !format_.recognizes(*start)) return false;
  fd_ = std::move(fd);
  left_name_ = name;
  return true;
}

Status WholeFiles::resume(const LastCommit& last) {
  if (!options_.appends || std::exchange(resumed_, true)) return Done{};
  if (rotation_) {
    run_ = last.run;
    if (!last.ended) cut_complete_file(last);
    if (Status found = find_left_of_rotation(); !found) return found;
  }
  if (!fd_) return begin_file();
  if (left_name_.empty()) return Done{};
  struct stat file {};
  if (::fstat(fd_.get(), &file) != 0) return Error{"cannot append to output " + left_name_, errno};
  auto kept = committed_bytes(file, last);
  if (!kept) return kept.error();
  return cut_left(*kept, file.st_size);
}

// How much of the file is kept: all before the commit, or all that is whole.
Result<off_t> WholeFiles::committed_bytes(const struct stat& file, const LastCommit& last) {
  const fm_output_position* const position = position_of(file, last);
  // This run has started it after the commit, so it has only rows that come again.
  if (!position && rotation_ && run_ != 0) return 0;
  if (!position && is_of_killed(last)) host_.log_warning(not_in_commit(left_name_));
  const auto committed = position ? static_cast<off_t>(position->bytes) : 0;
  if (committed > file.st_size)
    host_.log_warning(shorter_than_commit(left_name_, committed - file.st_size));
  // Only this run writes its files of a rotation, so all else there is cut, also if it has ended.
  const bool cuts = position && committed <= file.st_size && (!last.ended || rotation_);
  // The commit is at the end of a frame.
  if (compressor_) return cuts ? Result<off_t>(committed) : end_of_frames(path_, fd_.get());
  return end_of_rows(fd_.get(), cuts ? committed : file.st_size);
}

// If a file with its final name has the last commit, what follows it there is cut: a run that could
// not commit any more at its end has written it.
void WholeFiles::cut_complete_file(const LastCommit& last) {
  for (const auto& [name, is_part, run] : rotated_files(path_)) {
    struct stat file {};
    if (is_part || ::stat(name.c_str(), &file) != 0) continue;
    const fm_output_position* const position = position_of(file, last);
    if (!position) continue;
    const auto bytes = static_cast<off_t>(position->bytes);
    const UniqueFd fd(::open(name.c_str(), O_WRONLY | kNotOfOthers | O_CLOEXEC));
    // Nothing at all is no compressed file.
    const auto cut = [&] {
      return bytes > 0 ? ::ftruncate(fd.get(), bytes) : ::unlink(name.c_str());
    };
    if (fd && file.st_size > bytes && cut() == 0)
      host_.log_info(cut_text(name, file.st_size - bytes));
  }
}

// Goes on with the left file after this many bytes.
Status WholeFiles::cut_left(off_t kept, off_t size) {
  const auto failed = [this] { return Error{"cannot append to output " + left_name_, errno}; };
  if (size > kept)
    host_.log_info(compressor_ ? cut_text(left_name_, size - kept)
                               : cut_text(left_name_, fd_.get(), kept, size));
  if (::ftruncate(fd_.get(), kept) != 0 || ::lseek(fd_.get(), kept, SEEK_SET) != kept)
    return failed();
  if (left_name_ == final_name_ && !rename_to_free(final_name_, part())) return failed();
  host_.log_info(
      "appending to " + left_name_ + ", " +
      (compressor_ ? std::to_string(kept) + " bytes there" : rows_there(fd_.get(), kept, header_)));
  file_bytes_ = frames_bytes_ = static_cast<uint64_t>(kept);
  has_old_rows_ = compressor_ ? kept > 0 : file_bytes_ > header_.size();
  start_clock();
  if (kept == 0)
    if (Status begun = put(header_); !begun) return begun;
  publish_position();
  return Done{};
}

Status WholeFiles::begin_file(unsigned tries) {
  const int flags = O_WRONLY | O_CREAT | kNotOfOthers | O_CLOEXEC | (rotation_ ? O_EXCL : 0);
  std::string part;
  for (;; number_++) {
    final_name_ = rotation_ ? rotated_name(path_, number_) : path_;
    if (rotation_ && exists(final_name_)) continue;
    part = this->part();
    fd_ = UniqueFd(::open(part.c_str(), flags, kOutputMode));
    // With rotation, an existing file belongs to another run or was left by a killed run.
    if (fd_ || !rotation_ || errno != EEXIST) break;
  }
  if (Status ours = check_opened(fd_, part); !ours) {
    fd_ = UniqueFd();
    return ours;
  }
  // A file that a killed run left is replaced; one that another run is writing is not.
  if (Status locked = lock_file(fd_.get(), final_name_); !locked) {
    fd_ = UniqueFd();
    return locked.error();
  }
  struct stat ours {};
  struct stat there {};
  if (::fstat(fd_.get(), &ours) != 0 || ::stat(part.c_str(), &there) != 0 ||
      ours.st_ino != there.st_ino) {
    // Another run has just renamed it to its final name. (The number of attempts is limited because
    // some file systems have no stable inode numbers.)
    fd_ = UniqueFd();
    return tries > 0 ? begin_file(tries - 1)
                     : Status(Error{"output " + final_name_ + " is being written by another run"});
  }
  if (::ftruncate(fd_.get(), 0) != 0) return Error{"cannot write output " + part, errno};
  number_++;
  file_bytes_ = frames_bytes_ = file_rows_ = 0;
  has_old_rows_ = false;
  left_name_.clear();
  start_clock();
  if (Status begun = put(header_); !begun) return begun;
  publish_position();
  return Done{};
}

void WholeFiles::start_clock() {
  ends_at_s_ = rotation_ && rotation_->seconds > 0 ? next_multiple_s(rotation_->seconds) : 0;
}

void WholeFiles::publish_position() {
  struct stat file {};
  if (::fstat(fd_.get(), &file) != 0) return;
  const std::lock_guard lock(position_mutex_);
  position_ = position_in(file, compressor_ ? frames_bytes_ : file_bytes_);
}

void WholeFiles::positions(std::vector<fm_output_position>& all) const {
  const std::lock_guard lock(position_mutex_);
  all.push_back(position_);
}

// Waits until the next attempt. False: there is none.
bool WholeFiles::wait_for_disk(int os_error) {
  if (!options_.waits_for_disk || !queue_ || os_error == 0 || queue_->overdue()) return false;
  outage_.note_failure(os_error);
  queue_->pause(outage_.next_try());
  return true;
}

Status WholeFiles::failed(int os_error) {
  if (compressor_ && !options_.commits) {
    written_ -= file_rows_;
    return Error{"cannot write output " + part() +
                     " (its rows cannot be recovered; they and later ones are lost)",
                 os_error};
  }
  return Error{"cannot write output " + final_name_ + " (" + std::to_string(file_rows_) +
                   " rows are in it, others are lost)",
               os_error};
}

// Adds whole rows to the file.
Status WholeFiles::put(std::string_view rows) {
  if (!compressor_) return write(rows);
  compressed_.clear();
  frame_open_ = true;
  if (Status added = compressor_->add(rows, &compressed_); !added) return added;
  return write(compressed_);
}

Status WholeFiles::end_frame() {
  compressed_.clear();
  frame_open_ = false;
  if (Status ended = compressor_->end_frame(&compressed_); !ended) return ended;
  if (Status written = write(compressed_); !written) return written;
  frames_bytes_ = file_bytes_;
  return Done{};
}

Status WholeFiles::write(std::string_view bytes) {
  size_t done = 0;
  while ((done += write_all(fd_.get(), bytes.substr(done))) < bytes.size()) {
    const int os_error = errno;
    if (wait_for_disk(os_error)) continue;
    if (!compressor_) remove_cut_row(bytes.substr(0, done));
    return failed(os_error);
  }
  outage_.note_success();
  file_bytes_ += bytes.size();
  return Done{};
}

// After an error, only whole rows stay in the file. (A compressed file may then end anywhere, but
// does not get its final name.)
void WholeFiles::remove_cut_row(std::string_view written) {
  const std::string_view whole = whole_rows(written);
  const bool is_header = file_bytes_ == 0;
  file_bytes_ += whole.size();
  (void)!::ftruncate(fd_.get(), static_cast<off_t>(file_bytes_));
  if (is_header) return;
  note_rows(whole);
}

void WholeFiles::note_rows(std::string_view rows) {
  const uint64_t count = count_rows(rows);
  file_rows_ += count;
  written_ += count;
}

Status WholeFiles::add(std::string_view rows) {
  while (!rows.empty()) {
    std::string_view piece = rows;
    if (rotation_ && rotation_->bytes > 0) {
      // As many rows as fit, and at least one per file.
      const uint64_t room = rotation_->bytes - std::min(rotation_->bytes, file_bytes_);
      if (compressor_) {
        // Their compressed size is not known, so check again after a few rows.
        piece =
            piece.substr(0, std::max<size_t>(piece.find('\n') + 1, piece.rfind('\n', 4096) + 1));
      } else {
        piece = whole_rows(piece.substr(0, room));
      }
      const bool full = compressor_ ? room == 0 : piece.empty();
      if (full && has_rows()) {
        if (Status begun = next_file(); !begun) return begun;
        continue;
      }
      if (piece.empty()) piece = rows.substr(0, rows.find('\n') + 1);
    }
    if (Status status = put(piece); !status) return status;
    note_rows(piece);
    rows.remove_prefix(piece.size());
  }
  return Done{};
}

// Adds rows that the run will commit together, so they are in one file. They are safe then.
Status WholeFiles::add_batch(const Rows& rows) {
  if (rotation_ && rotation_->bytes > 0 && has_rows() &&
      file_bytes_ + (compressor_ ? 1 : rows.text.size()) > rotation_->bytes)
    if (Status begun = next_file(); !begun) return begun;
  if (Status added = put(rows.text); !added) return added;
  if (compressor_) {
    queue_->pause(next_frame_);
    if (Status ended = end_frame(); !ended) return ended;
    next_frame_ = RowQueue::now() + kFrameEvery;
  }
  file_rows_ += rows.count;
  publish_position();
  written_ += rows.count;
  return Done{};
}

Status WholeFiles::end_file() {
  if (compressor_ && (frame_open_ || file_bytes_ == 0))
    if (Status ended = end_frame(); !ended) return ended;
  // After another error the disk may have lost what it could not write.
  while (::fsync(fd_.get()) != 0)
    if ((errno != ENOSPC && errno != EDQUOT) || !wait_for_disk(errno)) return failed(errno);
  const std::string part = this->part();
  const auto renamed = [&] {
    return rotation_ ? rename_to_free(part, final_name_)
                     : ::rename(part.c_str(), final_name_.c_str()) == 0;
  };
  while (!renamed())
    if (!wait_for_disk(errno)) return Error{"cannot rename " + part + " to " + final_name_, errno};
  outage_.note_success();
  unlock_file(fd_.get());
  fd_ = UniqueFd();
  files_++;
  // The name has to survive a crash, too. (A directory that cannot be read is not an error.)
  const UniqueFd directory(::open(parent_of(part).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) (void)::fsync(directory.get());
  old_files_.remove();
  return Done{};
}

Status WholeFiles::next_file() {
  if (Status ended = end_file(); !ended) return ended;
  for (;;) {
    Status begun = begin_file();
    if (begun || !wait_for_disk(begun.error().os_error)) return begun;
  }
}

// Ends the file when its time has passed. A run that commits hands over new rows only after it has
// committed the others.
Status WholeFiles::look_at_clock(bool has_new_rows) {
  if (ends_at_s_ == 0 || now_s() < ends_at_s_) return Done{};
  if (options_.commits && !has_new_rows && committed_ != written()) return Done{};
  if (has_rows()) return next_file();
  start_clock();  // continues this file, because empty files are not written
  return Done{};
}

RowQueue::Time WholeFiles::next_look() const {
  if (ends_at_s_ == 0) return RowQueue::Time::max();
  const uint64_t now = now_s();
  if (now < ends_at_s_) return RowQueue::now() + std::chrono::seconds(ends_at_s_ - now);
  return RowQueue::now() + std::chrono::milliseconds(100);  // its rows have no commit yet
}

Status WholeFiles::run(RowQueue& queue) {
  // The capabilities that opened the first file may be gone by now.
  if (::faccessat(AT_FDCWD, parent_of(path_).c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    return Error{"output " + path_ +
                     ": its directory must be writable for the user, also without "
                     "capabilities",
                 errno};
  queue_ = &queue;
  Rows rows;
  Status status = resume({});
  old_files_.remove();
  while (status && !queue.finished()) {
    const bool some = queue.take(&rows, next_look());
    status = look_at_clock(some);
    if (status && some) status = options_.commits ? add_batch(rows) : add(rows.text);
  }
  if (status && (has_rows() || files_ == 0)) return end_file();
  if (!status && fd_) keep_whole_rows();
  return status;
}

// After an error, rows that are on the disk are kept under the final name. A compressed file ends
// where its last batch ends, if it has batches.
void WholeFiles::keep_whole_rows() {
  if (!has_rows() || (compressor_ && !options_.commits)) return;
  if (compressor_) {
    frame_open_ = false;
    if (::ftruncate(fd_.get(), static_cast<off_t>(position_.bytes)) != 0) return;
  }
  (void)!end_file();
}

WholeFiles::~WholeFiles() {
  if (fd_ && !has_rows() && left_name_.empty()) ::unlink(part().c_str());
}

void WholeFiles::describe(OutputAccount& account) const {
  account.files = files_;
}

}  // namespace flowmeter
