// SPDX-License-Identifier: BSD-3-Clause
// Who may read files: those of outputs, and those with secrets.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

namespace flowmeter {

// Flows show who communicates with whom, so not everybody may read them. The group may, so that a
// service's rows can be collected without its rights. The umask takes more away; a file that exists
// keeps its mode.
inline constexpr mode_t kOutputMode = 0640;

// Whether everyone can read this file. (A pipe is read once.)
inline bool everyone_can_read(const struct stat& status) {
  return S_ISREG(status.st_mode) && (status.st_mode & S_IROTH);
}

}  // namespace flowmeter
