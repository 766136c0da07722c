// SPDX-License-Identifier: BSD-3-Clause
#include "output/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "output/row_text.h"

namespace flowmeter {
namespace {

constexpr char kSuffix[] = ".ndjson", kPart[] = ".part";

Result<std::string> read_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  ssize_t got = fd ? 1 : -1;
  while (got > 0) {
    const size_t before = text.size();
    text.resize(before + 256 * 1024);
    got = ::read(fd.get(), text.data() + before, text.size() - before);
    text.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  }
  if (got < 0) return Error{"cannot read " + path, errno};
  return text;
}

}  // namespace

std::string Spool::path(uint64_t number, size_t offset) const {
  char name[64];
  std::snprintf(name, sizeof(name), "/%012" PRIu64 "-%zu%s", number, offset, kSuffix);
  return directory_ + name;
}

Result<std::unique_ptr<Spool>> Spool::open(const std::string& directory, uint64_t limit_bytes) {
  // Rows show who communicates with whom, so only their owner may read them.
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return Error{"cannot create the spool " + directory, errno};
  auto spool = std::unique_ptr<Spool>(new Spool(directory, limit_bytes));
  spool->lock_ = UniqueFd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!spool->lock_) return Error{"cannot open the spool " + directory, errno};
  if (::flock(spool->lock_.get(), LOCK_EX | LOCK_NB) != 0)
    return Error{"the spool " + directory + " is in use by another process"};
  DIR* entries = ::opendir(directory.c_str());
  if (!entries) return Error{"cannot read the spool " + directory, errno};
  std::string wrong;
  while (const dirent* entry = ::readdir(entries)) {
    const std::string name = entry->d_name, full = directory + "/" + name;
    if (name.ends_with(kPart)) {  // incomplete; its rows were still in the queue
      ::unlink(full.c_str());
      continue;
    }
    uint64_t number = 0;
    size_t offset = 0;
    if (!name.ends_with(kSuffix) ||
        std::sscanf(name.c_str(), "%" SCNu64 "-%zu", &number, &offset) != 2)
      continue;
    auto text = read_file(full);
    if (!text) {
      wrong = text.error().message();
      break;
    }
    spool->files_[number] = {offset, text->size()};
    spool->bytes_ += text->size();
    spool->rows_ += count_rows(std::string_view(*text).substr(std::min(offset, text->size())));
    spool->next_ = std::max(spool->next_, number + 1);
  }
  ::closedir(entries);
  if (!wrong.empty()) return Error{wrong};
  return spool;
}

// The text is the same for every file, so that a full disk is reported once.
size_t Spool::fail() {
  error_ = "cannot write to the spool " + directory_ + ": " + std::strerror(errno);
  return 0;
}

Status Spool::check_writable() const {
  if (::faccessat(AT_FDCWD, directory_.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    return Error{
        "the spool " + directory_ + " must be writable for the user, also without capabilities",
        errno};
  return Done{};
}

size_t Spool::keep(uint64_t number, std::string_view rows) {
  const uint64_t room = limit_ - std::min(limit_, bytes_);
  if (rows.size() > room) {
    error_ = "the spool " + directory_ + " is full (--url-spool-limit)";
    rows = whole_rows(rows.substr(0, room));
  }
  if (rows.empty()) return 0;
  const std::string whole = path(number, 0), part = whole + kPart;
  const UniqueFd fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return fail();
  if (write_all(fd.get(), rows) < rows.size() || ::fsync(fd.get()) != 0 ||
      ::rename(part.c_str(), whole.c_str()) != 0) {
    fail();
    ::unlink(part.c_str());
    return 0;
  }
  ::fsync(lock_.get());
  files_[number] = {0, rows.size()};
  bytes_ += rows.size();
  rows_ += count_rows(rows);
  return rows.size();
}

Result<std::string> Spool::first(size_t* offset) const {
  const auto& [number, file] = *files_.begin();
  *offset = std::min(file.offset, file.size);
  return read_file(path(number, file.offset));
}

Status Spool::acknowledge(size_t offset, uint64_t rows) {
  rows_ -= std::min(rows, rows_);
  auto& [number, file] = *files_.begin();
  const std::string before = path(number, file.offset);
  if (offset >= file.size) {
    bytes_ -= file.size;
    files_.erase(files_.begin());
    if (::unlink(before.c_str()) != 0) return Error{"cannot remove " + before, errno};
    return Done{};
  }
  if (::rename(before.c_str(), path(number, offset).c_str()) != 0)
    return Error{"cannot rename " + before, errno};
  file.offset = offset;
  return Done{};
}

void Spool::set_aside() {
  const auto& [number, file] = *files_.begin();
  const std::string from = path(number, file.offset);
  (void)::rename(from.c_str(), (from + ".unreadable").c_str());
  bytes_ -= file.size;
  files_.erase(files_.begin());
}

}  // namespace flowmeter
