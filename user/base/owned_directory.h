// SPDX-License-Identifier: BSD-3-Clause
// A directory whose files only this user and root can have made, and that stays the same one
// whatever others do to its path: a daemon with privileges must not write where a symbolic link of
// another user points, or take another user's file for one of its own. "This user" is the effective
// one. Paths are opened part by part, everything else goes through the descriptor.
//
//   the directory    belongs to this user or to root; nobody else may write to it
//   the way to it    a directory that everyone may write to is sticky, and a symbolic link belongs
//                    to this user or to root. Who owns another directory on the way (a user who
//                    runs the program by sudo at home) can move ours away, but cannot put another
//                    user's in its place
//   a file in it     is regular, belongs to this user or to root, has no second name, and nobody
//                    else may write to it
//
// Errors say what to change.
#pragma once

#include <fcntl.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace flowmeter {

// Fails unless fd is a regular file of this user or of root without a second name. path: its name
// in the error.
Status check_owned_file(int fd, const std::string& path);

class OwnedDirectory {
 public:
  enum class IfMissing { kFail, kCreate };
  // kCreate makes the directory itself, not those above it, with mode 0700.
  static Result<OwnedDirectory> open(const std::string& path, IfMissing if_missing);

  const std::string& path() const { return path_; }
  std::string path_of(const std::string& name) const { return path_ + "/" + name; }
  // For flock() and the like.
  int fd() const { return fd_.get(); }

  // Whether this user may create files in it, without the help of capabilities.
  Status check_writable() const;
  // Makes the names of its files survive a crash of the machine.
  Status sync() const;

  // The functions below take names without a slash.

  // Opens a new file for writing. Fails if the name is taken, whatever by.
  Result<UniqueFd> create_file(const std::string& name, mode_t mode = 0600) const;
  // Opens an existing file with these flags (O_RDONLY, O_RDWR …). Neither follows a link nor waits.
  Result<UniqueFd> open_file(const std::string& name, int flags = O_RDONLY) const;
  // Replaces a file with the new name.
  Status rename(const std::string& from, const std::string& to) const;
  Status unlink(const std::string& name) const;
  // All names in it, of whatever kind, unsorted.
  Result<std::vector<std::string>> list() const;

 private:
  OwnedDirectory(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
};

}  // namespace flowmeter
