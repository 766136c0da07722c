// SPDX-License-Identifier: BSD-3-Clause
#include "view/top_owners.h"

#include <algorithm>

#include "features/owner_text.h"

namespace flowmeter {

void TopOwners::add(const LiveFlow& live, const EndTraces& ends, OwnerNames& names) {
  const fm_direction_counters* d = live.flow.counters.direction;
  for (size_t end = 0; end < ends.size(); end++) {
    const std::string name = owner_name(names.name(ends[end]));
    if (name.empty()) continue;
    TopOwner& sum = sums_[name];
    sum.flows++;
    sum.packets += d[end].length.count + d[!end].length.count;
    sum.sent_bytes += d[end].length.sum;
    sum.received_bytes += d[!end].length.sum;
  }
}

void TopOwners::end_pass(uint64_t now_ns, bool by_bytes) {
  std::unordered_map<std::string, uint64_t> before;
  for (const TopOwner& owner : shown_) before[owner.name] = owner.bytes();
  const double seconds = shown_ns_ ? static_cast<double>(now_ns - shown_ns_) / 1e9 : 0;
  shown_.clear();
  for (auto& [name, owner] : sums_) {
    const auto found = before.find(name);
    if (found != before.end() && seconds > 0)  // flows that have ended are not in the sum any more
      owner.bits_per_s =
          8 * static_cast<double>(owner.bytes() - std::min(owner.bytes(), found->second)) / seconds;
    owner.name = name;
    shown_.push_back(std::move(owner));
  }
  sums_.clear();
  shown_ns_ = now_ns;
  std::sort(shown_.begin(), shown_.end(), [by_bytes](const TopOwner& a, const TopOwner& b) {
    const uint64_t of_a = by_bytes ? a.bytes() : a.packets;
    const uint64_t of_b = by_bytes ? b.bytes() : b.packets;
    return of_a != of_b ? of_a > of_b : a.name < b.name;
  });
}

}  // namespace flowmeter
