// SPDX-License-Identifier: BSD-3-Clause
#include "features/columns_extra.h"

#include "features/quantities.h"

namespace flowmeter {
namespace {

using namespace quantities;

std::string_view end_name(fm_end_reason end) {
  static constexpr std::string_view kNames[] = {
#define FM_END_NAME(constant, name, description) name,
      FM_END_REASON_LIST(FM_END_NAME)
#undef FM_END_NAME
  };
  return kNames[end];
}

constexpr CategoryOf kInterface{kText, "live: interface where the flow's first packet was seen",
                                [](Record f) { return f.interface; }};
constexpr CategoryOf kDirection{
    kText, "live: whether that interface received the packet (ingress) or sent it (egress)",
    [](Record f) {
      if (f.interface.empty()) return std::string_view();
      return std::string_view(f.hook == FM_HOOK_INGRESS ? "ingress" : "egress");
    }};
constexpr CategoryOf kEndReason{
    kText, "why the flow ended: idle, reopened, active, end, resources, evicted, upgrade",
    [](Record f) { return end_name(f.end); }};
constexpr QuantityOf kPacketsWithoutTiming{
    kPackets, "live: packets that are counted but whose times are unknown",
    [](Record f) { return f.packets_without_timing; }};
constexpr QuantityOf kTimingEstimated{
    kNone,
    "1 if times, rates, bulks, subflows, active and idle periods cover only some of the packets",
    [](Record f) { return f.packets_without_timing > 0; }};
constexpr QuantityOf kEvictions{
    kNone, "live: how often the kernel's map dropped the flow to make room for newer ones",
    [](Record f) { return f.evictions; }};

constexpr Column kColumns[] = {
    {"interface", kInterface},
    {"direction", kDirection},
    {"end_reason", kEndReason},
    {"pkts_without_timing", kPacketsWithoutTiming},
    {"timing_estimated", kTimingEstimated},
    {"evictions", kEvictions},
};

}  // namespace

const char kQualityColumns[] = "end_reason,pkts_without_timing,timing_estimated,evictions";

FeatureSet columns_extra() {
  return kColumns;
}

}  // namespace flowmeter
