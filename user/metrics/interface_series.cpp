// SPDX-License-Identifier: BSD-3-Clause
#include "metrics/interface_series.h"

#include <set>

namespace flowmeter {
namespace {

// Calls change(a counter of one, the same of the other) for each counter.
template <typename Change>
void each_counter(HookCounters& one, const HookCounters& other, Change&& change) {
  for (size_t hook = 0; hook < FM_HOOK_COUNT; hook++) {
    change(one[hook].seen, other[hook].seen);
    change(one[hook].buffers, other[hook].buffers);
    change(one[hook].uncertain, other[hook].uncertain);
    for (size_t i = 0; i < FM_PACKET_CLASS_COUNT; i++)
      change(one[hook].by_class[i], other[hook].by_class[i]);
  }
}

void add(HookCounters& sum, const HookCounters& more) {
  each_counter(sum, more, [](auto& to, auto from) { to += from; });
}

void subtract(HookCounters& from, const HookCounters& less) {
  each_counter(from, less, [](auto& to, auto minus) { to -= minus < to ? minus : to; });
}

// The index was given to a new interface, or its counters were begun again.
bool has_restarted(const HookCounters& last, const HookCounters& now) {
  for (size_t hook = 0; hook < FM_HOOK_COUNT; hook++)
    if (now[hook].seen < last[hook].seen) return true;
  return false;
}

}  // namespace

void InterfaceSeries::forget(std::map<unsigned, Known>::iterator known) {
  if (known->second.has_series) {
    series_--;
  } else {
    subtract(known->second.last, known->second.before);
    add(other_gone_, known->second.last);
  }
  known_.erase(known);
}

void InterfaceSeries::update(const std::vector<Interface>& now, const HookCounters& departed,
                             MetricsSnapshot& snapshot) {
  std::map<unsigned, const Interface*> present;  // older interfaces have lower indexes
  for (const Interface& each : now) present[each.index] = &each;
  for (auto known = known_.begin(); known != known_.end();) {
    const auto next = std::next(known);
    const auto found = present.find(known->first);
    if (found == present.end() || has_restarted(known->second.last, found->second->hooks))
      forget(known);
    known = next;
  }
  std::map<std::string, HookCounters> series;  // two interfaces may have one printable name
  HookCounters other = other_gone_, before{};
  for (const auto& [index, interface] : present) {
    const auto [known, is_new] = known_.try_emplace(index);
    if (is_new && series_ < limit_) {
      known->second.has_series = true;
      series_++;
    }
    known->second.last = interface->hooks;
    if (known->second.has_series) {
      add(series[interface->name], interface->hooks);
      continue;
    }
    if (is_first_) known->second.before = interface->hooks;
    add(other, interface->hooks);
    add(before, known->second.before);
    has_other_ = true;
  }
  is_first_ = false;
  subtract(other, before);
  if (has_other_) add(series[kOther], other);
  snapshot.interfaces.clear();
  for (const auto& [name, hooks] : series) snapshot.interfaces.push_back({name, hooks});
  snapshot.interface_count = now.size();
  snapshot.gone = departed;
  add(snapshot.gone, before);
  subtract(snapshot.gone, other_gone_);
}

}  // namespace flowmeter
