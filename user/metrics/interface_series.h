// SPDX-License-Identifier: BSD-3-Clause
// Which interfaces have a series of their own: a bounded number, so that a machine with thousands
// of short-lived interfaces does not flood the server that stores the series. Invariant: the series
// and those that are gone are together all packets, and no counter ever decreases.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "metrics/snapshot.h"

namespace flowmeter {

class InterfaceSeries {
 public:
  static constexpr const char* kOther = "(other)";

  struct Interface {
    unsigned index = 0;
    std::string name;
    HookCounters hooks{};
  };

  explicit InterfaceSeries(size_t limit) : limit_(limit) {}

  // Sets the snapshot's interfaces and what is gone. An interface keeps its series as long as it
  // lives; one that gets none stays in "(other)", even when there is room again. now: all
  // interfaces with different indexes; departed: the final counts of all that have ever left.
  //
  // "(other)" begins at zero. What its interfaces have at the first call (--pin) is gone: it cannot
  // be told from what an earlier daemon's "(other)" had, and from what had left that.
  void update(const std::vector<Interface>& now, const HookCounters& departed,
              MetricsSnapshot& snapshot);

 private:
  struct Known {
    bool has_series = false;
    HookCounters before{};  // not counted in "(other)"
    HookCounters last{};
  };
  void forget(std::map<unsigned, Known>::iterator known);

  const size_t limit_;
  size_t series_ = 0;  // interfaces that have one
  std::map<unsigned, Known> known_;
  // What interfaces without a series that are gone had last added to "(other)", where it stays.
  HookCounters other_gone_{};
  bool has_other_ = false;
  bool is_first_ = true;
};

}  // namespace flowmeter
