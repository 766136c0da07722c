// SPDX-License-Identifier: BSD-3-Clause
// Where the flows go: the options that say so, and the sinks that they ask for.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "features/column.h"
#include "output/http_writer.h"
#include "output/row_style.h"
#include "output/sink_group.h"
#include "output/whole_files.h"

namespace CLI {
class App;
}

namespace flowmeter {

// Of the environment: the value of the Authorization header. No option, as a command line can be
// seen by everyone.
inline constexpr char kAuthorizationVariable[] = "FLOWMETER_URL_AUTH";

struct OutputOptions {
  std::vector<std::string> csv, json;  // paths; "-" is standard output
  std::vector<std::string> urls;
  bool table = false;  // on standard output
  // The one CSV is the feature set's own: nobody has named it.
  bool is_default_file = false;
  bool overwrite = false;  // it; else rows go behind those that it holds

  std::optional<Rotation> rotation;
  std::optional<OnFull> on_full;  // none: block in replay, drop live
  uint32_t buffer_kib = 256;
  uint32_t queue_mib = 16;
  double drain_s = 10;
  RowStyle style;
  HttpOptions http;
  std::string authorization_file;

  // All that are files or standard output.
  std::vector<std::string> paths() const;
  bool uses_stdout() const;
  bool none() const { return csv.empty() && json.empty() && urls.empty() && !table; }
};

// By its name.
bool is_compressed(const std::string& path);

// Adds these options to the command line, but for -c.
void add_output_options(CLI::App& app, const char* group, OutputOptions& options);

// Names an output where none is: a table on a terminal, else CSV to standard output. Then what is
// wrong with the options as a whole, or "".
std::string settle_outputs(const CLI::App& app, OutputOptions& options);

// Opens all of them. Requires: no privilege has been given up, and no thread runs; host lives
// longer than they do.
Result<std::unique_ptr<SinkGroup>> open_outputs(const OutputOptions& options,
                                                const std::vector<Column>& columns, bool live,
                                                bool quiet, Host& host);

}  // namespace flowmeter
