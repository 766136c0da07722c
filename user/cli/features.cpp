// SPDX-License-Identifier: BSD-3-Clause
// flowmeter-ebpf features: the feature sets, the columns of one, and its tables in a database.
#include "base/option.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "features/ddl.h"
#include "features/listing.h"
#include "output/kafka_config.h"

namespace flowmeter {

namespace {

Result<std::string> ddl_of(const NamedFeatureSet& set, const std::string& dialect,
                           const std::vector<std::string>& table,
                           const std::vector<std::string>& kafka) {
  DdlOptions options;
  const Status chosen =
      choice<DdlOptions::Dialect>(options.dialect, "DIALECT", "a dialect",
                                  {{"clickhouse", DdlOptions::Dialect::kClickhouse},
                                   {"clickhouse-18", DdlOptions::Dialect::kClickhouse18}})
          .set({dialect});
  if (!chosen) return Error{"--ddl: " + chosen.error().doing};
  if (!table.empty()) options.table = table[0];
  if (!kafka.empty()) {
    auto target = parse_kafka_target(kafka[0]);
    if (!target) return target.error();
    options.brokers = target->brokers;
    options.topic = target->topic;
  }
  return clickhouse_ddl(set, options);
}

}  // namespace

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
                         .is_flag = true},
                        {.names = "--ddl",
                         .help = "Print SQL that makes tables and views for the rows of\n"
                                 "SET: clickhouse, or clickhouse-18 for version 18.16",
                         .type = "DIALECT"},
                        {.names = "--table",
                         .help = "With --ddl: the table's name, with which all others\n"
                                 "begin",
                         .type = "NAME",
                         .default_text = "flows"},
                        {.names = "--kafka",
                         .help = "With --ddl: also fill the table from this topic of Kafka",
                         .type = "BROKERS/TOPIC"}},
      },
      argc, argv);
  if (!asked) return answer(host, asked.answer());
  const auto& values = asked->values;
  const bool json = !values[1].empty();
  const NamedFeatureSet* const set = values[0].empty() ? nullptr : find_feature_set(values[0][0]);
  if (!set && !values[0].empty())
    return answer(host, Error{"no feature set \"" + values[0][0] +
                              "\" (choose from: " + feature_set_names() + ")"});
  if (values[2].empty() && (!values[3].empty() || !values[4].empty()))
    return answer(host, Error{"--table and --kafka can only be used with --ddl"});
  if (!values[2].empty()) {
    if (!set || json)
      return answer(host, Error{"--ddl needs a SET, and cannot be used with --json"});
    auto ddl = ddl_of(*set, values[2][0], values[3], values[4]);
    return ddl ? print_out(host, *ddl) : answer(host, ddl.error());
  }
  return print_out(host, set ? (json ? feature_set_json(*set) : columns_text(set->columns))
                             : (json ? feature_sets_json() : feature_sets_text()));
}

}  // namespace flowmeter
