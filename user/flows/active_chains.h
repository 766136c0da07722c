// SPDX-License-Identifier: BSD-3-Clause
// The starts of flows that an active time-out has ended, until the flows that continue them are
// known here.
//
// The kernel's record of such an end has the time of the packet that begins the next flow, which is
// that flow's first_ns. So a key and a time identify the next flow, whatever records are lost
// between. Bounded: if records of beginnings are lost, an old entry is forgotten.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "flowmeter/flow_key.h"

namespace flowmeter {

class ActiveChains {
 public:
  struct Link {
    fm_flow_key key;
    uint64_t next_first_ns;  // 0: unused
    uint64_t chain_start_ns;
  };
  static constexpr size_t kMost = 256;

  // An active time-out has ended a flow of this key, whose chain has begun at chain_start_ns.
  void continue_later(const Link& link) {
    if (link.next_first_ns == 0) return;
    size_t at = next_;
    for (size_t i = 0; i < kMost && links_[at].next_first_ns != 0; i++) at = (at + 1) % kMost;
    waiting_ += links_[at].next_first_ns == 0;
    links_[at] = link;
    next_ = (at + 1) % kMost;
  }
  // Where the chain of the flow that has begun at first_ns has begun; 0: it continues no other one.
  uint64_t take(const fm_flow_key& key, uint64_t first_ns) {
    if (waiting_ == 0) return 0;
    for (Link& link : links_) {
      if (link.next_first_ns != first_ns || !fm_key_equal(&link.key, &key)) continue;
      link.next_first_ns = 0;
      waiting_--;
      return link.chain_start_ns;
    }
    return 0;
  }

  // Calls visit(link) for all that wait.
  template <typename Visit>
  void each(Visit&& visit) const {
    for (const Link& link : links_)
      if (link.next_first_ns != 0) visit(link);
  }
  size_t waiting() const { return waiting_; }

 private:
  std::array<Link, kMost> links_{};
  size_t next_ = 0;
  size_t waiting_ = 0;
};

}  // namespace flowmeter
