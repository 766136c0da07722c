// SPDX-License-Identifier: BSD-3-Clause
// An option is a row of a table: its names, its value, its help, and where it applies. The row is
// bound to the variable that it sets. The command line, the environment, the configuration file,
// help, shell completion and Python's keyword arguments are all made from these rows
// (run/options.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.h"

namespace flowmeter {

// The value of an option, and how it is stored. The functions below make the usual kinds.
struct OptionValue {
  std::string type = {};  // its name in help: "SECONDS"; empty: a flag
  // Receives the values as text: one, or any number if is_list.
  std::function<Status(const std::vector<std::string>&)> set = {};
  // The variable as text; empty: it has no value.
  std::function<std::string()> in_force = {};
  std::vector<std::string> words = {};  // all valid values, if there are few
  bool is_number = false;               // written without quotes in a configuration file
  bool is_list = false;                 // may be given several times
  bool may_be_bare = false;             // the command line may omit the value, which then is ""

  bool is_flag() const { return type.empty(); }
};

// In the order of help.
enum class OptionGroup { kInput, kOutput, kStop, kTimes, kLimits, kLive, kOther };
inline constexpr const char* kOptionGroups[] = {
    "Input", "Output", "When to stop", "Time-outs and gaps", "Limits", "Live metering", "Other"};

struct OptionRules {
  bool live_only = false;                    // allowed with -i only
  std::vector<std::string_view> needs = {};  // allowed with these only, or with one of "-a or -b"
  struct Exclusion {
    std::vector<std::string_view> options;
    std::string_view why;  // the error
  };
  std::vector<Exclusion> excludes = {};
  bool command_line_only = false;       // neither in the environment nor in a file
  bool is_keyword = false;              // also a setting in Python, by its long name
  std::string_view former_name = "";    // still accepted, but not in help
  std::string_view shown_default = "";  // in help, if it differs from the value in force
  std::string_view why_live_only = "";  // added to the error, if that is not obvious
};

struct Option {
  std::string names;  // "-c,--csv"
  OptionGroup group;
  OptionValue value;
  std::string help;
  OptionRules rules = {};

  // "-c": its name in messages.
  std::string spoken_name() const { return names.substr(0, names.find(',')); }
  // "csv": its first long name, without dashes.
  std::string long_name() const;
  // All long names, the former one included.
  std::vector<std::string> long_names() const;
};

// true, 1, yes, on, or false, 0, no, off; or what is wrong with the text.
Result<bool> to_truth(std::string text);

OptionValue flag(bool& variable);

// needs: the error for an empty text; if empty, the text may be empty.
OptionValue text(std::string& variable, std::string type, std::string needs = "");
OptionValue list(std::vector<std::string>& variable, std::string type);
// A value of a special kind.
OptionValue custom(std::string type, std::function<Status(const std::string&)> set,
                   std::function<std::string()> in_force = {});

inline constexpr double kDayInSeconds = 86'400;
// Ten years. Longer times would not overflow, but are surely typing errors.
inline constexpr double kTenYearsInSeconds = 315'360'000;

// Fractions are allowed.
OptionValue seconds(unsigned long long& ns);
OptionValue seconds(double& variable, double least, double most);
OptionValue seconds(std::optional<double>& variable);

// Parses a whole number within these bounds; otherwise returns an error about the text.
Result<uint64_t> to_count(const std::string& text, uint64_t least, uint64_t most);

// A value of any unsigned type, or an optional one.
template <typename Number>
OptionValue count(Number& variable, uint64_t least, uint64_t most) {
  OptionValue value = custom("N", [&variable, least, most](const std::string& text) -> Status {
    auto number = to_count(text, least, most);
    if (!number) return number.error();
    if constexpr (std::is_integral_v<Number>)
      variable = static_cast<Number>(*number);
    else
      variable = *number;
    return Done{};
  });
  if constexpr (std::is_integral_v<Number>)
    value.in_force = [&variable] { return std::to_string(variable); };
  value.is_number = true;
  return value;
}

// "\"x\" is not a hook (there are: …)"
Error unknown_choice(const std::string& text, std::string_view noun,
                     const std::vector<std::string>& words);

// One of these names. noun: their common noun, with its article.
template <typename Choice, typename Variable>
OptionValue choice(Variable& variable, std::string type, std::string_view noun,
                   std::vector<std::pair<std::string, Choice>> choices) {
  std::vector<std::string> words;
  for (const auto& each : choices) words.push_back(each.first);
  OptionValue value = custom(
      std::move(type),
      [&variable, noun, choices, words](const std::string& text) -> Status {
        for (const auto& [name, meaning] : choices) {
          if (name != text) continue;
          variable = meaning;
          return Done{};
        }
        return unknown_choice(text, noun, words);
      },
      [&variable, choices] {
        for (const auto& [name, meaning] : choices)
          if (variable == meaning) return name;
        return std::string();
      });
  value.words = std::move(words);
  return value;
}

}  // namespace flowmeter
