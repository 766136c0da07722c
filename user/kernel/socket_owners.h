// SPDX-License-Identifier: BSD-3-Clause
// Notes in every IP socket of a cgroup v2 tree which process has it (--attribute process). The
// metering programs read the notes.
//
// The programs are attached by links of this process, so the kernel detaches them however it ends.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct socket_owners_bpf;

namespace flowmeter {

class Host;

class SocketOwners {
 public:
  // cgroup_root: where the tree is mounted. map_fd: the map socket_owners of the metering programs.
  // Also notes the owners of the sockets that are open already; what of these stays unknown is
  // logged. Nothing has to be called later.
  static Result<std::unique_ptr<SocketOwners>> open(const std::string& cgroup_root, int map_fd,
                                                    Host& host);
  ~SocketOwners();
  SocketOwners(const SocketOwners&) = delete;
  SocketOwners& operator=(const SocketOwners&) = delete;

 private:
  SocketOwners() = default;

  struct Deleter {
    void operator()(socket_owners_bpf* skeleton) const;
  };
  std::unique_ptr<socket_owners_bpf, Deleter> skeleton_;
};

}  // namespace flowmeter
