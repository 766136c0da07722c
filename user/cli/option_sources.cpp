// SPDX-License-Identifier: BSD-3-Clause
#include "cli/option_sources.h"

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <set>

#include "base/host.h"
#include "cli/configuration_file.h"
#include "run/outputs.h"

extern char** environ;

namespace flowmeter {
namespace {

constexpr char kPrefix[] = "FLOWMETER_";
constexpr char kCommandLine[] = "command line";

bool is_flag(const CLI::Option& option) {
  return option.get_items_expected_max() == 0;
}

bool is_list(const CLI::Option& option) {
  return option.get_items_expected_max() > 1 ||
         option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
}

[[noreturn]] void fail(const std::string& source, const std::string& what) {
  throw CLI::ConversionError(source + ": " + what);
}

// Values that are not text: what TOML writes without quotes.
bool is_number(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type == "N" || type == "SECONDS";
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

std::string toml_value(const CLI::Option& option, const std::string& value) {
  if (is_flag(option)) return value == "false" || value == "0" ? "false" : "true";
  return is_number(option) ? value : toml_string(without_password(value));
}

}  // namespace

std::string environment_name(const std::string& long_name) {
  std::string name = kPrefix;
  for (const char c : long_name.substr(long_name.find_first_not_of('-')))
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

void OptionSources::complete(std::string path) {
  for (const CLI::Option* flag : {app_.get_help_ptr(), app_.get_version_ptr()})
    if (flag && flag->count() > 0) return;  // to be had with any environment
  for (CLI::Option* option : app_.get_options([](CLI::Option*) { return true; }))
    if (option->count() > 0 && option->get_configurable())
      given_[option] = {option->results(), kCommandLine};
  if (from_ == OptionsFrom::kArgumentsOnly) return;
  from_environment();
  if (const char* variable = std::getenv("FLOWMETER_CONFIG"); path.empty() && variable)
    path = variable;
  if (!path.empty()) from_file(path);

  for (CLI::Option* option : app_.get_options([](CLI::Option*) { return true; })) {
    if (option->count() == 0 || option->get_callback_run()) continue;
    const auto given = given_.find(option);
    try {
      option->run_callback();
    } catch (const CLI::ParseError& error) {
      if (given == given_.end() || given->second.source == kCommandLine) throw;
      fail(given->second.source, error.what());
    }
  }
  // No errors: they may be other programs'. Said now that the log has its format.
  for (const std::string& name : unknown_)
    host_.log_warning("the environment's " + name + " is the name of no option");
}

void OptionSources::give(CLI::Option* option, std::vector<std::string> values,
                         const std::string& source) {
  if (given_.count(option) > 0) return;  // by what goes before
  if (is_flag(*option)) {
    const std::string value = CLI::detail::to_lower(values.at(0));
    if (value == "true" || value == "1" || value == "yes" || value == "on") {
      values = {"true"};
    } else if (value == "false" || value == "0" || value == "no" || value == "off") {
      given_[option] = {{"false"}, source};  // as if it were not given
      return;
    } else {
      fail(source, option->get_name() + ": \"" + values[0] + "\" is neither true nor false");
    }
  }
  option->add_result(values);
  given_[option] = {std::move(values), source};
}

void OptionSources::from_environment() {
  for (char** each = environ; *each; each++) {
    const char* const equals = std::strchr(*each, '=');
    if (std::strncmp(*each, kPrefix, sizeof(kPrefix) - 1) != 0 || !equals || equals[1] == '\0')
      continue;
    const std::string name(*each, static_cast<size_t>(equals - *each)), value(equals + 1);
    if (name == "FLOWMETER_CONFIG" || name == kAuthorizationVariable) continue;
    bool known = false;
    for (CLI::Option* option : app_.get_options([](CLI::Option*) { return true; }))
      for (const std::string& long_name : option->get_lnames()) {
        if (!option->get_configurable() || environment_name(long_name) != name) continue;
        known = true;
        give(option,
             is_list(*option) ? CLI::detail::split(value, ',') : std::vector<std::string>{value},
             "environment " + name);
      }
    if (!known) unknown_.push_back(name);
  }
}

void OptionSources::from_file(const std::string& path) {
  auto entries = read_configuration(path);
  if (!entries) throw CLI::FileError(entries.error().message());
  std::set<const CLI::Option*> met;
  for (const ConfigurationEntry& entry : *entries) {
    const std::string source = path + ":" + std::to_string(entry.line);
    CLI::Option* const option = app_.get_option_no_throw("--" + entry.name);
    if (!option)
      fail(source,
           "there is no option \"" + entry.name + "\" (--print-config shows those there are)");
    if (!option->get_configurable())
      fail(source, "\"" + entry.name + "\" goes with the command line only");
    if (!met.insert(option).second)
      fail(source, "\"" + entry.name + "\" has another name above, " + option->get_name());
    if (entry.values.empty() || (entry.is_array && !is_list(*option)))
      fail(source, "\"" + entry.name + "\" takes one value");
    give(option, entry.values, source);
  }
  path_ = path;
}

std::string OptionSources::text() const {
  std::string text = "# flowmeter-ebpf " FLOWMETER_VERSION ": what is in force";
  if (!path_.empty()) text += "; with " + path_;
  text += '\n';
  std::string group;
  for (const CLI::Option* option : app_.get_options([](const CLI::Option*) { return true; })) {
    if (!option->get_configurable() || option->get_lnames().empty()) continue;
    if (option->get_group() != group) {
      group = option->get_group();
      text += "\n# " + group + '\n';
    }
    const std::string& name = option->get_lnames().front();
    const auto given = given_.find(option);
    if (given == given_.end()) {
      const std::string standard = is_flag(*option) ? "false" : option->get_default_str();
      text += "# " + name +
              (standard.empty() ? " is not set" : " = " + toml_value(*option, standard)) + '\n';
      continue;
    }
    const std::vector<std::string>& values = given->second.values;
    text += name + " = ";
    if (!is_list(*option)) {
      text += toml_value(*option, values[0]);
    } else {
      for (size_t i = 0; i < values.size(); i++)
        text += (i > 0 ? ", " : "[") + toml_value(*option, values[i]);
      text += ']';
    }
    text += "  # " + given->second.source + '\n';
  }
  return text;
}

}  // namespace flowmeter
