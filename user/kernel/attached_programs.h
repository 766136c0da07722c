// SPDX-License-Identifier: BSD-3-Clause
// The other programs and filters that see the packets of an interface, at the hooks where the meter
// may attach. Changes nothing. For messages ("the hook is taken by …") and doctor, not for the
// packet path: to find owners, it searches /proc.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/interface.h"

namespace flowmeter {

// Values of enum bpf_attach_type since Linux 6.6; older headers lack the names.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);

struct AttachedProgram {
  // "xdp" (native), "xdp-generic", "xdp-offload", "tcx/ingress", "tcx/egress", "clsact/ingress",
  // "clsact/egress"; "ingress/ingress" where the qdisc is the older kind "ingress".
  std::string hook;
  uint32_t program_id = 0;   // 0: a filter that is not BPF
  std::string program_name;  // of the program if this process may ask for it (CAP_SYS_ADMIN), else
                             // of its filter, else ""; the kind ("u32", "flower") if not BPF
  // Processes that hold the program or its link open, as "cilium-agent (pid 812)". Empty if there
  // are none (pinned programs; filters of tc and ip), or if this process may not see them
  // (CAP_SYS_PTRACE).
  std::string owner;
};

// Lists them in the order in which they run, ingress before egress. Fails with EPERM without
// CAP_NET_ADMIN, which the kernel requires for TCX.
Result<std::vector<AttachedProgram>> attached_programs(const Interface& interface);

// "program 12 \"cil_from_netdev\", held by cilium-agent (pid 812)", "filter u32".
std::string describe(const AttachedProgram& program);

}  // namespace flowmeter
