// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/attached_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <linux/if_link.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <string_view>

#include "base/unique_fd.h"
#include "kernel/traffic_control.h"

namespace flowmeter {
namespace {

// The kernel's limit of programs at one TCX hook (BPF_MPROG_MAX).
constexpr size_t kTcxProgramsMax = 64;

// ---- the hooks ----

std::string program_name(uint32_t program_id) {
  const UniqueFd fd(bpf_prog_get_fd_by_id(program_id));
  bpf_prog_info info{};
  __u32 size = sizeof(info);
  if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return "";
  return std::string(info.name, ::strnlen(info.name, sizeof(info.name)));
}

Status add_xdp(const Interface& interface, std::vector<AttachedProgram>& programs) {
  LIBBPF_OPTS(bpf_xdp_query_opts, found);
  if (const int error = bpf_xdp_query(static_cast<int>(interface.index), 0, &found); error != 0)
    return Error{"cannot ask for the XDP programs of " + interface.name, -error};
  const auto add = [&](const char* hook, uint32_t id) {
    if (id != 0) programs.push_back({hook, id, program_name(id), ""});
  };
  if (found.attach_mode == XDP_ATTACHED_MULTI) {
    add("xdp-offload", found.hw_prog_id);
    add("xdp", found.drv_prog_id);
    add("xdp-generic", found.skb_prog_id);
  } else if (found.attach_mode != XDP_ATTACHED_NONE) {
    add(found.attach_mode == XDP_ATTACHED_HW    ? "xdp-offload"
        : found.attach_mode == XDP_ATTACHED_SKB ? "xdp-generic"
                                                : "xdp",
        found.prog_id);
  }
  return Done{};
}

Status add_tcx(const Interface& interface, bpf_attach_type type, const std::string& hook,
               std::vector<AttachedProgram>& programs) {
  std::array<__u32, kTcxProgramsMax> ids{};
  __u32 count = ids.size();
  const int error =
      bpf_prog_query(static_cast<int>(interface.index), type, 0, nullptr, ids.data(), &count);
  if (error == -EINVAL) return Done{};  // a kernel without TCX
  if (error == -EPERM)
    return Error{"cannot ask for the TCX programs of " + interface.name + " without CAP_NET_ADMIN",
                 EPERM};
  if (error != 0) return Error{"cannot ask for the TCX programs of " + interface.name, -error};
  for (size_t i = 0; i < std::min<size_t>(count, ids.size()); i++)
    programs.push_back({hook, ids[i], program_name(ids[i]), ""});
  return Done{};
}

Status add_filters(const Interface& interface, Direction direction, const std::string& hook,
                   std::vector<AttachedProgram>& programs) {
  auto filters = list_filters(interface.index, direction);
  if (!filters)
    return Error{"cannot list the filters of " + interface.name, filters.error().os_error};
  for (const TrafficFilter& filter : *filters) {
    // The head of a priority comes first, without a handle, then its filters. For kinds other than
    // BPF the head is sufficient.
    const bool is_bpf = filter.kind == "bpf", is_head = filter.handle == 0;
    if (is_bpf == is_head) continue;
    std::string name = is_bpf ? program_name(filter.program_id) : filter.kind;
    programs.push_back({hook, filter.program_id, name.empty() ? filter.name : name, ""});
  }
  return Done{};
}

// ---- owners ----

template <typename Take>
void for_each_entry(const std::string& directory, Take take) {
  DIR* stream = ::opendir(directory.c_str());
  if (!stream) return;  // the process has ended or is hidden
  while (const dirent* entry = ::readdir(stream))
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') take(std::string(entry->d_name));
  ::closedir(stream);
}

// The id of the program that a file descriptor refers to, directly or by its link; otherwise 0.
uint32_t program_of(const std::string& process, const std::string& fd) {
  char target[32];
  const ssize_t length = ::readlink((process + "/fd/" + fd).c_str(), target, sizeof(target));
  if (length <= 0) return 0;
  const std::string_view name(target, static_cast<size_t>(length));
  if (!name.starts_with("anon_inode:bpf-prog") && !name.starts_with("anon_inode:bpf_link"))
    return 0;
  std::ifstream info(process + "/fdinfo/" + fd);
  for (std::string key; info >> key;) {
    uint32_t id = 0;
    if (key == "prog_id:" && info >> id) return id;
  }
  return 0;
}

void find_owners(std::vector<AttachedProgram>& programs) {
  std::map<uint32_t, std::string> owners;
  for (const AttachedProgram& program : programs)
    if (program.program_id != 0) owners[program.program_id];
  if (owners.empty()) return;
  for_each_entry("/proc", [&](const std::string& pid) {
    const std::string process = "/proc/" + pid;
    std::vector<uint32_t> seen;  // often both the program and its link are open
    for_each_entry(process + "/fd", [&](const std::string& fd) {
      const uint32_t id = program_of(process, fd);
      const auto owner = owners.find(id);
      if (owner == owners.end() || std::find(seen.begin(), seen.end(), id) != seen.end()) return;
      seen.push_back(id);
      std::string name = "?";
      std::ifstream comm(process + "/comm");
      std::getline(comm, name);
      owner->second += (owner->second.empty() ? "" : ", ") + name + " (pid " + pid + ")";
    });
  });
  for (AttachedProgram& program : programs)
    if (program.program_id != 0) program.owner = owners[program.program_id];
}

}  // namespace

Result<std::vector<AttachedProgram>> attached_programs(const Interface& interface) {
  std::vector<AttachedProgram> programs;
  if (Status xdp = add_xdp(interface, programs); !xdp) return xdp.error();
  auto qdisc = ingress_qdisc(interface.index);
  if (!qdisc) return Error{"cannot list the qdiscs of " + interface.name, qdisc.error().os_error};
  for (const Direction direction : {Direction::kIngress, Direction::kEgress}) {
    const bool ingress = direction == Direction::kIngress;
    const std::string way = ingress ? "/ingress" : "/egress";
    if (Status tcx = add_tcx(interface, ingress ? kTcxIngress : kTcxEgress, "tcx" + way, programs);
        !tcx)
      return tcx.error();
    if (qdisc->empty() || (*qdisc == "ingress" && !ingress)) continue;
    if (Status filters = add_filters(interface, direction, *qdisc + way, programs); !filters)
      return filters.error();
  }
  find_owners(programs);
  return programs;
}

std::string describe(const AttachedProgram& program) {
  if (program.program_id == 0) return "filter " + program.program_name;
  std::string text = "program " + std::to_string(program.program_id);
  if (!program.program_name.empty()) text += " \"" + program.program_name + "\"";
  if (!program.owner.empty()) text += ", held by " + program.owner;
  return text;
}

}  // namespace flowmeter
