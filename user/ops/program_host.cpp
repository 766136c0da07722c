// SPDX-License-Identifier: BSD-3-Clause
#include "ops/program_host.h"

#include <unistd.h>

#include "ops/privileges.h"
#include "ops/service_notification.h"

namespace flowmeter {

Status ProgramHost::drop_privileges(uint64_t keep) {
  return flowmeter::drop_privileges(keep);
}

Status ProgramHost::notify_service(std::string_view lines) {
  return flowmeter::notify_service(lines);
}

bool ProgramHost::shows_progress() const {
  return ::isatty(STDERR_FILENO) != 0;
}

std::string ProgramHost::take_secret(const char* variable) {
  std::string value = Host::take_secret(variable);
  ::unsetenv(variable);
  return value;
}

}  // namespace flowmeter
