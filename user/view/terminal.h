// SPDX-License-Identifier: BSD-3-Clause
// A terminal to draw on: the alternate screen, and keys without Enter. The terminal is always
// restored: by leave(), the destructor, a second stop signal, or a signal that kills (except
// SIGKILL). Nothing here waits for a terminal that does not accept its output; frames are skipped
// instead. Only one terminal at a time may be entered.
#pragma once

#include <termios.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace flowmeter {

struct TerminalSize {
  unsigned rows = 24;
  unsigned columns = 80;

  bool operator==(const TerminalSize&) const = default;
};

class Terminal {
 public:
  // The terminal behind standard error or, if that is none, behind standard output unless rows go
  // there. Fails, saying what is missing, if there is none, or if it cannot be drawn on.
  static Result<std::unique_ptr<Terminal>> open(bool output_in_use);
  ~Terminal() { leave(); }

  Status enter();
  void leave();

  TerminalSize size() const;
  // Whether the screen must be redrawn because, since the last call, the size has changed or the
  // process was stopped and continued.
  bool changed();
  // The keys pressed since the last call, except those that are not characters (arrows).
  std::string keys();
  // Writes the lines from the top left; a line may start with kInverse. Characters that are not
  // printable ASCII become "?", and lines are truncated at the right edge. Does nothing while an
  // earlier frame is still being written.
  void draw(const std::string* lines, size_t count, TerminalSize size);

  static constexpr std::string_view kInverse = "\033[7m", kPlain = "\033[0m";

 private:
  explicit Terminal(UniqueFd fd) : fd_(std::move(fd)) {}
  // Writes as much of pending_ as the terminal accepts.
  void write_pending();

  UniqueFd fd_;
  std::string pending_;
  bool entered_ = false;
};

// Restores the terminal that is entered, if any. Async-signal-safe.
void restore_terminal();

}  // namespace flowmeter
