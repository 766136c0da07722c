// SPDX-License-Identifier: BSD-3-Clause
// flowmeter-ebpf features: the feature sets, and the columns of one.
#include <CLI/CLI.hpp>

#include "base/host.h"
#include "cli/commands.h"
#include "cli/standard_output.h"
#include "features/listing.h"

namespace flowmeter {

ExitCode run_features(int argc, const char* const* argv, Host& host) {
  std::string name;
  bool json = false;
  CLI::App app("Lists the feature sets, or the columns of one with unit and definition.",
               "flowmeter-ebpf features");
  app.add_option("SET", name, "The columns of this set (default: the sets)");
  app.add_flag("--json", json,
               "JSON, with the set's defaults; without SET all sets\nand the further columns");
  app.set_help_flag("-h,--help", "Print this help");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return end_of_parsing(host, app, error);
  }
  const NamedFeatureSet* set = find_feature_set(name);
  if (!set && app.count("SET") > 0) {
    host.log_error("no feature set \"" + name + "\" (there are: " + feature_set_names() + ")");
    return kUsage;
  }
  return print_out(host, set ? (json ? feature_set_json(*set) : columns_text(set->columns))
                             : (json ? feature_sets_json() : feature_sets_text()));
}

}  // namespace flowmeter
