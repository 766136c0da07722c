// SPDX-License-Identifier: BSD-3-Clause
#include "cli/option_sources.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <map>

#include "cli/configuration_file.h"
#include "output/registry.h"

extern char** environ;

namespace flowmeter {
namespace {

constexpr char kPrefix[] = "FLOWMETER_";
constexpr char kFileVariable[] = "FLOWMETER_CONFIG";

Error fail(const std::string& source, const std::string& what) {
  return usage_error(source + ": " + what);
}

// "https://user:password@host" without the password, "https://token@host" without the token.
std::string without_password(const std::string& value) {
  const size_t scheme = value.find("://");
  if (scheme == std::string::npos) return value;
  const size_t begin = scheme + 3;
  const size_t at = value.substr(0, value.find_first_of("/?#", begin)).rfind('@');
  if (at == std::string::npos || at < begin) return value;
  const size_t colon = value.find(':', begin);
  return value.substr(0, colon < at ? colon + 1 : begin) + "***" + value.substr(at);
}

std::string toml_value(const Option& option, const std::string& value) {
  const bool is_plain = option.value.is_flag() || option.value.is_number;
  return is_plain ? value : toml_string(without_password(value));
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    parts.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

}  // namespace

std::string environment_name(const std::string& long_name) {
  std::string name = kPrefix;
  for (const char c : long_name)
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

Status OptionSources::read(std::vector<std::vector<std::string>> command_line) {
  for (size_t i = 0; i < options_.size(); i++)
    if (!command_line.at(i).empty()) given_[&options_[i]] = {std::move(command_line[i]), ""};
  if (Status read = from_environment(); !read) return read;
  const std::string path = file_named();
  return path.empty() ? Done{} : from_file(path);
}

std::string OptionSources::file_named() const {
  const auto option = given_.find(find_option(options_, "config"));
  if (option != given_.end() && !option->second.values[0].empty()) return option->second.values[0];
  const char* const variable = std::getenv(kFileVariable);
  return variable ? variable : "";
}

Status OptionSources::give(const Option& option, std::vector<std::string> values,
                           const std::string& source) {
  if (given_.count(&option) > 0) return Done{};  // another source takes precedence
  if (option.value.is_flag()) {
    auto truth = to_truth(values.at(0));
    if (!truth) return fail(source, "--" + option.long_name() + ": " + truth.error().doing);
    values = {*truth ? "true" : "false"};
  }
  given_[&option] = {std::move(values), source};
  return Done{};
}

Status OptionSources::from_environment() {
  for (char** each = environ; *each; each++) {
    const char* const equals = std::strchr(*each, '=');
    if (std::strncmp(*each, kPrefix, sizeof(kPrefix) - 1) != 0 || !equals || equals[1] == '\0')
      continue;
    const std::string name(*each, static_cast<size_t>(equals - *each)), value(equals + 1);
    if (name == kFileVariable || name == kAuthorizationVariable) continue;
    const auto option = std::find_if(options_.begin(), options_.end(), [&](const Option& any) {
      const std::vector<std::string> names = any.long_names();
      return !any.rules.command_line_only &&
             std::any_of(names.begin(), names.end(), [&](const std::string& long_name) {
               return environment_name(long_name) == name;
             });
    });
    if (option == options_.end()) {
      unknown_.push_back(name);
      continue;
    }
    auto values = option->value.is_list ? split(value) : std::vector<std::string>{value};
    if (Status given = give(*option, std::move(values), "environment " + name); !given)
      return given;
  }
  return Done{};
}

Status OptionSources::from_file(const std::string& path) {
  auto entries = read_configuration(path);
  if (!entries) return usage_error(entries.error().message());
  std::map<const Option*, std::string> met;  // and the name by which the file sets it
  for (const ConfigurationEntry& entry : *entries) {
    const std::string source = path + ":" + std::to_string(entry.line);
    const Option* const option = find_option(options_, entry.name);
    if (entry.name == "help" || entry.name == "version" ||
        (option && option->rules.command_line_only))
      return fail(source, "\"" + entry.name + "\" can only be used on the command line");
    if (!option)
      return fail(source,
                  "unknown option \"" + entry.name + "\" (--print-config lists all options)");
    if (const auto [above, is_new] = met.emplace(option, entry.name); !is_new)
      return fail(source, "\"" + entry.name + "\" is already set above by its other name, \"" +
                              above->second + '"');
    if (entry.values.empty() || (entry.is_array && !option->value.is_list))
      return fail(source, "\"" + entry.name + "\" takes one value");
    if (Status given = give(*option, entry.values, source); !given) return given;
  }
  path_ = path;
  return Done{};
}

void OptionSources::warn_of_unknown(Host& host) const {
  for (const std::string& name : unknown_)
    host.log_warning("environment variable " + name + " does not match any option");
}

std::string OptionSources::text() const {
  std::string text = "# flowmeter-ebpf " FLOWMETER_VERSION ": values in force";
  if (!path_.empty()) text += ", with " + path_;
  text += '\n';
  std::optional<OptionGroup> group;
  for (const Option& option : options_) {
    if (option.rules.command_line_only) continue;
    if (option.group != group) {
      group = option.group;
      text += std::string("\n# ") + kOptionGroups[static_cast<size_t>(option.group)] + '\n';
    }
    const std::string name = option.long_name();
    const auto given = given_.find(&option);
    if (given == given_.end()) {
      std::string value = option.value.in_force ? option.value.in_force() : "";
      if (option.value.is_flag()) value = "false";
      text +=
          "# " + name + (value.empty() ? " is not set" : " = " + toml_value(option, value)) + '\n';
      continue;
    }
    const auto& [values, source] = given->second;
    text += name + " = ";
    for (size_t i = 0; i < values.size(); i++)
      text += (i > 0 ? ", " : option.value.is_list ? "[" : "") + toml_value(option, values[i]);
    text += (option.value.is_list ? "]  # " : "  # ") +
            (source.empty() ? std::string("command line") : source) + '\n';
  }
  return text;
}

}  // namespace flowmeter
