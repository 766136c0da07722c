// SPDX-License-Identifier: BSD-3-Clause
#include "ops/kernel_findings.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/unique_fd.h"
#include "ops/privileges.h"
#include "ops/sandbox.h"

namespace flowmeter {
namespace {

constexpr int kTcxNext = -1;
constexpr char kBpffs[] = "/sys/fs/bpf";
// A live run with default limits takes less memory than this, kernel and daemon together.
constexpr uint64_t kDefaultMemory = uint64_t{256} << 20;

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string first_line(const std::string& path) {
  const std::string text = file_text(path);
  return text.substr(0, text.find('\n'));
}

// ---- programs and maps ----

// Loads a program that does nothing. Returns its descriptor, or a negative errno value.
int load_empty_program(bpf_prog_type type) {
  std::array<bpf_insn, 2> instructions{};
  instructions[0].code = BPF_ALU64 | BPF_MOV | BPF_K;  // r0 = the verdict that passes packets on
  instructions[0].imm = type == BPF_PROG_TYPE_XDP ? XDP_PASS : kTcxNext;
  instructions[1].code = BPF_JMP | BPF_EXIT;
  return bpf_prog_load(type, "fm_doctor", "Dual BSD/GPL", instructions.data(), instructions.size(),
                       nullptr);
}

// The errno value of an attempt, or 0 if it succeeded.
Finding tried(const char* what, int error, const char* meaning, const std::string& otherwise) {
  if (error == 0) return {what, FindingState::kOk, Need::kRequired, meaning};
  if (error == EPERM || error == EACCES) {
    const std::string missing = missing_capabilities();
    return {what, FindingState::kUnknown, Need::kRequired,
            "unknown without " +
                (missing.empty() ? std::string("permission from the kernel") : missing)};
  }
  return {what, FindingState::kMissing, Need::kRequired,
          otherwise + " (" + std::strerror(error) + ")"};
}

Finding map_finding(const char* what, bpf_map_type type, uint32_t flags, const char* meaning,
                    const char* otherwise) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
  const int fd = bpf_map_create(type, "fm_doctor", 4, 4, 16, &options);
  const UniqueFd map(fd);
  return tried(what, fd < 0 ? -fd : 0, meaning, otherwise);
}

// ---- hooks ----

// errno values of attaching to the loopback interface of an empty network namespace; -1: not tried.
struct HookAttempts {
  int tcx = -1, clsact = -1, xdp = -1;
};

HookAttempts attach_in_this_namespace(int classifier, int xdp_program) {
  constexpr int kLoopback = 1;  // its index in a new namespace
  HookAttempts attempts;
  const UniqueFd tcx(bpf_link_create(classifier, kLoopback, kTcxIngress, nullptr));
  attempts.tcx = tcx ? 0 : errno;
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = kLoopback, .attach_point = BPF_TC_EGRESS);
  LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = classifier);
  int error = bpf_tc_hook_create(&hook);
  if (error == 0) error = bpf_tc_attach(&hook, &filter);
  attempts.clsact = -error;
  LIBBPF_OPTS(bpf_link_create_opts, generic, .flags = XDP_FLAGS_SKB_MODE);
  const UniqueFd xdp(bpf_link_create(xdp_program, kLoopback, BPF_XDP, &generic));
  attempts.xdp = xdp ? 0 : errno;
  return attempts;
}

// A child process does this, so that the new namespace ends with it. Without CAP_SYS_ADMIN it also
// creates a user namespace, if the system allows that.
HookAttempts try_hooks(int classifier, int xdp_program) {
  HookAttempts attempts;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return attempts;
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return attempts;
  if (child == 0) {
    const bool apart = ::unshare(CLONE_NEWNET) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
    if (apart) attempts = attach_in_this_namespace(classifier, xdp_program);
    const ssize_t written = ::write(write_end.get(), &attempts, sizeof(attempts));
    ::_exit(written == sizeof(attempts) ? 0 : 1);
  }
  write_end = UniqueFd();
  HookAttempts answer;
  if (::read(read_end.get(), &answer, sizeof(answer)) == sizeof(answer)) attempts = answer;
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return attempts;
}

Finding hook_finding(const char* what, int attempt, const std::string& missing_text,
                     const char* meaning) {
  if (attempt == 0) return {what, FindingState::kOk, Need::kOptional, meaning};
  if (attempt < 0 || attempt == EPERM || attempt == EACCES)
    return {what, FindingState::kUnknown, Need::kOptional,
            "unknown without CAP_SYS_ADMIN (to try it in a network namespace)"};
  return {what, FindingState::kLimited, Need::kOptional,
          missing_text + " (" + std::strerror(attempt) + ")"};
}

std::vector<Finding> hook_findings(int classifier, int xdp_program) {
  std::vector<Finding> findings;
  if (classifier < 0 || xdp_program < 0) {
    const std::string missing = missing_capabilities();
    for (const char* what : {"tcx", "clsact", "xdp_link"})
      findings.push_back({what, FindingState::kUnknown, Need::kOptional,
                          "unknown without " + (missing.empty() ? "BPF programs" : missing)});
    return findings;
  }
  HookAttempts attempts = try_hooks(classifier, xdp_program);
  // Without a namespace, attach to no interface: a kernel with TCX fails to find the interface,
  // while others refuse the hook.
  if (attempts.tcx < 0) {
    __u32 count = 0;
    const int error = bpf_prog_query(0, kTcxIngress, 0, nullptr, nullptr, &count);
    attempts.tcx = error == -ENODEV ? 0 : -error;
  }
  const bool no_hook = attempts.tcx > 0 && attempts.clsact > 0;
  findings.push_back(hook_finding(
      "tcx", attempts.tcx,
      no_hook ? "needs Linux 6.6 or newer" : "needs Linux 6.6 or newer; --hook tc is used instead",
      "--hook tcx, the default: links that end with the process"));
  findings.push_back(hook_finding("clsact", attempts.clsact,
                                  "the kernel lacks NET_SCH_INGRESS or NET_CLS_BPF",
                                  "--hook tc: filters of a clsact qdisc"));
  if (no_hook)
    for (Finding& finding : findings) {
      finding.state = FindingState::kMissing;
      finding.need = Need::kRequired;
    }
  findings.push_back(hook_finding("xdp_link", attempts.xdp, "needs Linux 5.9 or newer",
                                  "--hook xdp and xdp-generic, for ingress"));
  return findings;
}

// ---- the process ----

Finding capability_finding(int capability, const char* name, const char* purpose) {
  const Capabilities effective = effective_capabilities();
  const auto has = [&](int number) { return (effective >> number & 1) != 0; };
  const bool by_sys_admin = capability != CAP_NET_ADMIN && has(CAP_SYS_ADMIN);
  if (has(capability)) return {name, FindingState::kOk, Need::kRequired, purpose};
  if (by_sys_admin)
    return {name, FindingState::kOk, Need::kRequired, std::string(purpose) + ", by CAP_SYS_ADMIN"};
  return {name, FindingState::kMissing, Need::kRequired,
          std::string(purpose) +
              "; run as root, or grant it (setcap, or AmbientCapabilities in systemd)"};
}

Finding user_namespace_finding() {
  // The initial user namespace maps all ids to themselves.
  std::istringstream map(file_text("/proc/self/uid_map"));
  uint64_t inside = 1, outside = 1, count = 0;
  map >> inside >> outside >> count;
  if (inside == 0 && outside == 0 && count == 4294967295)
    return {"user_namespace", FindingState::kOk, Need::kRequired, "the initial one"};
  if (count == 0)
    return {"user_namespace", FindingState::kUnknown, Need::kRequired,
            "/proc/self/uid_map cannot be read"};
  return {"user_namespace", FindingState::kMissing, Need::kRequired,
          "BPF capabilities only work in the initial user namespace (a rootless container has "
          "another one)"};
}

Finding bpffs_finding() {
  struct statfs filesystem {};
  if (::statfs(kBpffs, &filesystem) != 0 && (errno == EACCES || errno == EPERM))
    return {"bpffs", FindingState::kUnknown, Need::kOptional,
            std::string("unknown without access to ") + kBpffs};
  if (filesystem.f_type != BPF_FS_MAGIC)
    return {"bpffs", FindingState::kLimited, Need::kOptional,
            std::string("not mounted, so no --pin: mount -t bpf bpf ") + kBpffs};
  if (::access(kBpffs, W_OK) != 0)
    return {"bpffs", FindingState::kLimited, Need::kOptional,
            std::string(kBpffs) + " is not writable by this user: --pin needs another directory"};
  return {"bpffs", FindingState::kOk, Need::kOptional, std::string(kBpffs) + ", for --pin"};
}

Finding unprivileged_bpf_finding() {
  const std::string value = first_line("/proc/sys/kernel/unprivileged_bpf_disabled");
  return {"unprivileged_bpf", FindingState::kOk, Need::kOptional,
          value.empty() ? "the kernel has no such setting"
          : value == "0"
              ? "allowed (kernel.unprivileged_bpf_disabled=0); not relevant here"
              : "disabled (kernel.unprivileged_bpf_disabled=" + value + "); not relevant here"};
}

Finding memory_finding() {
  const auto limit = cgroup_memory_limit(file_text("/proc/self/cgroup"), "/sys/fs/cgroup");
  if (!limit) return {"memory_limit", FindingState::kOk, Need::kOptional, "no control group limit"};
  const std::string mib = std::to_string(*limit >> 20) + " MiB (control group)";
  if (*limit >= kDefaultMemory)
    return {"memory_limit", FindingState::kOk, Need::kOptional,
            mib + "; the defaults stay below 256 MiB"};
  return {"memory_limit", FindingState::kLimited, Need::kOptional,
          mib + "; the defaults may take 256 MiB: lower --max-flows and --event-memory"};
}

Finding time_namespace_finding() {
  std::istringstream offsets(file_text("/proc/self/timens_offsets"));
  std::string clock;
  for (int64_t seconds = 0, ns = 0; offsets >> clock >> seconds >> ns;)
    if (clock == "monotonic" && (seconds != 0 || ns != 0))
      return {"time_namespace", FindingState::kOk, Need::kOptional,
              "its monotonic clock is " + std::to_string(seconds) +
                  " s from the kernel's, which is corrected"};
  return {"time_namespace", FindingState::kOk, Need::kOptional, "the kernel's own monotonic clock"};
}

Finding sandbox_finding(const char* what, const Mechanism& mechanism, const char* purpose) {
  if (mechanism.works) return {what, FindingState::kOk, Need::kOptional, mechanism.text + purpose};
  return {what, FindingState::kLimited, Need::kOptional,
          mechanism.text + "; runs go on without it, except with --sandbox require"};
}

uint64_t least_limit(std::string directory, const std::string& mount, const char* file) {
  uint64_t least = UINT64_MAX;
  for (;;) {
    uint64_t limit = 0;
    // "max" is not a number and means no limit.
    if (std::ifstream value(directory + "/" + file); value >> limit) least = std::min(least, limit);
    if (directory.size() <= mount.size()) return least;
    directory.resize(directory.rfind('/'));
  }
}

}  // namespace

std::optional<uint64_t> cgroup_memory_limit(const std::string& membership,
                                            const std::string& mounts) {
  // Version 1 reports "no limit" as the largest number of whole pages.
  constexpr uint64_t kNoLimit = uint64_t{1} << 62;
  uint64_t least = UINT64_MAX;
  std::istringstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    // number:controllers:path; the number is 0 and there are no controllers in version 2.
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    while (!path.empty() && path.back() == '/') path.pop_back();
    if (controllers.empty())
      least = std::min(least, least_limit(mounts + path, mounts, "memory.max"));
    else if (("," + controllers + ",").find(",memory,") != std::string::npos)
      least = std::min(least, least_limit(mounts + "/memory" + path, mounts + "/memory",
                                          "memory.limit_in_bytes"));
  }
  if (least >= kNoLimit) return std::nullopt;
  return least;
}

std::vector<Finding> kernel_findings() {
  // Keeps libbpf from printing its own messages about failures.
  libbpf_set_print([](libbpf_print_level, const char*, va_list) { return 0; });
  const int classifier = load_empty_program(BPF_PROG_TYPE_SCHED_CLS);
  const int xdp = load_empty_program(BPF_PROG_TYPE_XDP);
  const UniqueFd owned[] = {UniqueFd(classifier), UniqueFd(xdp)};
  std::vector<Finding> findings = {
      tried("bpf_programs", classifier < 0 ? -classifier : 0, "tc programs can be loaded",
            "the kernel cannot load tc programs"),
      map_finding("lru_hash_map", BPF_MAP_TYPE_LRU_HASH, 0, "for fragments, and --flow-map lru",
                  "the kernel has no such map"),
      map_finding("event_streams", BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE,
                  "maps that the program can read as memory: no ring buffer is needed",
                  "needs Linux 5.5 or newer"),
  };
  const std::vector<Finding> hooks = hook_findings(classifier, xdp);
  findings.insert(findings.end(), hooks.begin(), hooks.end());
  findings.push_back({"btf", FindingState::kOk, Need::kOptional,
                      ::access("/sys/kernel/btf/vmlinux", F_OK) == 0
                          ? "available, but not needed"
                          : "not available, and not needed"});
  findings.push_back(bpffs_finding());
  findings.push_back(unprivileged_bpf_finding());
  return findings;
}

std::vector<Finding> process_findings() {
  std::vector<Finding> findings = {
      capability_finding(CAP_BPF, "CAP_BPF", "to load programs and create maps"),
      capability_finding(CAP_NET_ADMIN, "CAP_NET_ADMIN", "to attach to interfaces"),
      capability_finding(CAP_PERFMON, "CAP_PERFMON", "for pointer arithmetic in the programs"),
  };
  if ((effective_capabilities() >> CAP_SYS_ADMIN & 1) != 0)
    findings.push_back({"CAP_SYS_ADMIN", FindingState::kOk, Need::kOptional,
                        "for --netns and the names of other programs"});
  else
    findings.push_back({"CAP_SYS_ADMIN", FindingState::kLimited, Need::kOptional,
                        "no --netns, no names of other programs; metering does not need it"});
  const Sandbox sandbox = available_sandbox();
  findings.push_back(
      sandbox_finding("landlock", sandbox.landlock, ": a run only reaches its own files"));
  findings.push_back(
      sandbox_finding("seccomp", sandbox.seccomp, ": a run only makes the system calls it needs"));
  findings.push_back(user_namespace_finding());
  findings.push_back(memory_finding());
  findings.push_back({"cpus", FindingState::kOk, Need::kOptional,
                      std::to_string(::sysconf(_SC_NPROCESSORS_ONLN)) + " online of " +
                          std::to_string(libbpf_num_possible_cpus()) + " possible"});
  findings.push_back(time_namespace_finding());
  return findings;
}

}  // namespace flowmeter
