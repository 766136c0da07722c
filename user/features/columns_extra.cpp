// SPDX-License-Identifier: BSD-3-Clause
#include "features/columns_extra.h"

#include <array>

namespace flowmeter {
namespace {

using Record = const FlowRecord&;

std::string_view end_name(fm_end_reason end) {
  static constexpr std::string_view kNames[] = {
#define FM_END_NAME(constant, name, description) name,
      FM_END_REASON_LIST(FM_END_NAME)
#undef FM_END_NAME
  };
  return kNames[end];
}

constexpr std::array kColumnsExtra = {
    Column{"interface", Unit::kText, [](Record f) -> Cell { return f.interface; },
           "live: interface at which the flow's first packet was met"},
    Column{"direction", Unit::kText,
           [](Record f) -> Cell {
             if (f.interface.empty()) return std::string_view();
             return std::string_view(f.hook == FM_HOOK_INGRESS ? "ingress" : "egress");
           },
           "live: whether that interface received (ingress) or sent it (egress)"},
    Column{"end_reason", Unit::kText, [](Record f) -> Cell { return end_name(f.end); },
           "why the flow ended: idle, reopened, active, end, resources, evicted"},
    Column{"pkts_without_timing", Unit::kPackets,
           [](Record f) -> Cell { return f.packets_without_timing; },
           "live: packets in the counts whose times are unknown"},
    Column{"timing_estimated", Unit::kNone,
           [](Record f) -> Cell { return uint64_t{f.packets_without_timing > 0}; },
           "1 if times, rates, bulks, subflows, active and idle are of only some of the packets"},
    Column{"evictions", Unit::kNone, [](Record f) -> Cell { return uint64_t{f.evictions}; },
           "live: how often the kernel's map dropped the flow for newer ones"},
};

}  // namespace

const char kQualityColumns[] = "end_reason,pkts_without_timing,timing_estimated,evictions";

FeatureSet columns_extra() {
  return kColumnsExtra;
}

}  // namespace flowmeter
