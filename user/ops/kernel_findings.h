// SPDX-License-Identifier: BSD-3-Clause
// Which features this kernel has and this process may use, determined by trying them. Programs and
// maps are created and dropped; hooks are tried by a child process in its own network namespace.
// Nothing that exists is changed. Works without privileges, but then finds out less.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/diagnosis.h"

namespace flowmeter {

std::vector<Finding> kernel_findings();
std::vector<Finding> process_findings();

// The lowest memory limit of a process's control groups in bytes, or nothing if there is none.
// `membership` is the text of /proc/PID/cgroup, `mounts` the directory where the hierarchies are
// mounted, usually /sys/fs/cgroup.
std::optional<uint64_t> cgroup_memory_limit(const std::string& membership,
                                            const std::string& mounts);

}  // namespace flowmeter
