// SPDX-License-Identifier: BSD-3-Clause
// What this kernel offers and what this process may have of it, found out by trying: programs and
// maps are created and dropped, hooks are tried in a network namespace that goes with the process
// that tries. Nothing that exists is changed. Works without any privilege, with less to say.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/diagnosis.h"

namespace flowmeter {

std::string kernel_release();

std::vector<Finding> kernel_findings();
std::vector<Finding> process_findings();

// The least memory limit of the control groups of a process, in bytes; nothing if there is none.
// `membership` is the text of /proc/PID/cgroup, `mounts` where the hierarchies are mounted, as a
// rule /sys/fs/cgroup.
std::optional<uint64_t> cgroup_memory_limit(const std::string& membership,
                                            const std::string& mounts);

}  // namespace flowmeter
