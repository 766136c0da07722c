// SPDX-License-Identifier: BSD-3-Clause
#include "ops/sandbox.h"

#include "ops/landlock.h"
#include "ops/system_calls.h"

namespace flowmeter {

Sandbox available_sandbox() {
  return {landlock_available(), seccomp_available()};
}

Sandbox enter_sandbox(const Confinement& needs) {
  // Seccomp is last, because it refuses Landlock's system calls; Landlock refuses its library,
  // which is loaded before.
  Sandbox sandbox;
  sandbox.seccomp = seccomp_available();
  sandbox.landlock = enter_landlock(needs);
  if (sandbox.seccomp.works) sandbox.seccomp = enter_seccomp(needs);
  return sandbox;
}

}  // namespace flowmeter
