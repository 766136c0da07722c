// SPDX-License-Identifier: BSD-3-Clause
// flowmeter-ebpf: runs the command line.
#include <fcntl.h>
#include <unistd.h>

#include <exception>
#include <new>

#include "cli/commands.h"
#include "ops/privileges.h"
#include "ops/program_host.h"

namespace {

// A file opened later must not get the number of a standard stream that the caller has closed. The
// placeholder cannot be read or written, so that using the closed stream remains an error.
void occupy_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_streams();
  flowmeter::raise_capabilities();
  flowmeter::ProgramHost host;
  try {
    const flowmeter::ExitCode code = flowmeter::run_command(argc, argv, host);
    host.log_suppressed();
    return code;
  } catch (const std::bad_alloc&) {
    host.log_error("out of memory (--max-flows and --max-fragments bound it)");
  } catch (const std::exception& error) {
    host.log_error(error.what());
  }
  return flowmeter::kRunFailed;
}
