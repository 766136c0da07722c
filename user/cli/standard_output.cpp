// SPDX-License-Identifier: BSD-3-Clause
#include "cli/standard_output.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <sstream>

#include "base/host.h"
#include "base/result.h"

namespace flowmeter {

ExitCode print_out(Host& host, const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0)
    return kOk;
  host.log_error(Error{"cannot write to standard output", errno}.message());
  return kRunFailed;
}

ExitCode end_of_parsing(Host& host, const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() != 0) {
    host.log_error(error.what());
    return kUsage;
  }
  std::ostringstream text;
  app.exit(error, text, text);
  return print_out(host, text.str());
}

}  // namespace flowmeter
