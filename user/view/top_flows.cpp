// SPDX-License-Identifier: BSD-3-Clause
#include "view/top_flows.h"

#include <algorithm>

#include "features/owner_text.h"

namespace flowmeter {

bool TopFlows::step(const LiveFlows& flows, uint64_t now_ns) {
  if (next_slot_ == 0) {
    heap_.clear();
    owners_.begin_pass();
    count_ = next_count_;
  }
  OwnerNames* const names = flows.owner_names();
  const auto look = [&](const LiveFlow& live, const EndTraces* ends) {
    consider(live, ends, now_ns);
    if (by_owner_ && ends && names) owners_.add(live, *ends, *names);
  };
  next_slot_ = flows.look_at(next_slot_, kStep, look);
  if (next_slot_ != 0) return false;
  end_pass(names, now_ns);
  return true;
}

void TopFlows::set_order(TopOrder order) {
  if (order == order_) return;
  order_ = order;
  next_slot_ = 0;  // the flows chosen so far are from another order
  std::sort(shown_.begin(), shown_.end(),
            [this](const TopFlow& a, const TopFlow& b) { return greater(a, b); });
}

void TopFlows::consider(const LiveFlow& live, const EndTraces* ends, uint64_t now_ns) {
  const fm_flow_counters& counters = live.flow.counters;
  const fm_direction_counters* d = counters.direction;
  const uint64_t packets = d[0].length.count + d[1].length.count;
  const uint64_t bytes = d[0].length.sum + d[1].length.sum;
  const auto later = [this](const TopFlow& a, const TopFlow& b) { return greater(a, b); };
  if (count_ == 0) return;
  if (heap_.size() == count_) {
    if ((order_ == TopOrder::kBytes ? bytes : packets) <= rank(heap_.front())) return;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }
  heap_.push_back(
      {live.key, live.id, counters.forward_direction, counters.first_ns, packets, bytes, now_ns});
  if (ends) heap_.back().ends = *ends;
  std::push_heap(heap_.begin(), heap_.end(), later);
}

void TopFlows::end_pass(OwnerNames* names, uint64_t now_ns) {
  knows_owners_ = names != nullptr;
  if (by_owner_) owners_.end_pass(now_ns, order_ == TopOrder::kBytes);
  if (names)
    for (TopFlow& flow : heap_)
      for (size_t end = 0; end < flow.ends.size(); end++)
        flow.names[end] = owner_name(names->name(flow.ends[end]));
  std::unordered_map<uint64_t, const TopFlow*> before;
  for (const TopFlow& flow : shown_) before[flow.id] = &flow;
  for (TopFlow& flow : heap_) {
    const auto found = before.find(flow.id);
    if (found == before.end() || flow.read_ns <= found->second->read_ns) continue;
    const TopFlow& then = *found->second;
    const uint64_t bytes = flow.bytes - std::min(flow.bytes, then.bytes);
    flow.bits_per_s =
        8e9 * static_cast<double>(bytes) / static_cast<double>(flow.read_ns - then.read_ns);
  }
  std::sort(heap_.begin(), heap_.end(),
            [this](const TopFlow& a, const TopFlow& b) { return greater(a, b); });
  shown_ = std::move(heap_);
  heap_ = {};
}

}  // namespace flowmeter
