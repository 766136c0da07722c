// SPDX-License-Identifier: BSD-3-Clause
// Takes argv apart, and prints help. The only file that knows CLI11, which is slow to compile.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/result.h"

namespace flowmeter {

struct Argument {
  std::string names;  // "-c,--csv"; without dashes: a positional one
  std::string help;
  std::string group = "Options";  // its heading in help
  std::string type = {};          // as help calls its value
  std::string default_text = {};  // in help
  bool is_flag = false;
  bool is_list = false;          // may be given several times
  bool may_be_bare = false;      // its value is "" then
  std::string former_name = {};  // still taken, and in no help
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
  std::vector<std::string> rest;                 // what is none of them
};

// How a command line is answered that asks for no work: a text to be printed, such as help, or the
// error that it is.
using Answer = std::variant<std::string, Error>;

// What a command line asks for, or its answer.
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
