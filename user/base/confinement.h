// SPDX-License-Identifier: BSD-3-Clause
// What a run still does once its inputs and outputs are known and its programs are attached. The
// program's host can take everything else from the process (ops/sandbox.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace flowmeter {

// What happens if the kernel does not offer, or refuses, a part of the sandbox.
enum class SandboxMode { kAuto /* goes on */, kOff, kRequire };

struct Confinement {
  SandboxMode mode = SandboxMode::kAuto;
  bool verbose = false;       // says what is in force
  bool meters = false;        // uses BPF and netlink
  bool connects = false;      // to servers, whose names it resolves
  uint64_t capabilities = 0;  // that are kept (ops/privileges.h)

  // Files, and directories with all that they hold. Those that do not exist are ignored.
  std::vector<std::string> reads;
  std::vector<std::string> changes;  // in these directories files are created, renamed, removed
  std::vector<std::string> removes_files_from;  // and nothing else is changed in these directories
  std::vector<std::string> removes_directories_from;
  int accepts = -1;  // the socket on which connections are accepted
};

}  // namespace flowmeter
