// SPDX-License-Identifier: BSD-3-Clause
// Rows that could not be sent, as files of a directory: durable, in order, bounded, and there for
// the next run. A file NUMBER-OFFSET.ndjson has rows; those before OFFSET octets were acknowledged,
// which the name and not the file says, since a rename is one step for whoever is killed.
// One process at a time has the directory.
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
  // Makes the directory where there is none, and finds what an earlier run has left.
  static Result<std::unique_ptr<Spool>> open(const std::string& directory, uint64_t limit_bytes);

  // Whether files can be made in it with the privileges that are left.
  Status check_writable() const;

  // Places in the order of the rows: one for each piece that may come to be kept.
  uint64_t next_number() { return next_++; }

  // Keeps rows at that place; of more than there is room for, the first. Returns the octets kept;
  // if that is not all, error() says why.
  size_t keep(uint64_t number, std::string_view rows);
  const std::string& error() const { return error_; }

  bool empty() const { return files_.empty(); }
  // The first file, whole, and where its unacknowledged rows begin. Requires: not empty.
  Result<std::string> first(size_t* offset) const;
  // The first file's rows before this offset are acknowledged, `rows` more than before; at its end
  // it goes.
  Status acknowledge(size_t offset, uint64_t rows);
  // The first file cannot be read: it is set aside under another name.
  void set_aside();

  // Rows that are waiting.
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
