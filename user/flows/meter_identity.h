// SPDX-License-Identifier: BSD-3-Clause
// Which meter makes the rows, and in which run: what the ids of flows depend on besides the flow
// (features/flow_ids.h). Also when a flow has started, as these ids need it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/sha1.h"

namespace flowmeter {

class MeterIdentity {
 public:
  static constexpr size_t kMaxId = 64;
  // A replay has no run of its own: a capture gives the same ids each time.
  static constexpr uint64_t kReplay = 0;

  // id: valid_id(). run: live, a random number that all daemons with the same pins share.
  MeterIdentity(std::string id, uint16_t community_seed, uint64_t run)
      : id_(std::move(id)), community_seed_(community_seed), run_(run) {
    const auto add = [this](std::string_view text) {
      ids_.add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    };
    add("flowmeter-ebpf");
    uint8_t numbers[9];
    for (int i = 0; i < 8; i++) numbers[i] = static_cast<uint8_t>(run >> 8 * i);
    numbers[8] = static_cast<uint8_t>(id_.size());
    ids_.add(numbers);
    add(id_);
    ids_.fill_block();
  }

  // Whether a meter may be called so: the id is a cell of a CSV, without quotes.
  static bool valid_id(std::string_view id) {
    const auto valid = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
             c == '.' || c == '_' || c == ':' || c == '-';
    };
    return !id.empty() && id.size() <= kMaxId && std::all_of(id.begin(), id.end(), valid);
  }

  const std::string& id() const { return id_; }
  uint16_t community_seed() const { return community_seed_; }
  bool is_replay() const { return run_ == kReplay; }
  // The hash of the meter and the run, to which an id adds what identifies its flow.
  const Sha1& ids() const { return ids_; }

 private:
  std::string id_;
  uint16_t community_seed_;
  uint64_t run_;
  Sha1 ids_;
};

// When a flow has started, so that no other flow of its key in this run has the same start.
struct FlowStart {
  uint64_t first_ns = 0;
  // Replay only, where time stamps can be equal or step back: the era of first_ns (flow_table.h),
  // and which flow of the input this is.
  int64_t era = 0;
  uint64_t number = 0;
};

}  // namespace flowmeter
