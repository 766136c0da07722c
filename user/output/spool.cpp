// SPDX-License-Identifier: BSD-3-Clause
#include "output/spool.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "base/json_string.h"
#include "output/kept_rows.h"
#include "output/row_text.h"

namespace flowmeter {
namespace {

constexpr char kSuffix[] = ".ndjson", kPart[] = ".part", kRefused[] = "refused.ndjson";

std::string file_name(uint64_t number, size_t offset, uint64_t run) {
  char name[96], run_text[24] = "";
  if (run != 0) std::snprintf(run_text, sizeof(run_text), "-%016" PRIx64, run);
  std::snprintf(name, sizeof(name), "%012" PRIu64 "-%zu%s%s", number, offset, run_text, kSuffix);
  return name;
}

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(const std::string& directory, Options options) {
  auto opened = OwnedDirectory::open(directory, OwnedDirectory::IfMissing::kCreate);
  if (!opened) return Error{"the spool: " + opened.error().doing, opened.error().os_error};
  auto spool = std::unique_ptr<Spool>(new Spool(std::move(*opened), options));
  if (::flock(spool->directory_.fd(), LOCK_EX | LOCK_NB) != 0)
    return Error{"the spool " + directory + " is in use by another process"};
  if (Status found = spool->find_files(); !found)
    return Error{"the spool: " + found.error().doing, found.error().os_error};
  return spool;
}

Status Spool::find_files() {
  auto names = directory_.list();
  if (!names) return names.error();
  for (const std::string& name : *names) {
    if (name.ends_with(kPart)) {  // incomplete: the program was killed while it
                                  // wrote the file
      (void)directory_.unlink(name);
      continue;
    }
    if (name == kRefused) {
      auto fd = directory_.open_file(name);
      if (!fd) return fd.error();
      struct stat status {};
      if (::fstat(fd->get(), &status) == 0) refused_bytes_ = static_cast<uint64_t>(status.st_size);
      continue;
    }
    uint64_t number = 0, run = 0;
    size_t offset = 0;
    if (!name.ends_with(kSuffix) ||
        std::sscanf(name.c_str(), "%" SCNu64 "-%zu-%" SCNx64, &number, &offset, &run) < 2)
      continue;
    auto text = read(name);
    if (!text) return text.error();
    const uint64_t rows =
        count_rows(std::string_view(*text).substr(std::min(offset, text->size())));
    files_[number] = {offset, text->size(), rows, run};
    bytes_ += text->size();
    rows_ += rows;
    next_ = std::max(next_, number + 1);
  }
  return Done{};
}

Result<std::string> Spool::read(const std::string& name) const {
  auto fd = directory_.open_file(name);
  if (!fd) return fd.error();
  std::string text;
  ssize_t got = 1;
  while (got > 0) {
    const size_t before = text.size();
    text.resize(before + 256 * 1024);
    got = ::read(fd->get(), text.data() + before, text.size() - before);
    text.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  }
  if (got < 0) return Error{"cannot read " + directory_.path_of(name), errno};
  return text;
}

// The file gets its name when it is complete.
Status Spool::write(const std::string& name, std::string_view rows) const {
  const std::string part = name + kPart;
  auto fd = directory_.create_file(part);
  if (!fd) return fd.error();
  Status written = Done{};
  if (write_all(fd->get(), rows) < rows.size() ||
      (options_.sync == Sync::kBatch && ::fsync(fd->get()) != 0))
    written = Error{"cannot write " + directory_.path_of(part), errno};
  if (written) written = directory_.rename(part, name);
  if (!written) (void)directory_.unlink(part);
  if (written && options_.sync == Sync::kBatch) (void)directory_.sync();
  return written;
}

fm_output_position Spool::end() const {
  struct stat status {};
  if (::fstat(directory_.fd(), &status) != 0) return {};
  return position_in(status, next_);
}

std::string Spool::name_of(const std::pair<const uint64_t, File>& file) {
  return file_name(file.first, file.second.offset, file.second.run);
}

Result<uint64_t> Spool::resume(const LastCommit& last) {
  run_ = last.run;
  struct stat here {};
  if (::fstat(directory_.fd(), &here) != 0) return uint64_t{0};
  const fm_output_position* const found = position_of(here, last);
  if (!found) return uint64_t{0};
  next_ = std::max<uint64_t>(next_, found->bytes);  // also if all files have gone
  const uint64_t before = rows_;
  for (auto file = files_.lower_bound(found->bytes); file != files_.end();) {
    const File& one = file->second;
    if (one.run != run_) {
      file++;
      continue;
    }
    if (Status removed = directory_.unlink(name_of(*file)); !removed) return removed.error();
    bytes_ -= one.size;
    rows_ -= one.rows;
    file = files_.erase(file);
  }
  return before - rows_;
}

size_t Spool::keep(std::string_view rows) {
  const uint64_t room =
      options_.limit_bytes - std::min(options_.limit_bytes, bytes_ + refused_bytes_);
  if (rows.size() > room) {
    error_ = "the spool " + directory() + " is full (--spool-limit)";
    rows = whole_rows(rows.substr(0, room));
  }
  if (rows.empty()) return 0;
  if (Status written = write(file_name(next_, 0, run_), rows); !written) {
    // The text is the same for every file, so that a full disk is reported once.
    error_ =
        "cannot write to the spool " + directory() + ": " + std::strerror(written.error().os_error);
    return 0;
  }
  const uint64_t count = count_rows(rows);
  files_[next_++] = {0, rows.size(), count, run_};
  bytes_ += rows.size();
  rows_ += count;
  return rows.size();
}

Result<std::string> Spool::first(size_t* offset) const {
  const auto& first = *files_.begin();
  *offset = std::min(first.second.offset, first.second.size);
  return read(name_of(first));
}

Status Spool::acknowledge(size_t offset, uint64_t rows) {
  auto& [number, file] = *files_.begin();
  const std::string name = name_of(*files_.begin());
  if (offset >= file.size) {
    forget_first();
    return directory_.unlink(name);
  }
  rows = std::min(rows, file.rows);
  file.rows -= rows;
  rows_ -= rows;
  if (Status renamed = directory_.rename(name, file_name(number, offset, file.run)); !renamed)
    return renamed;
  file.offset = offset;
  return Done{};
}

std::string Spool::refused_path() const {
  return directory_.path_of(kRefused);
}

// Bytes for refused rows, when `leaving` more bytes of the first file are not needed.
uint64_t Spool::room_for_refused(size_t leaving) const {
  uint64_t used = bytes_ + refused_bytes_;
  if (!files_.empty()) {
    const File& first = files_.begin()->second;
    used -= std::min(first.size, first.offset + leaving);
  }
  const uint64_t share = options_.limit_bytes / 4;
  return std::min(share - std::min(share, refused_bytes_),
                  options_.limit_bytes - std::min(options_.limit_bytes, used));
}

uint64_t Spool::keep_refused(std::string_view rows, const std::string& words, std::string* error) {
  const uint64_t room = room_for_refused(rows.size());
  const std::string start = "{\"answer\":" + json_string(words) + ",\"row\":";
  std::string text;
  uint64_t kept = 0;
  for (size_t at = 0; at < rows.size(); kept++) {
    const size_t end = std::min(rows.find('\n', at), rows.size());
    const std::string_view row = rows.substr(at, end - at);
    std::string object = start;
    object += row.starts_with('{') ? std::string(row) : json_string(row);
    object += "}\n";
    if (text.size() + object.size() > room) {
      *error = refused_path() + " is full (--spool-limit): remove it";
      break;
    }
    text += object;
    at = end + 1;
  }
  if (text.empty()) return 0;
  auto fd = directory_.open_file(kRefused, O_WRONLY | O_APPEND);
  const bool is_new = !fd && fd.error().os_error == ENOENT;
  if (is_new) fd = directory_.create_file(kRefused);
  if (!fd) {
    *error = fd.error().message();
    return 0;
  }
  size_t written = write_all(fd->get(), text);
  if (written < text.size()) {  // a full disk: no object without an end, others may follow it
    const int os_error = errno;
    const size_t whole = whole_rows(std::string_view(text).substr(0, written)).size();
    struct stat status {};
    if (::fstat(fd->get(), &status) == 0 &&
        ::ftruncate(fd->get(), status.st_size - static_cast<off_t>(written - whole)) == 0)
      written = whole;
    errno = os_error;
  }
  refused_bytes_ += written;
  if (written < text.size() || (options_.sync == Sync::kBatch && ::fsync(fd->get()) != 0)) {
    *error = Error{"cannot write " + refused_path(), errno}.message();
    return count_rows(std::string_view(text).substr(0, written));
  }
  if (is_new && options_.sync == Sync::kBatch) (void)directory_.sync();
  return kept;
}

void Spool::set_aside() {
  const std::string name = name_of(*files_.begin());
  (void)directory_.rename(name, name + ".unreadable");
  forget_first();
}

void Spool::forget_first() {
  bytes_ -= files_.begin()->second.size;
  rows_ -= files_.begin()->second.rows;
  files_.erase(files_.begin());
}

}  // namespace flowmeter
