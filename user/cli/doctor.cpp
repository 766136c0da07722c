// SPDX-License-Identifier: BSD-3-Clause
// flowmeter-ebpf doctor: what this kernel, these privileges and these interfaces allow.
#include <net/if.h>
#include <unistd.h>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "kernel/attachment.h"
#include "kernel/bpf_datapath.h"
#include "ops/diagnosis.h"
#include "ops/interface_findings.h"
#include "ops/kernel_findings.h"
#include "ops/privileges.h"

namespace flowmeter {
namespace {

// Loads the meter's own programs, to check that they pass the verifier, and frees them.
Finding datapath_finding() {
  if (const std::string missing = missing_capabilities(); !missing.empty())
    return {"datapath", FindingState::kUnknown, Need::kRequired, "unknown without " + missing};
  BpfDatapath::Config config;
  config.settings = fm_default_settings();
  config.max_entries = 64;
  config.max_fragments = 16;
  config.stream_bytes = 1 << 20;
  if (auto loaded = BpfDatapath::load(config, [](const void*, size_t) {}); !loaded)
    return {"datapath", FindingState::kMissing, Need::kRequired, loaded.error().message()};
  return {"datapath", FindingState::kOk, Need::kRequired, "the meter's programs load"};
}

std::vector<std::string> all_interfaces() {
  std::vector<std::string> names;
  struct if_nameindex* list = ::if_nameindex();
  for (struct if_nameindex* each = list; each && each->if_index; each++)
    names.emplace_back(each->if_name);
  if (list) ::if_freenameindex(list);
  return names;
}

CommandSyntax syntax() {
  return {
      .name = "flowmeter-ebpf doctor",
      .description =
          "Reports what can be metered with this kernel, these privileges and these interfaces.",
      .footer =
          "Changes nothing. States: ok; limited (something is less exact or not available);\n"
          "missing; unknown (this process may not find out).\n"
          "Exit status: 0 metering is possible, 1 something it needs is missing, 2 wrong usage.",
      .arguments = {{.names = "IFACE",
                     .help = "Report only these interfaces (default: all)",
                     .is_list = true},
                    {.names = "--json",
                     .help = "Print one JSON object instead of a table",
                     .is_flag = true}},
  };
}

}  // namespace

ExitCode run_doctor(int argc, const char* const* argv, Host& host) {
  auto asked = read_command_line(syntax(), argc, argv);
  if (!asked) return answer(host, asked.answer());
  const auto& values = asked->values;
  const std::vector<std::string>& names = values[0];
  const bool json = !values[1].empty();

  Diagnosis diagnosis;
  diagnosis.kernel_release = kernel_release();
  diagnosis.kernel = kernel_findings();
  diagnosis.kernel.push_back(datapath_finding());
  diagnosis.process = process_findings();
  const Need need = names.empty() ? Need::kOptional : Need::kRequired;
  for (const std::string& name : names.empty() ? all_interfaces() : names)
    diagnosis.interfaces.push_back(diagnose_interface(name, need));

  const Colour colour = ::isatty(STDOUT_FILENO) != 0 ? Colour::kOfStates : Colour::kNone;
  const ExitCode printed =
      print_out(host, json ? diagnosis_json(diagnosis) : diagnosis_table(diagnosis, colour));
  if (printed != kOk) return printed;
  return missing_requirements(diagnosis).empty() ? kOk : kRunFailed;
}

}  // namespace flowmeter
