// SPDX-License-Identifier: BSD-3-Clause
// What the running program can still do, after its capabilities are gone: Landlock (landlock.h)
// limits it to its own files, seccomp (system_calls.h) to the system calls that it uses. Both hold
// for all threads and children that are started later, and for ever.
#pragma once

#include <string>

#include "base/confinement.h"

namespace flowmeter {

// One of the two, in force or available.
struct Mechanism {
  bool works = false;
  bool is_refused = false;  // the kernel has it but, for instance, a container's policy forbids it
  std::string text;         // "landlock abi 7", or why there is none
};

struct Sandbox {
  Mechanism landlock, seccomp;

  bool is_whole() const { return landlock.works && seccomp.works; }
  bool is_refused() const { return landlock.is_refused || seccomp.is_refused; }
  std::string text() const { return landlock.text + ", " + seccomp.text; }
};

Sandbox available_sandbox();

// Returns what is in force now. Requires: no_new_privs is set, and this is the only thread.
Sandbox enter_sandbox(const Confinement& needs);

}  // namespace flowmeter
