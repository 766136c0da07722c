// SPDX-License-Identifier: BSD-3-Clause
#include "ops/program_host.h"

#include <unistd.h>

#include "ops/privileges.h"
#include "ops/sandbox.h"
#include "ops/service_notification.h"

namespace flowmeter {

Status ProgramHost::change_user(const std::string& user) {
  user_ = user;
  return flowmeter::change_user(user);
}

Status ProgramHost::check_sandbox() {
  const Sandbox sandbox = available_sandbox();
  return sandbox.is_whole() ? Done{} : Status(Error{"--sandbox require: " + sandbox.text()});
}

Status ProgramHost::confine(const Confinement& needs) {
  const bool required = needs.mode == SandboxMode::kRequire;
  // A replay has few privileges, and no use for them: only with a sandbox it gives them up.
  const bool is_off = needs.mode == SandboxMode::kOff;
  if (is_off && !needs.meters && user_.empty()) return Done{};
  if (Status dropped = drop_privileges(needs.capabilities); !dropped) {
    if (needs.meters || required || !user_.empty()) return dropped;
    log_warning("no sandbox: " + dropped.error().message());
    return Done{};
  }
  if (is_off) return Done{};
  const Sandbox sandbox = enter_sandbox(needs);
  const std::string text = "sandbox: " + sandbox.text() + (user_.empty() ? "" : ", user " + user_);
  if (required && !sandbox.is_whole()) return Error{"--sandbox require: " + sandbox.text()};
  if (sandbox.is_refused())
    log_warning(text);
  else if (needs.verbose)
    log_info(text);
  return Done{};
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
