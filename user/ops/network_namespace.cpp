// SPDX-License-Identifier: BSD-3-Clause
#include "ops/network_namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "base/unique_fd.h"

namespace flowmeter {
namespace {

constexpr char kNamed[] = "/run/netns";

std::string all_names() {
  std::vector<std::string> found;
  std::error_code error;
  for (std::filesystem::directory_iterator i(kNamed, error), end; !error && i != end;
       i.increment(error))
    found.push_back(i->path().filename());
  std::ranges::sort(found);
  std::string names;
  for (const std::string& name : found) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "there are none in " + std::string(kNamed) : "there are: " + names;
}

bool exists(const std::string& path) {
  struct stat file {};
  return ::stat(path.c_str(), &file) == 0;
}

}  // namespace

Status enter_network_namespace(const std::string& which) {
  if (which.empty())
    return usage_error("--netns needs the name, the path or the PID of a network namespace");
  const std::string named = std::string(kNamed) + "/" + which;
  const bool is_path = which.find('/') != std::string::npos;
  const bool is_pid =
      !is_path && which.find_first_not_of("0123456789") == std::string::npos && !exists(named);
  const std::string path = is_path ? which : is_pid ? "/proc/" + which + "/ns/net" : named;
  const std::string what =
      is_pid ? "network namespace of process " + which : "network namespace " + which;

  // Non-blocking, because the path may name anything, even a FIFO.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    const int os_error = errno;
    if (os_error == ENOENT && is_pid)
      return Error{"no process " + which + " and no network namespace of this name (" +
                   all_names() + ")"};
    if (os_error == ENOENT && !is_path)
      return Error{"no network namespace " + which + " (" + all_names() + ")"};
    if (os_error == EACCES && is_pid)
      return Error{"cannot open the " + what + ": CAP_SYS_PTRACE or root is needed"};
    return Error{"cannot open the " + what, os_error};
  }
  if (::ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET)
    return Error{"cannot enter the " + what + ": " + path + " is not a network namespace"};
  if (::setns(fd.get(), CLONE_NEWNET) != 0) {
    if (errno == EPERM) return Error{"cannot enter the " + what + ": CAP_SYS_ADMIN is needed"};
    return Error{"cannot enter the " + what, errno};
  }
  return Done{};
}

}  // namespace flowmeter
