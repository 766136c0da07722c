// SPDX-License-Identifier: BSD-3-Clause
// Removes the oldest complete files of a rotated output, so that only as many stay as are kept. It
// looks at the directory and remembers nothing, so it goes on after a restart, and files that were
// moved away do not count.
//
// A file is one of this output if it has a name that rotation gives (whole_file_names.h), is
// regular, and belongs to this user or to root. Complete files do not tell which run wrote them:
// all runs that rotate the same path share its files and the limit. The newest one always stays.
#pragma once

#include <optional>
#include <string>

#include "base/host.h"
#include "output/rotation.h"

namespace flowmeter {

class OldFiles {
 public:
  // Without retention all are kept. Requires: host outlives it.
  OldFiles(std::string path, std::optional<Retention> retention, Host& host)
      : path_(std::move(path)), retention_(retention), host_(host) {}

  // A file that cannot be removed stays, and is tried again the next time. The first is reported.
  void remove();

 private:
  const std::string path_;
  const std::optional<Retention> retention_;
  Host& host_;
  bool reported_ = false;
};

}  // namespace flowmeter
