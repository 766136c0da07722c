// SPDX-License-Identifier: BSD-3-Clause
// The command line, the environment and the configuration file become a Config.
#include <unistd.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/option_sources.h"
#include "features/columns_extra.h"
#include "features/listing.h"
#include "output/csv.h"
#include "output/output_kind.h"
#include "output/table.h"
#include "run/options.h"
#include "run/outputs.h"

namespace flowmeter {
namespace {

constexpr char kFooter[] =
    "Examples:\n"
    "  sudo flowmeter-ebpf -i eth0 -c flows.csv         meter a host until Ctrl-C\n"
    "  sudo flowmeter-ebpf -i 'veth*' -i eth0           meter a container node\n"
    "  flowmeter-ebpf doctor                            what can be metered here\n"
    "  flowmeter-ebpf features netflowmeter114          the columns of a feature set\n"
    "  flowmeter-ebpf -f x.pcap -c flows.csv            replay a capture\n"
    "  flowmeter-ebpf -f x.pcap --fields src_ip,dst_ip  some columns, to standard output\n"
    "Exit status: 0 success, 1 failed while running, 2 wrong usage.";

CommandSyntax syntax_of(const std::vector<Option>& options) {
  CommandSyntax syntax{
      .name = "flowmeter-ebpf",
      .description = "Flow meter: CICFlowMeter features of captures and, by eBPF, of live traffic.",
      .footer = kFooter,
      .arguments = {},
      .groups = {std::begin(kOptionGroups), std::end(kOptionGroups)},
      .version = "flowmeter-ebpf " FLOWMETER_VERSION,
      .takes_rest = true,
  };
  for (const Option& option : options) {
    const OptionValue& value = option.value;
    std::string default_text(option.rules.shown_default);
    if (default_text.empty() && value.in_force) default_text = value.in_force();
    syntax.arguments.push_back({.names = option.names,
                                .help = option.help,
                                .group = kOptionGroups[static_cast<size_t>(option.group)],
                                .type = value.type,
                                .default_text = std::move(default_text),
                                .is_flag = value.is_flag(),
                                .is_list = value.is_list,
                                .may_be_bare = value.may_be_bare,
                                .former_name = std::string(option.rules.former_name)});
  }
  return syntax;
}

// In the Python cicflowmeter, -c is a flag, and the output file is a separate argument anywhere.
Status take_rest(const std::vector<std::string>& rest, std::vector<OutputTarget>& targets) {
  const size_t bare = std::erase_if(targets, [](const OutputTarget& target) {
    return target.kind == &kCsvOutput && target.where.empty();
  });
  const bool is_file = bare > 0 && rest.size() == 1 && !(rest[0].size() > 1 && rest[0][0] == '-');
  if (!rest.empty() && !is_file)
    return usage_error("unknown option or argument \"" + rest.back() + "\"; see --help");
  if (bare > rest.size()) return usage_error("-c needs a file name (- is standard output)");
  if (is_file) targets.push_back({&kCsvOutput, rest[0]});
  return Done{};
}

// Requires: no output was named.
Status name_output(Config& config) {
  OutputOptions& outputs = config.outputs;
  if (config.compat != Compat::kNone) {
    if (config.top) return usage_error("--top with --compat needs an output: -c FILE");
    outputs.targets.push_back({&kCsvOutput, "-"});
  } else if (config.top) {
    outputs.targets.push_back({&kCsvOutput, "/dev/null"});
  } else if (config.features->default_output != "-") {
    outputs.targets.push_back({&kCsvOutput, std::string(config.features->default_output)});
    outputs.is_default_file = true;
  } else {
    outputs.targets.push_back({::isatty(STDOUT_FILENO) ? &kTableOutput : &kCsvOutput, "-"});
  }
  return Done{};
}

bool prints_flows(const Config& config) {
  if (config.quiet || config.top) return false;
  const bool by_default = config.settings.with_application && config.live();
  return config.print || (by_default && ::isatty(STDERR_FILENO));
}

std::string all_columns(const Config& config) {
  return columns_text(config.features->columns) + "\nmore columns, for --extra and --fields:\n" +
         columns_text(columns_extra());
}

// Reads all sources. Returns the words of the command line that are not options.
Asked<std::vector<std::string>> read_sources(const std::vector<Option>& options,
                                             OptionSources& sources, Config& config, int argc,
                                             const char* const* argv, Host& host) {
  auto line = read_command_line(syntax_of(options), argc, argv);
  if (!line) return line.answer();
  auto& [values, rest] = *line;
  if (Status read = sources.read(std::move(values)); !read) return read.error();
  Status set = set_options(options, sources.given());
  host.set_log_format(config.log_format);
  host.set_log_level(config.log_level);
  if (!set) return set.error();
  sources.warn_of_unknown(host);
  return rest;
}

}  // namespace

Asked<Config> parse_options(int argc, const char* const* argv, Host& host) {
  Config config;
  const std::vector<Option> options = options_of(config);
  OptionSources sources(options);
  auto read = read_sources(options, sources, config, argc, argv, host);
  if (!read) return read.answer();
  if (config.list_fields) return all_columns(config);
  if (config.print_config) return sources.text();

  OutputOptions& outputs = config.outputs;
  if (Status taken = take_rest(*read, outputs.targets); !taken) return taken.error();
  if (outputs.targets.empty())
    if (Status named = name_output(config); !named) return named.error();
  if (Status fine = check_options(options, sources.given(), config); !fine) return fine.error();
  if (Status fine = check_outputs(outputs); !fine) return fine.error();
  config.print = prints_flows(config);
  settle_options(config);
  return config;
}

}  // namespace flowmeter
