// SPDX-License-Identifier: BSD-3-Clause
#include "features/columns_owner.h"

#include <algorithm>
#include <iterator>

#include "features/quantities.h"
#include "features/select.h"

namespace flowmeter {
namespace {

using namespace quantities;

constexpr std::string_view kOfSource = " of the source";
constexpr std::string_view kOfDestination = " of the destination";

// Null: nobody asked for owners.
template <Way kWay>
const EndOwner* owner(Record f) {
  return f.owners ? &f.owners[sender(f, kWay)] : nullptr;
}

template <Way kWay>
constexpr std::string_view kOfEnd = kWay == Way::kForward ? kOfSource : kOfDestination;

template <Way kWay, auto kText>
constexpr Quantity text(std::string_view definition, ColumnType type = ColumnType::kText) {
  Quantity quantity{type, kNone, Way::kBoth, definition, [](Record f) {
                      const EndOwner* const end = owner<kWay>(f);
                      return Cell::lasting(end ? (end->*kText).substr(0, EndOwner::kMaxText)
                                               : std::string_view());
                    }};
  quantity.unit = Unit::kText;
  quantity.max_text = EndOwner::kMaxText;
  return with_note(quantity, kOfEnd<kWay>);
}

template <Way kWay>
constexpr Quantity pid() {
  Quantity quantity{ColumnType::kInteger, kNone, Way::kBoth,
                    "process that made or last connected the socket", [](Record f) {
                      const EndOwner* const end = owner<kWay>(f);
                      return end && end->pid != 0 ? Cell(end->pid) : Cell(std::string_view());
                    }};
  quantity.may_be_empty = true;
  return with_note(quantity, kOfEnd<kWay>);
}

constexpr QuantityOf kService{
    kText,
    "address and port of the service through which the flow's destination was chosen "
    "(conntrack); in the row to the service and in that to the server",
    [](Record f) { return f.service; }};

#define FM_OWNER_COLUMNS(end, way)                                                                \
  {end "_container_id", text<way, &EndOwner::container_id>("container")},                         \
      {end "_container_name", text<way, &EndOwner::container_name>("name of the container")},     \
      {end "_pod_uid", text<way, &EndOwner::pod_uid>("uid (as in paths of cgroups) of the pod")}, \
      {end "_pod_name", text<way, &EndOwner::pod_name>("name of the pod")},                       \
      {end "_namespace",                                                                          \
       text<way, &EndOwner::pod_namespace>("namespace of the pod", ColumnType::kCategory)},       \
      {end "_cgroup", text<way, &EndOwner::cgroup>("path of the cgroup")},                        \
      {end "_attribution",                                                                        \
       text<way, &EndOwner::attribution>("socket, listener, interface or none: how it is known "  \
                                         "who is the owner",                                      \
                                         ColumnType::kCategory)},                                 \
      {end "_pid", pid<way>()}, {                                                                 \
    end "_comm", text<way, &EndOwner::comm>("command of the process that has the socket")         \
  }

constexpr Column kColumns[] = {
    FM_OWNER_COLUMNS("src", Way::kForward),
    FM_OWNER_COLUMNS("dst", Way::kBackward),
    {"service", kService},
};
#undef FM_OWNER_COLUMNS

// The first column in a comma-separated list of which this holds.
template <typename Holds>
std::string_view first_of(std::string_view names, Holds holds) {
  for (const std::string_view name : column_names(names))
    for (const Column& column : kColumns)
      if (column.name == name && holds(column)) return column.name;
  return "";
}

}  // namespace

#define FM_CONTAINER_NAMES(end)                                                    \
  end "_container_id," end "_container_name," end "_pod_uid," end "_pod_name," end \
      "_namespace," end "_cgroup," end "_attribution"
#define FM_PROCESS_NAMES(end) FM_CONTAINER_NAMES(end) "," end "_pid," end "_comm"

const char kContainerColumns[] = FM_CONTAINER_NAMES("src") "," FM_CONTAINER_NAMES("dst");
const char kProcessColumns[] = FM_PROCESS_NAMES("src") "," FM_PROCESS_NAMES("dst");

bool is_process_column(std::string_view name) {
  return name.ends_with("_pid") || name.ends_with("_comm");
}

std::string_view first_owner_column(std::string_view names) {
  return first_of(names, [](const Column& column) { return column.get != kService.get; });
}

std::string_view first_process_column(std::string_view names) {
  return first_of(names, [](const Column& column) { return is_process_column(column.name); });
}

bool names_service_column(std::string_view names) {
  return !first_of(names, [](const Column& column) { return column.get == kService.get; }).empty();
}

FeatureSet columns_owner() {
  return kColumns;
}

}  // namespace flowmeter
