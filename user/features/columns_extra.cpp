// SPDX-License-Identifier: BSD-3-Clause
#include "features/columns_extra.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "features/columns_owner.h"
#include "features/community_id.h"
#include "features/flow_ids.h"
#include "features/quantities.h"
#include "features/select.h"

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

constexpr CategoryOf kMeterId{
    kText,
    "which meter made the row: --meter-id, else the machine's id, else "
    "its host name",
    [](Record f) { return f.meter ? std::string_view(f.meter->id()) : std::string_view(); }};
constexpr QuantityOf kFlowId{kText,
                             "UUID of the row, unique over meters and runs; the same if the row "
                             "is delivered again",
                             [](Record f) { return flow_id(f); }};
constexpr QuantityOf kFlowKey{kText,
                              "UUID of the flow; the same in all rows that continue it after an "
                              "active time-out",
                              [](Record f) { return flow_key(f); }};
constexpr QuantityOf kCommunityId{
    kText, "Community ID, version 1, of the flow's first packet (--community-id-seed)",
    [](Record f) { return community_id(f); }};

constexpr Column kMeterColumns[] = {
    {"interface", kInterface},
    {"direction", kDirection},
    {"end_reason", kEndReason},
    {"pkts_without_timing", kPacketsWithoutTiming},
    {"timing_estimated", kTimingEstimated},
    {"evictions", kEvictions},
    {"meter_id", kMeterId},
    {"flow_id", kFlowId},
    {"flow_key", kFlowKey},
    {"community_id", kCommunityId},
};

}  // namespace

const char kQualityColumns[] = "end_reason,pkts_without_timing,timing_estimated,evictions";
const char kFleetColumns[] = "meter_id,flow_id,flow_key,community_id";

bool names_fleet_column(std::string_view names) {
  const std::vector<std::string_view> given = column_names(names),
                                      fleet = column_names(kFleetColumns);
  return std::find_first_of(given.begin(), given.end(), fleet.begin(), fleet.end()) != given.end();
}

FeatureSet columns_extra() {
  static const std::vector<Column> all = [] {
    std::vector<Column> columns(std::begin(kMeterColumns), std::end(kMeterColumns));
    columns.insert(columns.end(), columns_owner().begin(), columns_owner().end());
    return columns;
  }();
  return all;
}

}  // namespace flowmeter
