// SPDX-License-Identifier: BSD-3-Clause
#include "base/repeat_limit.h"

#include <algorithm>

namespace flowmeter {

bool RepeatLimit::admit(std::string_view line, uint64_t now_ns, uint64_t* suppressed) {
  *suppressed = 0;
  const auto found = std::find_if(known_.begin(), known_.end(),
                                  [line](const Known& known) { return known.line == line; });
  if (found == known_.end()) {
    if (known_.size() == kLines) {
      const Known& oldest = known_.front();
      if (oldest.suppressed > 0 && pushed_out_.size() < kLines)
        pushed_out_.emplace_back(oldest.line, oldest.suppressed);
      known_.pop_front();
    }
    known_.push_back({std::string(line), now_ns, 1, 0});
    return true;
  }
  if (now_ns - found->window_begin_ns >= kWindowNs) {
    found->window_begin_ns = now_ns;
    found->printed = 0;
  }
  if (found->printed == kBurst) {
    found->suppressed++;
    return false;
  }
  found->printed++;
  *suppressed = std::exchange(found->suppressed, 0);
  return true;
}

std::vector<std::pair<std::string, uint64_t>> RepeatLimit::take_suppressed() {
  std::vector<std::pair<std::string, uint64_t>> taken = std::exchange(pushed_out_, {});
  for (Known& known : known_)
    if (known.suppressed > 0) taken.emplace_back(known.line, std::exchange(known.suppressed, 0));
  return taken;
}

}  // namespace flowmeter
