// SPDX-License-Identifier: BSD-3-Clause
// One line to standard error, as `level message`, or to the program that embeds the run. Not for
// the packet path: what can repeat per packet is a counter.
#pragma once

#include <cstdio>
#include <string_view>

#include "base/embedding.h"

namespace flowmeter {

inline void log_line(const char* level, std::string_view message) {
  if (embedding) return embedding->log(level, message);
  std::fprintf(stderr, "flowmeter-ebpf: %s: %.*s\n", level, static_cast<int>(message.size()),
               message.data());
}
inline void log_error(std::string_view message) {
  log_line("error", message);
}
inline void log_warning(std::string_view message) {
  log_line("warning", message);
}
inline void log_info(std::string_view message) {
  log_line("info", message);
}

}  // namespace flowmeter
