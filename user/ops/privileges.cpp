// SPDX-License-Identifier: BSD-3-Clause
#include "ops/privileges.h"

#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>

#include "kernel/attachment.h"

namespace flowmeter {
namespace {

constexpr Capabilities bit(int capability) {
  return Capabilities{1} << capability;
}

// What metering an interface needs (missing_capabilities).
constexpr Capabilities kOfMeter = bit(CAP_BPF) | bit(CAP_NET_ADMIN) | bit(CAP_PERFMON);

// Before Linux 5.19 kernel.unprivileged_bpf_disabled forbids all of bpf(2), even operations on file
// descriptors that are already open.
bool kernel_wants_cap_bpf_for_open_maps() {
  unsigned major = 0, minor = 0;
  if (std::sscanf(kernel_release().c_str(), "%u.%u", &major, &minor) != 2) return true;
  return major < 5 || (major == 5 && minor < 19);
}

// The number that is the whole text.
std::optional<id_t> to_id(const std::string& text) {
  id_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, id);
  // -1 means "no change" to the system calls.
  if (error != std::errc() || stop != end || id == static_cast<id_t>(-1)) return std::nullopt;
  return id;
}

struct User {
  std::string name;  // empty: a number that has none
  uid_t user = 0;
  gid_t group = 0;
};

Result<User> find_user(const std::string& text) {
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  const auto number = to_id(name);
  const passwd* entry = ::getpwnam(name.c_str());
  if (!entry && number) entry = ::getpwuid(*number);
  User user;
  if (entry)
    user = {entry->pw_name, entry->pw_uid, entry->pw_gid};
  else if (number && colon != std::string::npos)
    user.user = *number;
  else
    return Error{"--user " + text + ": there is no user \"" + name + "\"" +
                 (number ? " (a number without a name needs a group: " + name + ":GROUP)" : "")};
  if (colon == std::string::npos) return user;
  const std::string group = text.substr(colon + 1);
  const auto group_number = to_id(group);
  const ::group* const found = ::getgrnam(group.c_str());
  if (!found && !group_number)
    return Error{"--user " + text + ": there is no group \"" + group + "\""};
  user.group = found ? found->gr_gid : *group_number;
  return user;
}

// The sets of the calling thread. False: errno says why not.
struct CapabilitySets {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct halves[2]{};

  bool read() { return ::syscall(SYS_capget, &header, halves) == 0; }
  bool write() { return ::syscall(SYS_capset, &header, halves) == 0; }
};

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
  CapabilitySets sets;
  if (!sets.read()) return 0;
  return uint64_t{sets.halves[1].effective} << 32 | sets.halves[0].effective;
}

void raise_capabilities() {
  CapabilitySets sets;
  if (!sets.read()) return;
  for (int half = 0; half < 2; half++)
    sets.halves[half].effective |=
        sets.halves[half].permitted & static_cast<__u32>(kOfMeter >> (32 * half));
  (void)sets.write();  // what is missing is named where it is needed
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

Capabilities capabilities_of_replay(bool as_other_user) {
  return bit(CAP_DAC_READ_SEARCH) | (as_other_user ? 0 : bit(CAP_DAC_OVERRIDE) | bit(CAP_FOWNER));
}

Status change_user(const std::string& text) {
  constexpr Capabilities kNeeded = bit(CAP_SETUID) | bit(CAP_SETGID);
  if ((effective_capabilities() & kNeeded) != kNeeded)
    return Error{"--user " + text + " needs root (CAP_SETUID and CAP_SETGID)"};
  auto user = find_user(text);
  if (!user) return user.error();
  const int grouped =
      user->name.empty() ? ::setgroups(0, nullptr) : ::initgroups(user->name.c_str(), user->group);
  if (grouped != 0 || ::setresgid(user->group, user->group, user->group) != 0 ||
      ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 ||
      ::setresuid(user->user, user->user, user->user) != 0)
    return Error{"cannot become user " + text, errno};
  // The change has only cleared the effective set.
  CapabilitySets sets;
  if (!sets.read()) return Error{"capget", errno};
  for (__user_cap_data_struct& half : sets.halves) half.effective = half.permitted;
  if (!sets.write()) return Error{"capset", errno};
  return Done{};
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
  // Ends with EINVAL behind the last capability of this kernel, which may be newer than
  // CAP_LAST_CAP; or with EPERM if CAP_SETPCAP is missing. This is harmless, because with
  // no_new_privs an exec cannot add capabilities.
  for (int capability = 0; capability < 64; capability++) {
    if ((keep & bit(capability)) != 0 || ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0)
      continue;
    if (errno == EINVAL || errno == EPERM) break;
    return failed("bounding set");
  }
  CapabilitySets sets;
  if (!sets.read()) return failed("capget");
  for (int half = 0; half < 2; half++) {
    const auto kept = static_cast<__u32>(keep >> (32 * half));
    sets.halves[half].permitted &= kept;
    sets.halves[half].effective &= kept;
    sets.halves[half].inheritable = 0;  // this also clears ambient, which is a subset
  }
  if (!sets.write()) return failed("capset");
  return Done{};
}

}  // namespace flowmeter
