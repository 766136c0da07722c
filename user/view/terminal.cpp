// SPDX-License-Identifier: BSD-3-Clause
#include "view/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "ops/signals.h"

namespace flowmeter {
namespace {

// Alternate screen, cursor hidden, no wrapping at the right edge.
constexpr char kEnter[] = "\033[?1049h\033[?25l\033[?7l\033[2J";
constexpr char kLeave[] = "\033[0m\033[?7h\033[?25h\033[?1049l";

// Signals that may kill the process.
constexpr int kFatal[] = {SIGABRT, SIGBUS, SIGFPE, SIGHUP, SIGILL, SIGQUIT, SIGSEGV};

// The state that signal handlers use.
volatile std::sig_atomic_t entered_fd = -1;
volatile std::sig_atomic_t changed_flag = 0;
struct termios before, while_entered;
struct sigaction fatal_before[std::size(kFatal)], winch_before, cont_before;

extern "C" void on_change(int) {
  changed_flag = 1;
}

extern "C" void on_fatal(int number) {
  restore_terminal();
  for (size_t i = 0; i < std::size(kFatal); i++)
    if (kFatal[i] == number) ::sigaction(number, &fatal_before[i], nullptr);
  ::raise(number);
}

// Opens a new file description, because O_NONBLOCK on the inherited one would also affect the
// shell. Opening the device by its path may be refused if the terminal belongs to another user
// (sudo); /dev/tty is open to all.
UniqueFd open_again(int fd) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  for (const char* each : {path.c_str(), "/dev/tty"}) {
    UniqueFd again(::open(each, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (again && ::isatty(again.get())) return again;
  }
  return UniqueFd();
}

}  // namespace

void restore_terminal() {
  const int fd = static_cast<int>(entered_fd);
  if (fd < 0) return;
  entered_fd = -1;
  const int error = errno;
  // The output so far may have been cut off within an escape sequence; the first byte ends it.
  [[maybe_unused]] const ssize_t ignored = ::write(fd, kLeave, sizeof(kLeave) - 1);
  ::tcsetattr(fd, TCSANOW, &before);
  errno = error;
}

Result<std::unique_ptr<Terminal>> Terminal::open(bool output_in_use) {
  int fd = -1;
  if (::isatty(STDERR_FILENO))
    fd = STDERR_FILENO;
  else if (!output_in_use && ::isatty(STDOUT_FILENO))
    fd = STDOUT_FILENO;
  if (fd < 0)
    return Error{output_in_use
                     ? "--top needs a terminal: standard error is not one, and rows go to standard "
                       "output"
                     : "--top needs a terminal: neither standard error nor standard output is one"};
  if (output_in_use && ::isatty(STDOUT_FILENO))
    return Error{
        "--top and -c - cannot share the terminal: use -c FILE, or pipe the output of -c -"};
  const char* kind = std::getenv("TERM");
  if (!kind || !*kind || std::string_view(kind) == "dumb")
    return Error{std::string("--top cannot draw on this terminal: TERM is ") +
                 (kind && *kind ? kind : "not set")};
  UniqueFd again = open_again(fd);
  if (!again) return Error{"--top cannot open the terminal", errno};
  return std::unique_ptr<Terminal>(new Terminal(std::move(again)));
}

Status Terminal::enter() {
  if (::tcgetattr(fd_.get(), &before) != 0)
    return Error{"--top cannot read the terminal's settings", errno};
  while_entered = before;
  while_entered.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  while_entered.c_iflag &= ~static_cast<tcflag_t>(IXON);
  while_entered.c_cc[VMIN] = 0;
  while_entered.c_cc[VTIME] = 0;
  // Ctrl-Z would stop the meter, and with it the draining of events.
  while_entered.c_cc[VSUSP] = _POSIX_VDISABLE;
  if (::tcsetattr(fd_.get(), TCSANOW, &while_entered) != 0)
    return Error{"--top cannot set up the terminal", errno};
  entered_ = true;
  entered_fd = fd_.get();
  struct sigaction action {};
  action.sa_handler = on_fatal;
  for (size_t i = 0; i < std::size(kFatal); i++) ::sigaction(kFatal[i], &action, &fatal_before[i]);
  action.sa_handler = on_change;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGWINCH, &action, &winch_before);
  ::sigaction(SIGCONT, &action, &cont_before);
  call_before_forced_exit(restore_terminal);
  pending_ = kEnter;
  write_pending();
  return Done{};
}

void Terminal::leave() {
  if (!entered_) return;
  entered_ = false;
  call_before_forced_exit(nullptr);
  ::sigaction(SIGWINCH, &winch_before, nullptr);
  ::sigaction(SIGCONT, &cont_before, nullptr);
  for (size_t i = 0; i < std::size(kFatal); i++) ::sigaction(kFatal[i], &fatal_before[i], nullptr);
  // A slow terminal gets some time for the last frame; a stuck one does not block the program.
  constexpr int kPatienceMs = 500;
  pollfd ready{fd_.get(), POLLOUT, 0};
  for (int turn = 0; turn < 10 && !pending_.empty(); turn++) {
    if (::poll(&ready, 1, kPatienceMs / 10) > 0) write_pending();
  }
  ::poll(&ready, 1, kPatienceMs);
  restore_terminal();
}

TerminalSize Terminal::size() const {
  struct winsize size {};
  TerminalSize result;
  if (::ioctl(fd_.get(), TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
    result = {size.ws_row, size.ws_col};
  return result;
}

bool Terminal::changed() {
  if (!changed_flag) return false;
  changed_flag = 0;
  // The shell has used the terminal before SIGCONT.
  ::tcsetattr(fd_.get(), TCSANOW, &while_entered);
  pending_ = kEnter;
  return true;
}

std::string Terminal::keys() {
  char buffer[64];
  const ssize_t size = ::read(fd_.get(), buffer, sizeof(buffer));
  if (size <= 0) return "";
  const std::string_view read(buffer, static_cast<size_t>(size));
  return std::string(read.substr(0, read.find('\033')));
}

void Terminal::write_pending() {
  while (!pending_.empty()) {
    const ssize_t written = ::write(fd_.get(), pending_.data(), pending_.size());
    if (written <= 0) return;
    pending_.erase(0, static_cast<size_t>(written));
  }
}

void Terminal::draw(const std::string* lines, size_t count, TerminalSize size) {
  write_pending();
  if (!pending_.empty()) return;
  pending_ = "\033[H";
  count = std::min<size_t>(count, size.rows);
  for (size_t i = 0; i < count; i++) {
    // Erase first, then write: erasing after a full line would erase its last column. The first
    // bytes of a line may switch to inverse.
    pending_ += "\033[2K";
    const bool inverse = lines[i].starts_with(kInverse);
    if (inverse) pending_ += kInverse;
    std::string_view text = lines[i];
    if (inverse) text.remove_prefix(kInverse.size());
    for (const char c : text.substr(0, size.columns)) pending_ += c >= ' ' && c <= '~' ? c : '?';
    if (inverse) pending_ += kPlain;
    if (i + 1 < count) pending_ += "\r\n";
  }
  // Below the last line.
  if (count < size.rows) pending_ += "\r\n\033[J";
  write_pending();
}

}  // namespace flowmeter
