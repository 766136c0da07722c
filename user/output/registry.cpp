// SPDX-License-Identifier: BSD-3-Clause
#include "output/registry.h"

#include <algorithm>

#include "output/csv.h"
#include "output/table.h"

namespace flowmeter {

// A new kind of output needs its name here and one line in the list.
extern const OutputKind kJsonOutput, kHttpOutput, kKafkaOutput;

namespace {

constexpr const OutputKind* kKinds[] = {
    &kCsvOutput, &kJsonOutput, &kHttpOutput, &kKafkaOutput, &kTableOutput,
};

// The options that name a server (OptionRules::needs).
constexpr std::string_view kServers = "-u or --kafka";

// --rotate and --keep.
template <typename Limit>
OptionValue limit(std::optional<Limit>& variable) {
  return custom("LIMIT", [&variable](const std::string& text) -> Status {
    auto parsed = Limit::parse(text);
    if (!parsed) return parsed.error();
    variable = *parsed;
    return Done{};
  });
}

// A URL without a known scheme goes to HTTP, which refuses it.
const OutputKind* kind_of_url(const std::string& url) {
  const std::string_view scheme = std::string_view(url).substr(0, url.find("://"));
  for (const OutputKind* kind : kKinds)
    if (std::find(kind->schemes.begin(), kind->schemes.end(), scheme) != kind->schemes.end())
      return kind;
  return &kHttpOutput;
}

Option naming_option(OutputOptions& options, const OutputKind& kind) {
  OptionValue value;
  value.type = kind.type;
  value.is_list = !value.is_flag();
  value.may_be_bare = kind.may_be_bare;
  value.set = [&options, &kind](const std::vector<std::string>& texts) -> Status {
    for (const std::string& text : texts)
      options.targets.push_back({kind.schemes.empty() ? &kind : kind_of_url(text), text});
    return Done{};
  };
  if (value.is_flag())
    value.set = [&options, &kind](const std::vector<std::string>& texts) -> Status {
      bool is_wanted = false;
      Status read = flag(is_wanted).set(texts);
      if (is_wanted) options.targets.push_back({&kind, "-"});
      return read;
    };
  return {kind.names, OptionGroup::kOutput, std::move(value), kind.help};
}

// Of all outputs that go to a server.
void add_delivery_options(DeliveryOptions& delivery, std::vector<Option>& table) {
  using enum OptionGroup;
  table.insert(
      table.end(),
      {
          {"--output-retry",
           kOutput,
           seconds(delivery.retry_s, 0, kDayInSeconds),
           "With --on-full block and no spool: how long a server\nmay fail before its rows are "
           "given up",
           {.needs = {kServers}, .former_name = "--url-retry"}},
          {"--spool",
           kOutput,
           text(delivery.spool, "DIR", "needs a value"),
           "Keep rows in this directory until the server has them,\nalso for the next run",
           {.needs = {kServers}, .former_name = "--url-spool"}},
          {"--spool-limit",
           kOutput,
           count(delivery.spool_limit_mib, 1, 1 << 20),
           "Most MiB that the spool of one output may take",
           {.needs = {kServers, "--spool"}, .former_name = "--url-spool-limit"}},
          {"--spool-sync",
           kOutput,
           choice<Spool::Sync>(delivery.spool_sync, "WHEN", "a way to synchronise the spool",
                               {{"batch", Spool::Sync::kBatch}, {"none", Spool::Sync::kNone}}),
           "What spooled rows survive: batch also a crash of the\nmachine, none only the end "
           "of the program",
           {.needs = {kServers, "--spool"}, .former_name = "--url-spool-sync"}},
      });
}

}  // namespace

std::span<const OutputKind* const> output_kinds() {
  return kKinds;
}

bool is_stdout(const std::string& path) {
  return path == "-" || path == "/dev/stdout" || path == "/dev/fd/1" || path == "/proc/self/fd/1";
}

std::vector<std::string> OutputOptions::of_kind(const OutputKind& kind) const {
  std::vector<std::string> all;
  for (const OutputTarget& target : targets)
    if (target.kind == &kind) all.push_back(target.where);
  return all;
}

std::vector<std::string> OutputOptions::paths() const {
  std::vector<std::string> all;
  for (const OutputTarget& target : targets)
    if (target.kind->is_file()) all.push_back(target.where);
  return all;
}

bool OutputOptions::uses_stdout() const {
  const std::vector<std::string> all = paths();
  return std::any_of(all.begin(), all.end(), is_stdout);
}

void add_output_options(OutputOptions& options, std::vector<Option>& table) {
  using enum OptionGroup;
  for (const OutputKind* kind : output_kinds())
    if (kind->names) table.push_back(naming_option(options, *kind));
  table.insert(table.end(),
               {
                   {"--rotate", kOutput, limit(options.rotation),
                    "Start a new file after this time (15m, 1h, 1d) or\n"
                    "before this size (500MB, 2GB); the file name gets\n"
                    "the time and a number"},
                   {"--keep",
                    kOutput,
                    limit(options.retention),
                    "Remove the oldest rotated files of each output, so that\n"
                    "this many (48) or this much (500MB, 10GB) stays",
                    {.needs = {"--rotate"}}},
                   {"--on-full", kOutput,
                    choice<OnFull>(options.on_full, "POLICY", "a policy",
                                   {{"block", OnFull::kBlock}, {"drop", OnFull::kDrop}}),
                    "If an output is too slow: block (wait for it; default\n"
                    "with -f) or drop (drop and count rows; with -i)"},
                   {"--output-buffer", kOutput, count(options.buffer_kib, 4, 1 << 20),
                    "KiB of rows that may wait to be written to a file"},
                   {"--output-queue", kOutput, count(options.queue_mib, 1, 1024),
                    "MiB of rows that may wait for each pipe, server, and\n"
                    "rotated or compressed file; with drop, also for plain\n"
                    "files on a full disk"},
                   {"--drain", kOutput, seconds(options.drain_s, 0, kDayInSeconds),
                    "Longest time at the end for rows that wait: for pipes,\n"
                    "servers and files on a full disk (with block: longest\n"
                    "without progress)"},
               });
  add_delivery_options(options.delivery, table);
  for (const OutputKind* kind : output_kinds())
    if (kind->add_options) kind->add_options(options, table);
}

}  // namespace flowmeter
