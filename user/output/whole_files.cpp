// SPDX-License-Identifier: BSD-3-Clause
#include "output/whole_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "base/owned_directory.h"
#include "output/file_lock.h"
#include "output/row_text.h"

namespace flowmeter {
namespace {

constexpr char kPart[] = ".part";

// Where the suffix of path starts; that of "a.b/flows.csv.zst" is ".csv.zst".
size_t suffix_at(const std::string& path) {
  const size_t slash = path.rfind('/');
  const size_t base = slash == std::string::npos ? 0 : slash + 1;
  const size_t at = path.size() - compression_suffix(path).size();
  const size_t dot = at == 0 ? std::string::npos : path.rfind('.', at - 1);
  return dot != std::string::npos && dot > base ? dot : at;
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

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

}  // namespace

Result<Rotation> Rotation::parse(const std::string& text) {
  struct Suffix {
    std::string_view name;
    uint64_t factor;
    bool is_time;
  };
  static constexpr std::array kSuffixes = {
      Suffix{"s", 1, true},
      Suffix{"m", 60, true},
      Suffix{"h", 3600, true},
      Suffix{"d", 86400, true},
      Suffix{"KB", 1000, false},
      Suffix{"MB", 1000000, false},
      Suffix{"GB", 1000000000, false},
      Suffix{"KiB", 1 << 10, false},
      Suffix{"MiB", 1 << 20, false},
      Suffix{"GiB", 1 << 30, false},
  };
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
  const auto suffix = std::find_if(kSuffixes.begin(), kSuffixes.end(),
                                   [rest](const Suffix& each) { return each.name == rest; });
  // A billion is more than anyone needs, and its products do not overflow.
  if (error != std::errc() || number == 0 || number > 1'000'000'000 || suffix == kSuffixes.end())
    return Error{"\"" + text +
                 "\" is neither a time (90s, 15m, 1h, 1d) nor a size (500KB, 500MB, "
                 "2GB, 500MiB)"};
  Rotation rotation;
  (suffix->is_time ? rotation.seconds : rotation.bytes) = number * suffix->factor;
  return rotation;
}

Result<std::unique_ptr<WholeFiles>> WholeFiles::open(const std::string& path,
                                                     const RowFormat& format,
                                                     std::optional<Rotation> rotation) {
  struct stat status {};
  if (!rotation && ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    return Error{"cannot write output " + path +
                 ": it is not a regular file, so it can be neither "
                 "compressed nor replaced"};
  auto files = std::unique_ptr<WholeFiles>(new WholeFiles(path, rotation, format.header()));
  auto compressor = compressor_for(path);
  if (!compressor) return compressor.error();
  files->compressor_ = std::move(*compressor);
  if (Status begun = files->begin_file(); !begun) return begun.error();
  return files;
}

std::string WholeFiles::rotated_name() const {
  char stamp[64];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  const size_t length = std::strftime(stamp, sizeof(stamp), "-%Y%m%dT%H%M%SZ", &utc);
  std::snprintf(stamp + length, sizeof(stamp) - length, "-%06llu",
                static_cast<unsigned long long>(number_));
  const size_t at = suffix_at(path_);
  return path_.substr(0, at) + stamp + path_.substr(at);
}

Status WholeFiles::begin_file(unsigned tries) {
  // Neither follows a link nor waits for the reader of a pipe, which others could have left.
  const int flags =
      O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (rotation_ ? O_EXCL : 0);
  std::string part;
  for (;; number_++) {
    final_name_ = rotation_ ? rotated_name() : path_;
    if (rotation_ && exists(final_name_)) continue;
    part = final_name_ + kPart;
    fd_ = UniqueFd(::open(part.c_str(), flags, 0666));
    // With rotation, an existing file belongs to another run or was left by a killed run.
    if (fd_ || !rotation_ || errno != EEXIST) break;
  }
  if (!fd_ && errno == ELOOP)
    return Error{"cannot write output " + part + ": it is a symbolic link: remove it"};
  if (!fd_) return Error{"cannot write output " + part, errno};
  if (Status owned = check_owned_file(fd_.get(), part); !owned) {
    fd_ = UniqueFd();
    return Error{"cannot write output " + owned.error().doing, owned.error().os_error};
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
  file_bytes_ = file_rows_ = 0;
  ends_at_s_ = rotation_ && rotation_->seconds > 0 ? next_multiple_s(rotation_->seconds) : 0;
  return put(header_);
}

Status WholeFiles::failed(int os_error) {
  if (compressor_) {
    written_ -= file_rows_;
    return Error{"cannot write output " + final_name_ + kPart +
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
  if (Status added = compressor_->add(rows, &compressed_); !added) return added;
  return write(compressed_);
}

Status WholeFiles::write(std::string_view bytes) {
  const size_t done = write_all(fd_.get(), bytes);
  if (done < bytes.size()) {
    const int os_error = errno;
    if (!compressor_) remove_cut_row(bytes.substr(0, done));
    return failed(os_error);
  }
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
      if (full && file_rows_ > 0) {
        if (Status ended = end_file(); !ended) return ended;
        if (Status begun = begin_file(); !begun) return begun;
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

Status WholeFiles::end_file() {
  if (compressor_) {
    compressed_.clear();
    if (Status ended = compressor_->end_file(&compressed_); !ended) return ended;
    if (Status written = write(compressed_); !written) return written;
  }
  if (::fsync(fd_.get()) != 0) return failed(errno);
  const std::string part = final_name_ + kPart;
  int renamed = ::renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, final_name_.c_str(),
                            rotation_ ? RENAME_NOREPLACE : 0);
  // Some network file systems support no flags.
  if (renamed != 0 && errno == EINVAL && !exists(final_name_))
    renamed = ::rename(part.c_str(), final_name_.c_str());
  if (renamed != 0) return Error{"cannot rename " + part + " to " + final_name_, errno};
  unlock_file(fd_.get());
  fd_ = UniqueFd();
  files_++;
  // The name has to survive a crash, too. (A directory that cannot be read is not an error.)
  const UniqueFd directory(::open(directory_of(part).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) (void)::fsync(directory.get());
  return Done{};
}

// Ends the file when its time has passed.
Status WholeFiles::look_at_clock() {
  if (ends_at_s_ == 0 || now_s() < ends_at_s_) return Done{};
  if (file_rows_ == 0) {  // continues this file, because empty files are not written
    ends_at_s_ = next_multiple_s(rotation_->seconds);
    return Done{};
  }
  if (Status ended = end_file(); !ended) return ended;
  return begin_file();
}

Status WholeFiles::run(RowQueue& queue) {
  // The capabilities that opened the first file may be gone by now.
  if (::faccessat(AT_FDCWD, directory_of(path_).c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    return Error{"output " + path_ +
                     ": its directory must be writable for the user, also without "
                     "capabilities",
                 errno};
  Rows rows;
  Status status = Done{};
  while (status && !queue.finished()) {
    auto until = RowQueue::Time::max();
    if (ends_at_s_ > 0)
      until = RowQueue::now() + std::chrono::seconds(ends_at_s_ - std::min(now_s(), ends_at_s_));
    const bool some = queue.take(&rows, until);
    status = look_at_clock();
    if (status && some) status = add(rows.text);
  }
  if (status && (file_rows_ > 0 || files_ == 0)) return end_file();
  // After an error, rows that are on the disk are kept under the final name.
  if (!status && fd_ && !compressor_ && file_rows_ > 0) (void)!end_file();
  return status;
}

WholeFiles::~WholeFiles() {
  if (fd_ && file_rows_ == 0) ::unlink((final_name_ + kPart).c_str());
}

std::string WholeFiles::account() const {
  return " files=" + std::to_string(files_);
}

}  // namespace flowmeter
