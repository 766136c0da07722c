// SPDX-License-Identifier: BSD-3-Clause
// Stores rows until they are acknowledged, as files of a directory: durable, in order, bounded, and
// available to the next run. A file NUMBER-OFFSET.ndjson has rows; those in its first OFFSET bytes
// were acknowledged. The name holds that offset because a rename is atomic, even if the program is
// killed. Of a run that others go on after, the name is NUMBER-OFFSET-RUN.ndjson (LastCommit::run).
// Only one process at a time can use the directory, in which only this user and root can
// have made files.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/owned_directory.h"
#include "flowmeter/abi.h"
#include "flows/flow_record.h"

namespace flowmeter {

class Spool {
 public:
  // What a stored row survives: kBatch also the crash of the machine, at the price of one
  // synchronisation of the disk per keep(); kNone only the end of the program.
  enum class Sync { kBatch, kNone };
  struct Options {
    uint64_t limit_bytes;
    Sync sync = Sync::kBatch;
  };

  // Creates the directory if there is none, and finds the rows that an earlier run left.
  static Result<std::unique_ptr<Spool>> open(const std::string& directory, Options options);

  // Fails if the remaining privileges do not allow creating files in it.
  Status check_writable() const { return directory_.check_writable(); }

  // Stores rows behind all others, in one file; if there is no room for all, only the first of
  // them. Returns the number of bytes stored; if that is not all, error() says why.
  size_t keep(std::string_view rows);
  const std::string& error() const { return error_; }

  // The place of the next rows. `bytes` is the number of their file.
  fm_output_position end() const;
  // Goes on after that run: removes the rows that it has stored after its last commit; returns how
  // many. The rows of others stay.
  Result<uint64_t> resume(const LastCommit& last);

  bool empty() const { return files_.empty(); }
  // The contents of the first file, and where its unacknowledged rows start. Requires: not empty.
  Result<std::string> first(size_t* offset) const;
  // The first file's rows before this offset are acknowledged: `rows` more than before. A file
  // whose rows are all acknowledged is removed.
  Status acknowledge(size_t offset, uint64_t rows);
  // Adds rows that were refused to a file for people, which is not sent: objects with "answer"
  // (these words) and "row". It has at most a quarter of the spool's room; if that is not enough,
  // only the first of them. Returns the number of rows added; if that is not all, *error says why.
  // The caller acknowledges them next, so the room that they take in the first file is free.
  uint64_t keep_refused(std::string_view rows, const std::string& words, std::string* error);
  std::string refused_path() const;
  // Renames the first file, because it cannot be read.
  void set_aside();

  // The number of rows to be sent.
  uint64_t rows() const { return rows_; }
  const std::string& directory() const { return directory_.path(); }

 private:
  struct File {
    size_t offset, size;
    uint64_t rows;  // to be sent
    uint64_t run;
  };

  Spool(OwnedDirectory directory, Options options)
      : directory_(std::move(directory)), options_(options) {}
  Status find_files();
  Result<std::string> read(const std::string& name) const;
  Status write(const std::string& name, std::string_view rows) const;
  uint64_t room_for_refused(size_t leaving) const;
  void forget_first();
  static std::string name_of(const std::pair<const uint64_t, File>& file);

  const OwnedDirectory directory_;  // locked
  const Options options_;
  std::map<uint64_t, File> files_;  // by number
  uint64_t next_ = 1;
  uint64_t run_ = 0;
  uint64_t bytes_ = 0;
  uint64_t refused_bytes_ = 0;
  uint64_t rows_ = 0;
  std::string error_;
};

}  // namespace flowmeter
