// SPDX-License-Identifier: BSD-3-Clause
// flowmeter-ebpf completion bash: a completion script, made from the table of options.
#include "cli/command_line.h"
#include "cli/commands.h"
#include "run/options.h"

namespace flowmeter {
namespace {

constexpr char kBegin[] =
    R"(# bash completion for flowmeter-ebpf, written by: flowmeter-ebpf completion bash
_flowmeter_ebpf() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words=
  # --name=value is three words to bash.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  COMPREPLY=()
  if ((COMP_CWORD > 1)); then
    case ${COMP_WORDS[1]} in
)";
constexpr char kOptions[] = R"(    esac
  fi
  if [[ -z $words ]]; then
    case $previous in
)";
constexpr char kEnd[] = R"(    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _flowmeter_ebpf flowmeter-ebpf
)";

// Completes words, or values by their type: files, directories, interfaces; else nothing.
std::string value_completion(const OptionValue& value) {
  std::string words;
  for (const std::string& word : value.words) words += (words.empty() ? "" : " ") + word;
  if (!words.empty()) return "words='" + words + "'";
  if (value.type == "DIR")
    return "mapfile -t COMPREPLY < <(compgen -d -- \"$current\"); compopt -o filenames; return";
  if (value.type.starts_with("FILE") || value.type == "CAPTURE")
    return "mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); compopt -o filenames; return";
  if (value.type == "IFACE") return "words=\"any $(command ls /sys/class/net)\"";
  return "return";
}

std::string bash_completion() {
  Config config;
  std::string values, names = "--version --help -h", command_names;
  for (const Option& option : options_of(config)) {
    std::string pattern = option.names;
    for (char& c : pattern)
      if (c == ',') c = ' ';
    names += ' ' + pattern;
    if (option.value.is_flag()) continue;
    for (char& c : pattern)
      if (c == ' ') c = '|';
    values += "      " + pattern + ") " + value_completion(option.value) + " ;;\n";
  }
  std::string script = kBegin;
  for (const Command& command : commands()) {
    command_names += std::string(command.name) + ' ';
    script += "      " + std::string(command.name) + ") words='" + command.words() + "' ;;\n";
  }
  return script + kOptions + values + "      *)\n        words='" + names +
         "'\n        ((COMP_CWORD > 1)) || words+=' " + command_names + "'\n        ;;\n" + kEnd;
}

}  // namespace

ExitCode run_completion(int argc, const char* const* argv, Host& host) {
  auto asked =
      read_command_line({.name = "flowmeter-ebpf completion",
                         .description = "Prints a script that completes options in a shell.",
                         .footer = "In this shell: source <(flowmeter-ebpf completion bash)",
                         .arguments = {{.names = "SHELL", .help = "bash"}}},
                        argc, argv);
  if (!asked) return answer(host, asked.answer());
  const std::vector<std::string>& shell = asked->values[0];
  if (shell.empty() || shell[0] != "bash")
    return answer(host, usage_error("give the name of a shell: flowmeter-ebpf completion bash"));
  return print_out(host, bash_completion());
}

}  // namespace flowmeter
