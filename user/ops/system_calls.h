// SPDX-License-Identifier: BSD-3-Clause
// The part of the sandbox that limits system calls (seccomp, by libseccomp).
//
// Calls fall into three groups. Those that the program uses are allowed. Those that would only help
// someone who has taken it over (execve, ptrace, mount, loading BPF programs or modules, …) end the
// process: nothing that the program does needs them, and the attempt must not be repeated. All
// others fail with ENOSYS, and the kernel logs them (audit): a library's new version may try a new
// call, and then does what it does on an older kernel, instead of ending a meter that runs for
// months.
#pragma once

#include "base/confinement.h"
#include "ops/sandbox.h"

namespace flowmeter {

// Loads libseccomp.
Mechanism seccomp_available();

// Requires: it is available, no_new_privs is set, and this is the only thread.
Mechanism enter_seccomp(const Confinement& needs);

}  // namespace flowmeter
