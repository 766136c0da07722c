// SPDX-License-Identifier: BSD-3-Clause
#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <deque>
#include <memory>
#include <sstream>

namespace flowmeter {
namespace {

// Shows the groups in the order of the syntax, not in that of their first options.
class GroupedHelp final : public CLI::Formatter {
 public:
  explicit GroupedHelp(std::vector<std::string> groups) : groups_(std::move(groups)) {
    column_width(36);
  }

 private:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode) const override {
    std::string text = make_description(app) + make_usage(app, name);
    for (const std::string& group : groups_) {
      text += make_group(group, false, app->get_options([&group](const CLI::Option* option) {
        return option->get_group() == group;
      }));
      if (group != groups_.back()) text += '\n';
    }
    return text + '\n' + make_footer(app);
  }

  const std::vector<std::string> groups_;
};

// Where CLI11 stores the values of one argument.
struct Slot {
  CLI::Option* option = nullptr;
  bool flag = false;
  std::vector<std::string> values;

  std::vector<std::string> found() const {
    if (option->count() == 0) return {};
    if (option->get_items_expected_max() == 0) return {flag ? "true" : "false"};
    return values;
  }
};

CLI::Option* add_values(CLI::App& app, const Argument& argument, std::vector<std::string>& values) {
  CLI::Option* const option = app.add_option(argument.names, values, argument.help);
  if (!argument.is_list) option->expected(1);
  if (argument.names[0] != '-') return option;
  option->type_size(1)->allow_extra_args(false)->type_name(argument.type);
  if (argument.may_be_bare)
    option->type_name(argument.type + " ...")
        ->expected(0, 1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  if (!argument.default_text.empty()) option->default_str(argument.default_text);
  return option;
}

// Replaces former names by current ones, so that help and errors use only these.
std::vector<std::string> with_present_names(const CommandSyntax& syntax, int argc,
                                            const char* const* argv) {
  std::vector<std::string> words(argv, argv + argc);
  for (const Argument& argument : syntax.arguments)
    for (std::string& word : words)
      if (!argument.former_name.empty() && word.substr(0, word.find('=')) == argument.former_name)
        word.replace(0, argument.former_name.size(), argument.names);
  return words;
}

}  // namespace

Asked<CommandLine> read_command_line(const CommandSyntax& syntax, int argc,
                                     const char* const* argv) {
  CLI::App app(syntax.description, syntax.name);
  if (!syntax.groups.empty()) app.formatter(std::make_shared<GroupedHelp>(syntax.groups));
  app.footer(syntax.footer);
  app.allow_extras(syntax.takes_rest);
  const std::string last_group = syntax.groups.empty() ? "Options" : syntax.groups.back();
  app.set_help_flag("");  // help shows options in the order in which they are added
  std::deque<Slot> slots;
  for (const Argument& argument : syntax.arguments) {
    Slot& slot = slots.emplace_back();
    slot.option = argument.is_flag ? app.add_flag(argument.names, slot.flag, argument.help)
                                   : add_values(app, argument, slot.values);
    slot.option->group(argument.group);
  }
  if (!syntax.version.empty()) app.set_version_flag("--version", syntax.version)->group(last_group);
  app.set_help_flag("-h,--help", "Print this help")->group(last_group);
  try {
    std::vector<std::string> words = with_present_names(syntax, argc - 1, argv + 1);
    std::reverse(words.begin(), words.end());  // the order that CLI11 expects
    app.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return usage_error(error.what());
    std::ostringstream text;
    app.exit(error, text, text);
    return text.str();
  }
  CommandLine line;
  for (const Slot& slot : slots) line.values.push_back(slot.found());
  line.rest = app.remaining();
  return line;
}

}  // namespace flowmeter
