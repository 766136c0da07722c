// SPDX-License-Identifier: BSD-3-Clause
// When the interfaces of a live run are looked at: as soon as the kernel notifies of a change, also
// in the middle of long work, but at most once a millisecond; and five times a second, for what has
// to be tried again.
#pragma once

#include <cstdint>
#include <vector>

#include "kernel/metered_interfaces.h"

namespace flowmeter {

// A signal ends it early.
void sleep_ns(uint64_t ns);

class InterfaceWatch {
 public:
  // interfaces: of the run that begins.
  void begin(MeteredInterfaces& interfaces) { interfaces_ = &interfaces; }
  // From now on nothing is attached.
  void end() { interfaces_ = nullptr; }

  // Looks, if it is time.
  void look(uint64_t now_ns) {
    if (interfaces_ && now_ns >= next_look_) update(now_ns);
  }
  // Looks only if there is a notification.
  void look_in_between(uint64_t now_ns);
  // Sleeps until there is one. A signal ends it early.
  void wait(uint64_t ns);

  // The result of all looks since the last call. Appends the slots of interfaces that have gone.
  Status take(std::vector<unsigned>& departed);
  // Whether there are such slots that were not taken.
  bool has_departed() const { return !departed_.empty(); }

 private:
  void update(uint64_t now_ns);

  MeteredInterfaces* interfaces_ = nullptr;
  std::vector<unsigned> departed_;
  Status status_ = Done{};
  uint64_t notified_ = 0;  // the last time
  uint64_t asked_ = 0;     // when it was last known whether there is a notification
  uint64_t next_look_ = 0;
};

}  // namespace flowmeter
