// SPDX-License-Identifier: BSD-3-Clause
// The mode of output files.
#pragma once

#include <sys/types.h>

namespace flowmeter {

// Flows show who communicates with whom, so not everybody may read them. The group may, so that a
// service's rows can be collected without its rights. The umask takes more away; a file that exists
// keeps its mode.
inline constexpr mode_t kOutputMode = 0640;

}  // namespace flowmeter
