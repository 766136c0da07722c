// SPDX-License-Identifier: BSD-3-Clause
// The socket on which metrics are served. It exists before the process gives up its privileges. The
// file of a Unix socket belongs to the user of the program, and is removed at the end. Nobody can
// connect before listen(), so nobody waits for an answer of a program that still attaches.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/unique_fd.h"
#include "metrics/address.h"

namespace flowmeter {

class MetricsListener {
 public:
  // Fails if somebody else listens there. A Unix socket that nobody listens on is replaced if it
  // belongs to this user. Requires: this is the only thread.
  static Result<MetricsListener> open(const MetricsAddress& address);

  // From now on who connects waits for the server. Fails if another program has taken the address
  // meanwhile. Requires: the process was not confined yet.
  Status listen();

  // Removes the file of a Unix socket, unless it is another one by now.
  Status remove();

  int descriptor() const { return socket_.get(); }
  // Gives it to a caller that closes it.
  int release() { return socket_.release(); }

 private:
  Status bind_port(const MetricsAddress& address);
  Status bind_path(const std::string& path);
  bool has_file() const;  // its own, and not another one by now

  UniqueFd socket_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace flowmeter
