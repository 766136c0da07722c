// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/attached_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <string_view>

#include "base/unique_fd.h"
#include "kernel/netlink_request.h"

namespace flowmeter {
namespace {

// Values of enum bpf_attach_type since Linux 6.6; older headers lack the names.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);
// The kernel's limit of programs at one TCX hook (BPF_MPROG_MAX).
constexpr size_t kTcxProgramsMax = 64;

// ---- the hooks ----

using TakeTcMessage = std::function<void(const tcmsg& message, std::string_view attributes)>;

// Dumps tc objects. If something changed during the dump, calls `begin`, which discards everything
// passed to `take`, and dumps again.
Status dump_tc(int type, unsigned interface_index, uint32_t parent,
               const std::function<void()>& begin, const TakeTcMessage& take) {
  struct {
    nlmsghdr header;
    tcmsg message;
  } request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = static_cast<uint16_t>(type);
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.message.tcm_family = AF_UNSPEC;
  request.message.tcm_ifindex = static_cast<int>(interface_index);
  request.message.tcm_parent = parent;
  constexpr int kAttempts = 5;
  for (int attempt = 1;; attempt++) {
    begin();
    Status done =
        netlink_request(NETLINK_ROUTE, request.header, [&](const nlmsghdr&, std::string_view body) {
          tcmsg message;
          if (body.size() < sizeof(message)) return;
          std::memcpy(&message, body.data(), sizeof(message));
          take(message, body.substr(sizeof(message)));
        });
    if (done || done.error().os_error != EINTR || attempt == kAttempts) return done;
  }
}

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

Status add_tcx(const Interface& interface, bpf_attach_type type, const char* hook,
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

// The qdisc that holds filters of received packets: "clsact", "ingress", or "" if there is neither.
Result<std::string> filter_qdisc(const Interface& interface) {
  std::string kind;
  Status status = dump_tc(
      RTM_GETQDISC, interface.index, 0, [&] { kind.clear(); },
      [&](const tcmsg& message, std::string_view attributes) {
        // The kernel sends the qdiscs of all interfaces, whatever was requested.
        if (message.tcm_ifindex == static_cast<int>(interface.index) &&
            message.tcm_parent == TC_H_INGRESS)
          kind = netlink_text(netlink_attribute(attributes, TCA_KIND));
      });
  if (!status) return Error{"cannot list the qdiscs of " + interface.name, status.error().os_error};
  return kind;
}

Status add_filters(const Interface& interface, const std::string& qdisc, uint32_t minor,
                   const char* direction, std::vector<AttachedProgram>& programs) {
  std::vector<AttachedProgram> filters;
  Status status = dump_tc(
      RTM_GETTFILTER, interface.index, TC_H_MAKE(TC_H_CLSACT, minor), [&] { filters.clear(); },
      [&](const tcmsg& message, std::string_view attributes) {
        // The head of a priority comes first, without a handle, then its filters. For kinds other
        // than BPF the head is sufficient.
        const std::string kind = netlink_text(netlink_attribute(attributes, TCA_KIND));
        const bool is_head = message.tcm_handle == 0;
        if ((kind == "bpf") == is_head) return;
        AttachedProgram filter{qdisc + "/" + direction, 0, kind, ""};
        if (kind == "bpf") {
          const std::string_view options = netlink_attribute(attributes, TCA_OPTIONS);
          filter.program_id = netlink_number<uint32_t>(netlink_attribute(options, TCA_BPF_ID));
          filter.program_name = program_name(filter.program_id);
          if (filter.program_name.empty())
            filter.program_name = netlink_text(netlink_attribute(options, TCA_BPF_NAME));
        }
        filters.push_back(std::move(filter));
      });
  if (!status)
    return Error{"cannot list the filters of " + interface.name, status.error().os_error};
  programs.insert(programs.end(), filters.begin(), filters.end());
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
uint32_t program_behind(const std::string& process, const std::string& fd) {
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
      const uint32_t id = program_behind(process, fd);
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
  auto qdisc = filter_qdisc(interface);
  if (!qdisc) return qdisc.error();
  const bool both_directions = *qdisc == "clsact";
  struct Way {
    bpf_attach_type tcx;
    const char* tcx_hook;
    uint32_t minor;
    const char* direction;
    bool has_filters;
  };
  const Way ways[] = {
      {kTcxIngress, "tcx/ingress", TC_H_MIN_INGRESS, "ingress", !qdisc->empty()},
      {kTcxEgress, "tcx/egress", TC_H_MIN_EGRESS, "egress", both_directions},
  };
  for (const Way& way : ways) {
    if (Status tcx = add_tcx(interface, way.tcx, way.tcx_hook, programs); !tcx) return tcx.error();
    if (!way.has_filters) continue;
    if (Status filters = add_filters(interface, *qdisc, way.minor, way.direction, programs);
        !filters)
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
