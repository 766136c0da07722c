// SPDX-License-Identifier: BSD-3-Clause
#include "ops/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/result.h"
#include "base/unique_fd.h"

namespace flowmeter {
namespace {

// Newer than the headers of the oldest supported distribution.
constexpr uint64_t kTruncate = 1u << 14, kIoctlDevice = 1u << 15;
constexpr uint64_t kBindTcp = 1u << 0, kConnectTcp = 1u << 1;
constexpr uint64_t kScopeAbstractUnix = 1u << 0, kScopeSignal = 1u << 1;
struct RulesetAttributes {
  uint64_t handled_files;
  uint64_t handled_network;  // ABI 4
  uint64_t scoped;           // ABI 6
};

constexpr uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr uint64_t kReadDirectory = LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kRemoveDirectory = LANDLOCK_ACCESS_FS_REMOVE_DIR;
constexpr uint64_t kChangeFile = kReadFile | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;
constexpr uint64_t kChangeDirectory = kChangeFile | kReadDirectory | LANDLOCK_ACCESS_FS_MAKE_REG |
                                      LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                      kRemoveDirectory | LANDLOCK_ACCESS_FS_REFER;

// The library and the system that the run needs beside its own files.
constexpr const char* kAlwaysRead[] = {"/etc/localtime", "/usr/share/zoneinfo"};
// Name resolution, TLS and the certificate authorities. /etc as a whole, because resolv.conf, hosts
// and certificates are replaced while the run lasts; /usr and /lib for modules that are loaded
// then.
constexpr const char* kToConnect[] = {
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/var/lib/ca-certificates",
    "/proc/sys/crypto",
};

uint64_t files_of_abi(int abi) {
  const int bits = abi < 2 ? 13 : abi < 3 ? 14 : abi < 5 ? 15 : 16;
  return (uint64_t{1} << bits) - 1;
}

RulesetAttributes attributes(int abi, const Confinement& needs) {
  RulesetAttributes all{};
  all.handled_files = files_of_abi(abi);
  if (abi >= 4) all.handled_network = kBindTcp | (needs.connects ? 0 : kConnectTcp);
  // A meter uses abstract sockets of others: the service manager's, and those by which another
  // meter shows that it is alive (kernel/clsact.cpp).
  if (abi >= 6) all.scoped = kScopeSignal | (needs.meters ? 0 : kScopeAbstractUnix);
  return all;
}

// Its version; negative: errno, why there is none.
int landlock_abi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1u /* its version */);
  return abi >= 0 ? static_cast<int>(abi) : -errno;
}

Mechanism without(int os_error) {
  switch (os_error) {
    case ENOSYS:
      return {.text = "no landlock (not in this kernel)"};
    case EOPNOTSUPP:
      return {.text = "no landlock (disabled when the system was booted)"};
    default:
      return {.is_refused = true,
              .text = std::string("no landlock (refused: ") + std::strerror(os_error) + ")"};
  }
}

class Ruleset {
 public:
  Ruleset(int abi, const Confinement& needs) : handled_(attributes(abi, needs)) {
    const size_t size = abi < 4 ? 8 : abi < 6 ? 16 : sizeof(handled_);
    fd_ = UniqueFd(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled_, size, 0)));
    if (!fd_) error_ = errno;
  }

  // directory and file: what is allowed, depending on what the path is.
  void allow(const std::string& path, uint64_t directory, uint64_t file) {
    const UniqueFd there(::open(path.c_str(), O_PATH | O_CLOEXEC));
    // Without its rule the run would fail later, and without a word.
    if (!there && Error{path, errno}.is_shortage()) error_ = errno;
    struct stat status {};
    if (!fd_ || !there || ::fstat(there.get(), &status) != 0) return;
    landlock_path_beneath_attr rule{};
    rule.allowed_access = (S_ISDIR(status.st_mode) ? directory : file) & handled_.handled_files;
    rule.parent_fd = there.get();
    // EBADFD: a pipe, for instance by /dev/fd, which is always allowed.
    if (rule.allowed_access != 0 &&
        ::syscall(SYS_landlock_add_rule, fd_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0 &&
        errno != EBADFD)
      error_ = errno;
  }

  // Returns 0 or an errno value.
  int enter() {
    if (error_ == 0 && ::syscall(SYS_landlock_restrict_self, fd_.get(), 0) != 0) error_ = errno;
    return error_;
  }

 private:
  const RulesetAttributes handled_;
  UniqueFd fd_;
  int error_ = 0;
};

}  // namespace

Mechanism landlock_available() {
  const int abi = landlock_abi();
  if (abi < 1) return without(-abi);
  return {.works = true, .text = "landlock abi " + std::to_string(abi)};
}

Mechanism enter_landlock(const Confinement& needs) {
  const int abi = landlock_abi();
  if (abi < 1) return without(-abi);
  Ruleset rules(abi, needs);
  const auto read = [&rules](const std::string& path) {
    rules.allow(path, kReadFile | kReadDirectory, kReadFile);
  };
  for (const char* path : kAlwaysRead) read(path);
  for (const std::string& path : needs.reads) read(path);
  if (needs.connects) {
    for (const char* path : kToConnect) read(path);
    for (const char* variable : {"SSL_CERT_FILE", "SSL_CERT_DIR"})
      if (const char* path = std::getenv(variable)) read(path);
  }
  for (const std::string& path : needs.changes) rules.allow(path, kChangeDirectory, kChangeFile);
  for (const std::string& path : needs.removes_files_from)
    rules.allow(path, LANDLOCK_ACCESS_FS_REMOVE_FILE, 0);
  for (const std::string& path : needs.removes_directories_from)
    rules.allow(path, kRemoveDirectory, 0);
  if (const int error = rules.enter(); error != 0) return without(error);
  return {.works = true, .text = "landlock abi " + std::to_string(abi)};
}

}  // namespace flowmeter
