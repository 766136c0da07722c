// SPDX-License-Identifier: BSD-3-Clause
// Stores rows that could not be sent as files of a directory: durable, in order, bounded, and
// available to the next run. A file NUMBER-OFFSET.ndjson has rows; those in its first OFFSET bytes
// were acknowledged. The name holds that offset because a rename is atomic, even if the program is
// killed. Only one process at a time can use the directory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace flowmeter {

class Spool {
 public:
  // Creates the directory if there is none, and finds the rows that an earlier run left.
  static Result<std::unique_ptr<Spool>> open(const std::string& directory, uint64_t limit_bytes);

  // Fails if the remaining privileges do not allow creating files in it.
  Status check_writable() const;

  // Reserves a place in the order of the rows, for a piece that may have to be stored.
  uint64_t next_number() { return next_++; }

  // Stores rows at that place; if there is no room for all, only the first of them. Returns the
  // number of bytes stored; if that is not all, error() says why.
  size_t keep(uint64_t number, std::string_view rows);
  const std::string& error() const { return error_; }

  bool empty() const { return files_.empty(); }
  // The contents of the first file, and where its unacknowledged rows start. Requires: not empty.
  Result<std::string> first(size_t* offset) const;
  // The first file's rows before this offset are acknowledged: `rows` more than before. A file
  // whose rows are all acknowledged is removed.
  Status acknowledge(size_t offset, uint64_t rows);
  // Renames the first file, because it cannot be read.
  void set_aside();

  // The number of rows to be sent.
  uint64_t rows() const { return rows_; }
  const std::string& directory() const { return directory_; }

 private:
  struct File {
    size_t offset, size;
  };

  Spool(std::string directory, uint64_t limit) : directory_(std::move(directory)), limit_(limit) {}
  std::string path(uint64_t number, size_t offset) const;
  size_t fail();

  const std::string directory_;
  const uint64_t limit_;
  UniqueFd lock_;  // the directory itself
  std::map<uint64_t, File> files_;
  uint64_t next_ = 1;
  uint64_t bytes_ = 0;
  uint64_t rows_ = 0;
  std::string error_;
};

}  // namespace flowmeter
