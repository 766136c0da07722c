// SPDX-License-Identifier: BSD-3-Clause
// What a command says on standard output, and how it ends then.
#pragma once

#include <string>

#include "run/config.h"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace flowmeter {

class Host;

// kOk; or, if the text could not be written, kRunFailed, and standard error says so.
ExitCode print_out(Host& host, const std::string& text);

// What parsing ended with: help or version is printed, anything else is wrong usage.
ExitCode end_of_parsing(Host& host, const CLI::App& app, const CLI::ParseError& error);

}  // namespace flowmeter
