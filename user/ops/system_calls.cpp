// SPDX-License-Identifier: BSD-3-Clause
#include "ops/system_calls.h"

#include <cerrno>
#include <cstring>

#ifdef FLOWMETER_SECCOMP

#include <linux/bpf.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <initializer_list>
#include <set>

#include "base/shared_library.h"

namespace flowmeter {
namespace {

// ---- libseccomp, loaded when a run starts: linking it would delay every other start ----

// clang-format off
#define FM_SECCOMP_FUNCTIONS(X) \
  X(attr_set) X(init) X(load) X(release) X(rule_add_array) X(syscall_resolve_name) X(version)
// clang-format on

struct Library {
#define FM_SECCOMP_FUNCTION(name) decltype(&::seccomp_##name) name = nullptr;
  FM_SECCOMP_FUNCTIONS(FM_SECCOMP_FUNCTION)
#undef FM_SECCOMP_FUNCTION
  std::string missing;  // why it cannot be used

  Library() {
    SharedLibrary library("libseccomp.so.2");
#define FM_SECCOMP_FIND(name) library.find(&name, "seccomp_" #name);
    FM_SECCOMP_FUNCTIONS(FM_SECCOMP_FIND)
#undef FM_SECCOMP_FIND
    if (!library.usable()) missing = "no seccomp (libseccomp: " + library.why() + ")";
  }
};

// ---- the lists ----

using Names = std::initializer_list<const char*>;

// clang-format off
// Names that this architecture or libseccomp does not know are ignored.
const Names kAllowed = {
    // Files: outputs, captures, spools and pins; Landlock limits which.
    "access", "close", "copy_file_range", "dup", "dup3", "faccessat", "faccessat2", "fadvise64",
    "fallocate", "fchmod", "fcntl", "fdatasync", "flock", "fstat", "fstatfs", "fsync", "ftruncate",
    "getcwd", "getdents64", "link", "linkat", "lseek", "lstat", "mkdir", "mkdirat", "newfstatat",
    "open", "openat", "pipe2", "pread64", "preadv", "pwrite64", "pwritev", "read", "readlink",
    "readlinkat", "readv", "rename", "renameat", "renameat2", "rmdir", "stat", "statfs", "statx",
    "sync_file_range", "unlink", "unlinkat", "write", "writev",
    // Waiting.
    "clock_nanosleep", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_wait", "eventfd2",
    "nanosleep", "poll", "ppoll", "pselect6", "select",
    // Memory and threads.
    "brk", "exit", "exit_group", "futex", "get_robust_list", "madvise", "membarrier", "mremap",
    "msync", "munmap", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "rt_sigtimedwait", "sched_getaffinity", "sched_yield", "set_robust_list", "sigaltstack",
    // Questions.
    "clock_getres", "clock_gettime", "getcpu", "getegid", "geteuid", "getgid", "getpid", "getppid",
    "getrandom", "getrusage", "gettid", "gettimeofday", "getuid", "sysinfo", "time", "times",
    "uname",
};

// Meters ask the kernel and the service manager, others only use HTTP.
const Names kWithSockets = {
    "bind", "connect", "getpeername", "getsockname", "getsockopt", "recvfrom", "recvmmsg",
    "recvmsg", "sendmmsg", "sendmsg", "sendto", "setsockopt", "socketpair", "shutdown",
};

// The guardian of filters (kernel/clsact.cpp) may start when an interface appears.
const Names kWithGuardian = {
    "chdir", "close_range", "dup2", "setsid", "wait4",
};

const Names kEndTheProcess = {
    "add_key", "chroot", "delete_module", "execve", "execveat", "finit_module", "fsconfig",
    "fsmount", "fsopen", "fspick", "init_module", "ioperm", "iopl", "kexec_file_load", "kexec_load",
    "keyctl", "mount", "mount_setattr", "move_mount", "open_by_handle_at", "open_tree",
    "perf_event_open", "pidfd_getfd", "pivot_root", "process_vm_readv", "process_vm_writev",
    "ptrace", "reboot", "request_key", "setns", "swapoff", "swapon", "umount2", "unshare",
    "userfaultfd",
};
// clang-format on

// What a meter does with objects that exist. bpf(2) on others ends the process, below.
constexpr int kBpfAllowed[] = {
    BPF_MAP_LOOKUP_ELEM,  BPF_MAP_UPDATE_ELEM,  BPF_MAP_DELETE_ELEM,
    BPF_MAP_GET_NEXT_KEY, BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH,
    BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH, BPF_OBJ_PIN,
    BPF_OBJ_GET,          BPF_PROG_TEST_RUN,    BPF_OBJ_GET_INFO_BY_FD,
    BPF_PROG_QUERY,       BPF_LINK_CREATE,      BPF_LINK_UPDATE,
    BPF_LINK_DETACH,      BPF_LINK_GET_NEXT_ID, BPF_MAP_FREEZE,
};
constexpr int kBpfEnds[] = {BPF_MAP_CREATE, BPF_PROG_LOAD, BPF_PROG_ATTACH, BPF_RAW_TRACEPOINT_OPEN,
                            BPF_BTF_LOAD};

// Of terminals and pipes. TIOCSTI, which types into the terminal, is not among them.
constexpr unsigned long kIoctls[] = {
    TCGETS,
    TCSETS,
    TCSETSW,
    TCSETSF,
    TIOCGWINSZ,
    TIOCGPGRP,
    FIONREAD,
    FIONBIO,
    // TCGETS2, TCSETS2, TCSETSW2, TCSETSF2, which newer C libraries use
    0x802c542a,
    0x402c542b,
    0x402c542c,
    0x402c542d,
};
constexpr unsigned long kInterfaceIoctls[] = {SIOCETHTOOL, SIOCGIFFLAGS, SIOCGIFINDEX, SIOCGIFMTU,
                                              SIOCGIFNAME};

constexpr uint64_t kNewNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
constexpr int kSetVma = 0x53564d41;  // malloc names its memory

// ---- the filter ----

class Filter {
 public:
  Filter(const Library& library, uint32_t otherwise)
      : library_(library), context_(library.init(otherwise)) {
    if (!context_) error_ = EINVAL;
  }
  ~Filter() {
    if (context_) library_.release(context_);
  }
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;

  void set(scmp_filter_attr attribute, uint32_t value) {
    if (context_) (void)library_.attr_set(context_, attribute, value);  // unknown to an older one
  }
  // For calls whose arguments match all conditions.
  void add(uint32_t action, const char* name, std::initializer_list<scmp_arg_cmp> conditions = {}) {
    const int number = context_ ? library_.syscall_resolve_name(name) : __NR_SCMP_ERROR;
    if (number < 0) return;
    const int added = library_.rule_add_array(
        context_, action, number, static_cast<unsigned>(conditions.size()), conditions.begin());
    if (added != 0) error_ = -added;
    if (action == SCMP_ACT_ALLOW) allowed_.insert(number);
  }
  void add(uint32_t action, const Names& names) {
    for (const char* name : names) add(action, name);
  }
  void allow(const char* name, std::initializer_list<scmp_arg_cmp> conditions) {
    add(SCMP_ACT_ALLOW, name, conditions);
  }

  // Returns 0 or an errno value.
  int load() {
    if (error_ == 0) error_ = -library_.load(context_);
    return error_;
  }
  size_t calls() const { return allowed_.size(); }

 private:
  const Library& library_;
  scmp_filter_ctx context_;
  std::set<int> allowed_;
  int error_ = 0;
};

// Argument number `which` is an int with this value. The kernel ignores the register's upper half.
scmp_arg_cmp is(unsigned which, auto value) {
  return {which, SCMP_CMP_MASKED_EQ, 0xffffffff, static_cast<uint32_t>(value)};
}
scmp_arg_cmp has_none_of(unsigned which, uint64_t bits) {
  return {which, SCMP_CMP_MASKED_EQ, bits, 0};
}

void allow_sockets(Filter& filter, bool connects) {
  constexpr uint64_t kType = 0xf;  // without SOCK_CLOEXEC and SOCK_NONBLOCK
  filter.add(SCMP_ACT_ALLOW, kWithSockets);
  for (const unsigned long request : kInterfaceIoctls) filter.allow("ioctl", {is(1, request)});
  for (const int family : {AF_UNIX, AF_NETLINK}) filter.allow("socket", {is(0, family)});
  if (!connects) return;
  for (const int family : {AF_INET, AF_INET6})
    for (const uint64_t type : {SOCK_STREAM, SOCK_DGRAM})  // HTTP, DNS
      filter.allow("socket", {is(0, family), {1, SCMP_CMP_MASKED_EQ, kType, type}});
}

void allow_all(Filter& filter, const Confinement& needs) {
  filter.add(SCMP_ACT_KILL_PROCESS, kEndTheProcess);
  filter.add(SCMP_ACT_ALLOW, kAllowed);
  // Threads, and children with the same restrictions.
  filter.allow("clone", {has_none_of(0, kNewNamespaces)});
  filter.allow("clone3", {});                           // refused by the other filter
  filter.allow("tgkill", {is(0, ::getpid())});          // abort()
  filter.allow("prlimit64", {{2, SCMP_CMP_EQ, 0, 0}});  // a question
  for (const int option : {PR_SET_NAME, PR_GET_NAME, kSetVma})
    filter.allow("prctl", {is(0, option)});
  for (const unsigned long request : kIoctls) filter.allow("ioctl", {is(1, request)});
  // Name resolution loads modules; nothing else brings new code into the process.
  const uint64_t new_code = needs.connects ? 0 : PROT_EXEC;
  for (const char* name : {"mmap", "mprotect"}) filter.allow(name, {has_none_of(2, new_code)});
  if (needs.meters || needs.connects) allow_sockets(filter, needs.connects);
  // No other socket, and none that would be opened later under its number: bind and listen need one
  // of a family that is not allowed.
  if (needs.accepts >= 0) filter.allow("accept4", {is(0, needs.accepts)});
  if (needs.meters) {
    filter.add(SCMP_ACT_ALLOW, kWithGuardian);
    for (const int command : kBpfAllowed) filter.allow("bpf", {is(0, command)});
    for (const int command : kBpfEnds) filter.add(SCMP_ACT_KILL_PROCESS, "bpf", {is(0, command)});
  } else {
    filter.add(SCMP_ACT_KILL_PROCESS, "bpf");
  }
}

const Library& library() {
  static const Library loaded;
  return loaded;
}

Mechanism refused(int os_error) {
  return {.is_refused = true,
          .text = std::string("no seccomp (refused: ") + std::strerror(os_error) + ")"};
}

}  // namespace

Mechanism seccomp_available() {
  if (!library().missing.empty()) return {.text = library().missing};
  if (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) return {.text = "no seccomp (not in this kernel)"};
  const scmp_version* version = library().version();
  return {.works = true,
          .text = "seccomp by libseccomp " + std::to_string(version->major) + "." +
                  std::to_string(version->minor) + "." + std::to_string(version->micro)};
}

Mechanism enter_seccomp(const Confinement& needs) {
  // glibc tries clone3 for each thread, whose flags a filter cannot see, and then uses clone. A
  // separate filter refuses it, which is not logged.
  Filter clone3(library(), SCMP_ACT_ALLOW);
  clone3.set(SCMP_FLTATR_CTL_SSB, 1);
  clone3.add(SCMP_ACT_ERRNO(ENOSYS), "clone3");
  if (const int error = clone3.load(); error != 0) return refused(error);
  Filter filter(library(), SCMP_ACT_ERRNO(ENOSYS));
  // Before Linux 5.16 a filter otherwise slows down all code of the process, against attacks by
  // code that it loads; there is none here.
  filter.set(SCMP_FLTATR_CTL_SSB, 1);
  filter.set(SCMP_FLTATR_CTL_LOG, 1);
  filter.set(SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree, which is also made faster
  allow_all(filter, needs);
  if (const int error = filter.load(); error != 0) return refused(error);
  return {.works = true, .text = "seccomp (" + std::to_string(filter.calls()) + " calls)"};
}

}  // namespace flowmeter

#else

namespace flowmeter {

Mechanism seccomp_available() {
  return {.text = "no seccomp (built without libseccomp)"};
}
Mechanism enter_seccomp(const Confinement&) {
  return seccomp_available();
}

}  // namespace flowmeter

#endif
