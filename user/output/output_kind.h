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
#include <typeindex>
#include <vector>

#include "base/host.h"
#include "base/option.h"
#include "features/column.h"
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
  bool overwrite = false;  // it; else rows are appended to those that it holds

  std::optional<Rotation> rotation;
  std::optional<OnFull> on_full;  // none: block in replay, drop live
  uint32_t buffer_kib = 256;
  uint32_t queue_mib = 16;
  double drain_s = 10;
  RowStyle style;

  // The settings of one kind of output: its own struct, with its defaults.
  template <typename Settings>
  Settings& settings() {
    std::any& slot = settings_[typeid(Settings)];
    if (!slot.has_value()) slot = Settings{};
    return std::any_cast<Settings&>(slot);
  }
  template <typename Settings>
  Settings settings() const {
    const auto slot = settings_.find(typeid(Settings));
    return slot == settings_.end() ? Settings{} : std::any_cast<const Settings&>(slot->second);
  }

  // Where the targets of this kind write.
  std::vector<std::string> of_kind(const OutputKind& kind) const;
  // All that are files or standard output.
  std::vector<std::string> paths() const;
  bool uses_stdout() const;

 private:
  std::map<std::type_index, std::any> settings_;  // options are bound to the values, so a map
};

struct OutputKind {
  // Such an output needs only a format: its rows go to a file or to standard output.
  bool is_file = false;
  // The option that selects an output, bound to options.targets. Null: -u selects it, by a scheme.
  Option (*naming_option)(OutputOptions& options) = nullptr;
  // The URL schemes by which -u finds this kind.
  std::span<const std::string_view> schemes = {};
  // Its other options, bound to options.settings<…>(). Null: there are none.
  void (*add_options)(OutputOptions& options, std::vector<Option>& table) = nullptr;
  // Checks these targets. Null: they are always valid.
  Status (*check)(std::vector<std::string> where) = nullptr;
  std::unique_ptr<RowFormat> (*format)(const OutputOptions& options,
                                       const std::vector<Column>& columns) = nullptr;
  // Makes a writer for each of these targets. Null if is_file.
  Result<std::vector<std::unique_ptr<RowWriter>>> (*open)(const std::vector<std::string>& where,
                                                          const OutputOptions& options,
                                                          Host& host) = nullptr;
};

// The value of an option that names outputs of this kind.
OptionValue targets(OutputOptions& options, const OutputKind& kind, std::string type);
// The value of -u: each URL names an output of the kind that has its scheme.
OptionValue url_targets(OutputOptions& options);

bool is_stdout(const std::string& path);

}  // namespace flowmeter
