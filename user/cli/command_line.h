// SPDX-License-Identifier: BSD-3-Clause
// Parses argv and prints help. Only command_line.cpp includes CLI11, which is slow to compile.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace flowmeter {

struct Argument {
  std::string names;  // "-c,--csv"; without dashes: a positional argument
  std::string help;
  std::string group = "Options";  // its heading in help
  std::string type = {};          // the name of its value in help
  std::string default_text = {};  // in help
  bool is_flag = false;
  bool is_list = false;          // may be given several times
  bool may_be_bare = false;      // the value may be omitted, and then is ""
  std::string former_name = {};  // still accepted, but not in help
};

struct CommandSyntax {
  std::string name;
  std::string description;
  std::string footer = {};
  std::vector<Argument> arguments;
  // Groups in the order of help; none: CLI11's own help.
  std::vector<std::string> groups = {};
  std::string version = {};  // empty: there is no --version
  bool takes_rest = false;
};

struct CommandLine {
  std::vector<std::vector<std::string>> values;  // of each argument; empty: it was not given
  std::vector<std::string> rest;                 // all other words
};

// The answer to a command line that starts no work: a text to print, such as help, or an error.
using Answer = std::variant<std::string, Error>;

// The parsed command line, or the answer to it.
template <typename Wanted>
class [[nodiscard]] Asked {
 public:
  Asked(Wanted wanted) : state_(std::move(wanted)) {}
  Asked(std::string text) : state_(Answer(std::move(text))) {}
  Asked(Error error) : state_(Answer(std::move(error))) {}
  Asked(Answer answer) : state_(std::move(answer)) {}

  explicit operator bool() const { return state_.index() == 0; }
  Wanted& operator*() { return std::get<0>(state_); }
  Wanted* operator->() { return &std::get<0>(state_); }
  const Answer& answer() const { return std::get<1>(state_); }

 private:
  std::variant<Wanted, Answer> state_;
};

Asked<CommandLine> read_command_line(const CommandSyntax& syntax, int argc,
                                     const char* const* argv);

}  // namespace flowmeter
