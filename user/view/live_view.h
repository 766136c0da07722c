// SPDX-License-Identifier: BSD-3-Clause
// The screen of --top: rates of the interfaces, flows, packet classes, and the largest flows,
// redrawn every second. view_lines() makes the text for any size of the screen; LiveView owns the
// terminal and handles the keys and the log lines, which would otherwise garble the screen.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/host.h"
#include "flowmeter/abi.h"
#include "flows/account.h"
#include "view/terminal.h"
#include "view/top_flows.h"

namespace flowmeter {

// Counters at one moment, since the start of the run.
struct ViewCounters {
  struct Hook {
    uint64_t packets = 0;
    uint64_t bytes = 0;  // by the interface's own counters
  };
  struct Interface {
    std::string name;
    Hook hook[FM_HOOK_COUNT];
  };
  struct Loss {
    const char* name;
    uint64_t count;
  };

  uint64_t now_ns = 0;
  std::vector<Interface> interfaces;
  uint64_t flows_open = 0;
  uint64_t flows_ended = 0;
  Account account;
  std::vector<Loss> losses;
};

// The screen as lines, none longer than the width of the screen (Terminal::kInverse does not
// count). now and before: the counters whose difference is the rate.
std::vector<std::string> view_lines(const ViewCounters& now, const ViewCounters& before,
                                    uint64_t begin_ns, const TopFlows& top,
                                    const std::deque<std::string>& log, TerminalSize size);

// At most five characters: 999, 1.23k, 45.6M, 789G.
std::string short_number(double value);

class LiveView {
 public:
  static Result<std::unique_ptr<LiveView>> open(bool output_in_use, Host& host);
  ~LiveView();

  // Starts to use the terminal. From now on, log lines are shown on it and printed at the end. If
  // standard error is not a terminal, they are printed at once.
  Status enter(uint64_t now_ns);

  // Handles keys, changes of the size, and the next step through the flows. Call it often. Returns
  // false if the user wants to quit.
  bool follow(const LiveFlows& flows, uint64_t now_ns);
  // Whether a second has passed since show().
  bool due(uint64_t now_ns) const { return now_ns >= next_ns_; }
  void show(ViewCounters now);

 private:
  LiveView(std::unique_ptr<Terminal> terminal, Host& host)
      : host_(host), terminal_(std::move(terminal)) {}
  void draw();

  Host& host_;
  std::unique_ptr<Terminal> terminal_;
  TopFlows top_;
  bool pass_pending_ = true;
  uint64_t begin_ns_ = 0;
  uint64_t next_ns_ = 0;
  ViewCounters now_;
  ViewCounters before_;
  std::mutex log_mutex_;          // guards the following members: other threads may log
  std::deque<std::string> log_;   // the latest lines, which are shown
  std::deque<std::string> kept_;  // lines to print at the end
  uint64_t not_kept_ = 0;
};

}  // namespace flowmeter
