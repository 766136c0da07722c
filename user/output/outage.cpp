// SPDX-License-Identifier: BSD-3-Clause
#include "output/outage.h"

#include <algorithm>
#include <cstdio>

namespace flowmeter {

void Outage::note_failure(int os_error) {
  constexpr RowQueue::Duration kFirstPause = std::chrono::milliseconds(50);
  constexpr RowQueue::Duration kLongestPause = std::chrono::seconds(1);
  const auto now = RowQueue::now();
  if (!lasts()) {
    since_ = now;
    pause_ = kFirstPause;
    host_->log_warning(Error{"cannot write output " + output_, os_error}.message() +
                       "; trying again");
  }
  os_error_ = os_error;
  next_try_ = now + pause_;
  pause_ = std::min(2 * pause_, kLongestPause);
}

void Outage::end() {
  char text[64];
  std::snprintf(text, sizeof(text), ": writes again after %.1f s",
                std::chrono::duration<double>(RowQueue::now() - since_).count());
  host_->log_info("output " + output_ + text);
  os_error_ = 0;
}

}  // namespace flowmeter
