// SPDX-License-Identifier: BSD-3-Clause
// flowmeter-ebpf features: the feature sets, and the columns of one.
#include "cli/command_line.h"
#include "cli/commands.h"
#include "features/listing.h"

namespace flowmeter {

ExitCode run_features(int argc, const char* const* argv, Host& host) {
  auto asked = read_command_line(
      {
          .name = "flowmeter-ebpf features",
          .description =
              "Lists the feature sets, or the columns of one set with their units and definitions.",
          .arguments = {{.names = "SET",
                         .help = "List the columns of this set (default: list the sets)"},
                        {.names = "--json",
                         .help = "Print JSON, with the defaults; without SET, all sets\n"
                                 "and the columns for --extra",
                         .is_flag = true}},
      },
      argc, argv);
  if (!asked) return answer(host, asked.answer());
  const auto& values = asked->values;
  const bool json = !values[1].empty();
  const NamedFeatureSet* const set = values[0].empty() ? nullptr : find_feature_set(values[0][0]);
  if (!set && !values[0].empty())
    return answer(host, Error{"no feature set \"" + values[0][0] +
                              "\" (choose from: " + feature_set_names() + ")"});
  return print_out(host, set ? (json ? feature_set_json(*set) : columns_text(set->columns))
                             : (json ? feature_sets_json() : feature_sets_text()));
}

}  // namespace flowmeter
