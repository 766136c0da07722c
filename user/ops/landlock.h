// SPDX-License-Identifier: BSD-3-Clause
// The part of the sandbox that limits files, TCP and signals (Landlock, Linux 5.13 and newer).
//
// A rule belongs to a file or directory as it is now. A file that is replaced by another of the
// same name is not allowed by its rule, but by that of a directory above it. Files, sockets and
// terminals that are open already can still be used.
#pragma once

#include "base/confinement.h"
#include "ops/sandbox.h"

namespace flowmeter {

Mechanism landlock_available();

// Requires: no_new_privs is set, and this is the only thread.
Mechanism enter_landlock(const Confinement& needs);

}  // namespace flowmeter
