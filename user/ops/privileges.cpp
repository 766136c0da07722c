// SPDX-License-Identifier: BSD-3-Clause
#include "ops/privileges.h"

#include <dirent.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "kernel/attachment.h"

namespace flowmeter {
namespace {

constexpr Capabilities bit(int capability) {
  return Capabilities{1} << capability;
}

// Before Linux 5.19 kernel.unprivileged_bpf_disabled forbids all of bpf(2), even operations on file
// descriptors that are already open.
bool kernel_wants_cap_bpf_for_open_maps() {
  unsigned major = 0, minor = 0;
  if (std::sscanf(kernel_release().c_str(), "%u.%u", &major, &minor) != 2) return true;
  return major < 5 || (major == 5 && minor < 19);
}

size_t count_threads() {
  DIR* tasks = ::opendir("/proc/self/task");
  if (!tasks) return 0;
  size_t count = 0;
  while (const dirent* entry = ::readdir(tasks)) count += entry->d_name[0] != '.';
  ::closedir(tasks);
  return count;
}

}  // namespace

Capabilities effective_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return 0;
  return uint64_t{data[1].effective} << 32 | data[0].effective;
}

std::string missing_capabilities() {
  const Capabilities effective = effective_capabilities();
  const auto has = [&](int capability) { return (effective & bit(capability)) != 0; };
  if (has(CAP_SYS_ADMIN) && has(CAP_NET_ADMIN)) return "";
  std::string missing;
  const auto need = [&](int capability, const char* name) {
    if (!has(capability)) missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  need(CAP_BPF, "CAP_BPF");
  need(CAP_NET_ADMIN, "CAP_NET_ADMIN");
  need(CAP_PERFMON, "CAP_PERFMON");
  return missing;
}

Capabilities capabilities_to_keep(Attachments attachments) {
  return (attachments == Attachments::kChange ? bit(CAP_NET_ADMIN) : 0) |
         (kernel_wants_cap_bpf_for_open_maps() ? bit(CAP_BPF) : 0);
}

Status drop_privileges(Capabilities keep) {
  if (const size_t threads = count_threads(); threads != 1)
    return Error{"cannot drop privileges: " +
                 (threads == 0 ? std::string("/proc/self/task cannot be read")
                               : std::to_string(threads) + " threads are running")};
  const auto failed = [](const char* what) {
    return Error{"cannot drop privileges (" + std::string(what) + ")", errno};
  };
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("no_new_privs");
  // Continues up to the last capability of this kernel, which may be newer than CAP_LAST_CAP.
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
    // EPERM: CAP_SETPCAP is missing. This is harmless, because with no_new_privs an exec cannot
    // add capabilities.
    if ((keep & bit(capability)) == 0 && ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 &&
        errno != EPERM)
      return failed("bounding set");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return failed("capget");
  for (int half = 0; half < 2; half++) {
    const auto kept = static_cast<__u32>(keep >> (32 * half));
    data[half].permitted &= kept;
    data[half].effective &= kept;
    data[half].inheritable = 0;  // this also clears ambient, which is a subset
  }
  if (::syscall(SYS_capset, &header, data) != 0) return failed("capset");
  return Done{};
}

}  // namespace flowmeter
