// SPDX-License-Identifier: BSD-3-Clause
// A full disk for this process, without privileges.
#pragma once

#include <signal.h>
#include <sys/resource.h>

namespace flowmeter::testing {

// Limits the size of files that this process can write, as long as the object lives: write(2) takes
// a part, and then fails with EFBIG.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    old_handler_ = ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  sighandler_t old_handler_;
};

}  // namespace flowmeter::testing
