// SPDX-License-Identifier: BSD-3-Clause
#include "output/kept_rows.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "output/row_text.h"

namespace flowmeter {
namespace {

constexpr off_t kPiece = 1 << 20;

uint64_t rows_between(int fd, off_t from, off_t to) {
  uint64_t rows = 0;
  for (; from < to; from += kPiece) {
    auto piece = read_at(fd, from, static_cast<size_t>(std::min(kPiece, to - from)));
    if (!piece) break;
    rows += count_rows(*piece);
  }
  return rows;
}

}  // namespace

Result<std::string> read_at(int fd, off_t offset, size_t bytes) {
  std::string text(bytes, '\0');
  size_t done = 0;
  while (done < bytes) {
    const ssize_t got =
        ::pread(fd, text.data() + done, bytes - done, offset + static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{"cannot read", errno};
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

Result<off_t> end_of_rows(int fd, off_t bytes) {
  while (bytes > 0) {
    const off_t from = std::max<off_t>(0, bytes - kPiece);
    auto piece = read_at(fd, from, static_cast<size_t>(bytes - from));
    if (!piece) return piece.error();
    const size_t whole = whole_rows(*piece).size();
    if (whole > 0) return from + static_cast<off_t>(whole);
    bytes = from;
  }
  return 0;
}

std::string rows_there(int fd, off_t bytes, std::string_view header) {
  constexpr off_t kCounted = 1 << 30;  // about a second
  if (bytes > kCounted) return std::to_string(bytes) + " bytes there";
  const uint64_t rows = rows_between(fd, 0, bytes);
  return std::to_string(rows - std::min(rows, count_rows(header))) + " rows there";
}

Error not_our_rows(const std::string& path) {
  return {"output " + path +
          " holds something other than rows with these columns: move it away, name another file, "
          "or replace it (--overwrite)"};
}

std::string cut_text(const std::string& path, off_t bytes) {
  return "output " + path + ": cut " + std::to_string(bytes) + " bytes at its end";
}

std::string cut_text(const std::string& path, int fd, off_t from, off_t to) {
  const uint64_t rows = rows_between(fd, from, to);
  return cut_text(path, to - from) + " (" +
         (rows == 0 ? "an incomplete row"
                    : std::to_string(rows) + " rows that were not committed; they come again") +
         ")";
}

std::string not_in_commit(const std::string& path) {
  return "output " + path +
         " is not the file that the killed run has written (a copy?): its rows after the last "
         "commit come again, so they may be in the file twice";
}

std::string shorter_than_commit(const std::string& path, off_t bytes) {
  return "output " + path + " is " + std::to_string(bytes) +
         " bytes shorter than at the last commit: rows are missing";
}

bool is_of_killed(const LastCommit& last) {
  return !last.ended && std::any_of(last.outputs.begin(), last.outputs.end(),
                                    [](const auto& each) { return each.inode != 0; });
}

const fm_output_position* position_of(const struct stat& file, const LastCommit& last) {
  const auto found = std::find_if(last.outputs.begin(), last.outputs.end(), [&](const auto& each) {
    return each.device == file.st_dev && each.inode == file.st_ino;
  });
  return found == last.outputs.end() ? nullptr : &*found;
}

fm_output_position position_in(const struct stat& file, uint64_t bytes) {
  return {file.st_dev, file.st_ino, bytes};
}

}  // namespace flowmeter
