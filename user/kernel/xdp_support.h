// SPDX-License-Identifier: BSD-3-Clause
// Whether the driver of an interface runs XDP programs itself (native), if that can be found out
// without attaching one.
#pragma once

#include <optional>

#include "kernel/interface.h"

namespace flowmeter {

// Nothing if the kernel does not report it (before Linux 6.3).
std::optional<bool> has_native_xdp(const Interface& interface);

}  // namespace flowmeter
