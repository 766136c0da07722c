// SPDX-License-Identifier: BSD-3-Clause
#include "cli/commands.h"

#include <cerrno>
#include <cstdio>

#include "run/run.h"

namespace flowmeter {
namespace {

std::string feature_words() {
  std::string words = "--json --ddl --table --kafka --help";
  for (const NamedFeatureSet& set : feature_sets()) words += ' ' + std::string(set.name);
  return words;
}

constexpr Command kCommands[] = {
    {"doctor", run_doctor, [] { return std::string("--json --help"); }},
    {"features", run_features, feature_words},
    {"completion", run_completion, [] { return std::string("bash --help"); }},
};

ExitCode meter(int argc, const char* const* argv, Host& host) {
  auto asked = parse_options(argc, argv, host);
  return asked ? run_program(*asked, host) : answer(host, asked.answer());
}

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

ExitCode run_command(int argc, const char* const* argv, Host& host) {
  if (argc > 1)
    for (const Command& command : kCommands)
      if (argv[1] == command.name) return command.run(argc - 1, argv + 1, host);
  return meter(argc, argv, host);
}

ExitCode print_out(Host& host, const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0)
    return kOk;
  host.log_error(Error{"cannot write to standard output", errno}.message());
  return kRunFailed;
}

ExitCode answer(Host& host, const Answer& answer) {
  if (const auto* text = std::get_if<std::string>(&answer)) return print_out(host, *text);
  host.log_error(std::get<Error>(answer).message());
  return kUsage;
}

}  // namespace flowmeter
