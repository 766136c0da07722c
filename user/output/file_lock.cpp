// SPDX-License-Identifier: BSD-3-Clause
#include "output/file_lock.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>

namespace flowmeter {
namespace {

// Who has locked this file, in words. The kernel lists the locks of processes that this one can see
// (not those of another PID namespace), by the device of the file system, which is not always that
// of stat(2).
std::string holder_of(const struct stat& status) {
  const std::unique_ptr<FILE, int (*)(FILE*)> locks(std::fopen("/proc/locks", "re"), std::fclose);
  char line[256];
  while (locks && std::fgets(line, sizeof(line), locks.get())) {
    int pid = 0;
    unsigned major = 0, minor = 0;
    unsigned long long inode = 0;
    // 1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF
    if (std::sscanf(line, "%*d: FLOCK ADVISORY WRITE %d %x:%x:%llu", &pid, &major, &minor,
                    &inode) != 4 ||
        inode != status.st_ino || ::makedev(major, minor) != status.st_dev)
      continue;
    return pid == ::getpid() ? "this process" : "process " + std::to_string(pid);
  }
  return "another run";
}

}  // namespace

Status lock_file(int fd, const std::string& path) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return Done{};
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return Done{};
  return Error{"output " + path + " is being written by " + holder_of(status) +
               ": name another file"};
}

void unlock_file(int fd) {
  (void)::flock(fd, LOCK_UN);
}

}  // namespace flowmeter
