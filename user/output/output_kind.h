// SPDX-License-Identifier: BSD-3-Clause
// A kind of output: the options that select and configure it, and how it is opened. Each kind is
// one file, and registry.cpp lists them.
#pragma once

#include <any>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/host.h"
#include "base/option.h"
#include "features/column.h"
#include "output/delivery_options.h"
#include "output/queued_sink.h"
#include "output/row_format.h"
#include "output/row_style.h"
#include "output/whole_files.h"

namespace flowmeter {

struct OutputKind;

// One requested output.
struct OutputTarget {
  const OutputKind* kind;
  std::string where;  // a path ("-" is standard output), or another value of the kind's option
};

// All outputs of a run, as given by the options.
struct OutputOptions {
  std::vector<OutputTarget> targets;
  // The only target is the feature set's default, which nobody has named.
  bool is_default_file = false;
  // The run commits its rows (RecordSink::resume). settle_options() sets it with --pin.
  bool commits = false;
  // Replaces the rows in the default file, and in all files of a run that commits; otherwise rows
  // are appended to them.
  bool overwrite = false;

  std::optional<Rotation> rotation;
  std::optional<Retention> retention;  // of rotated files
  std::optional<OnFull> on_full;  // settle_options() sets the default: block in replay, drop live
  uint32_t buffer_kib = 256;
  uint32_t queue_mib = 16;
  double drain_s = 10;
  DeliveryOptions delivery;
  RowStyle style;
  // For outputs whose rows are read together with others: what kind of rows they are ("cic82/1"),
  // and of which meter.
  std::string schema, meter;

  // The settings of a kind's own options: its add_options() makes them.
  std::map<const OutputKind*, std::any> own;

  // Where the targets of this kind write.
  std::vector<std::string> of_kind(const OutputKind& kind) const;
  // All that are files or standard output.
  std::vector<std::string> paths() const;
  bool uses_stdout() const;
};

struct OutputKind {
  // The option that selects an output (base/option.h). Null: -u selects it, by a scheme.
  const char* names = nullptr;
  const char* type = "";  // of its value; empty: a flag, for standard output
  const char* help = "";
  bool may_be_bare = false;
  // The URL schemes by which -u finds this kind. None: the option's value is a path.
  std::span<const std::string_view> schemes = {};
  // Its other options. Null: there are none.
  void (*add_options)(OutputOptions& options, std::vector<Option>& table) = nullptr;
  // Checks these targets. Null: they are always valid.
  Status (*check)(std::vector<std::string> where) = nullptr;
  std::unique_ptr<RowFormat> (*format)(const OutputOptions& options,
                                       const std::vector<Column>& columns) = nullptr;
  // Makes a writer for each of these targets, whose rows have this format. Null: such an output
  // needs only a format, as its rows go to a file or to standard output.
  Result<std::vector<std::unique_ptr<RowWriter>>> (*open)(const std::vector<std::string>& where,
                                                          const RowFormat& format,
                                                          const OutputOptions& options,
                                                          Host& host) = nullptr;
  // What its writers read during the run. Null: nothing.
  std::vector<std::string> (*files)(const OutputOptions& options) = nullptr;

  // Whether its rows name their meter and flow, whatever their columns are.
  bool identifies_rows = false;

  bool is_file() const { return open == nullptr; }
};

// The usual OutputKind::format.
template <typename Format>
std::unique_ptr<RowFormat> format_of(const OutputOptions& options,
                                     const std::vector<Column>& columns) {
  return std::make_unique<Format>(columns, options.style);
}

bool is_stdout(const std::string& path);

}  // namespace flowmeter
