// SPDX-License-Identifier: BSD-3-Clause
#include "run/earlier_rows.h"

#include "kernel/earlier_version.h"

namespace flowmeter {

bool EarlierRows::done() const {
  return !datapath_.earlier() || datapath_.earlier()->done();
}

Result<size_t> EarlierRows::take() {
  if (done()) return size_t{0};
  auto taken = datapath_.earlier()->take([this](const EarlierVersion::Flow& flow) {
    LiveFlow live{};
    live.key = flow.key;
    live.flow = flow.flow;
    live.ifindex = flow.ifindex;
    live.hook = flow.hook;
    live.packets_without_timing = flow.packets_without_timing;
    flows_.write_earlier(live, flow.sizes, flow.end);
  });
  if (taken && done()) report_end();
  return taken;
}

void EarlierRows::report_end() const {
  const EarlierVersion& earlier = *datapath_.earlier();
  if (!config_.quiet)
    host_.log_info("wrote the " + std::to_string(earlier.taken_over()) +
                   " flows that another version has left in " + config_.pin);
  if (const uint64_t lost = earlier.packets_lost(); lost > 0)
    host_.log_warning(std::to_string(lost) +
                      " packets that another version has metered are in no row, because only that "
                      "program knew them");
}

}  // namespace flowmeter
