// SPDX-License-Identifier: BSD-3-Clause
// The open flows of a daemon in a file that outlives it, so that a later daemon (--pin) goes on
// with what the kernel does not know: times, clocks, and flows for which its map had no room.
//
// The daemon keeps a copy of each flow that has changed since the last copy, in memory that it
// shares with the file. A copy counts once its id is stored, so a kill at any moment leaves every
// flow either whole or unknown. While the file's number of commits is the journal's (fm_commit),
// nothing has happened since and the file is the whole truth. Otherwise it lacks what came later:
// the kernel's counters are then right, and the times of the packets in between are missing.
//
// The file should be in memory (/run), where a store is no write to a disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/owned_directory.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "flows/flow_owners.h"
#include "flows/live_flow.h"

namespace flowmeter {

class FlowState {
 public:
  // Opens the file of this name or creates it. It is in use by this process until the end; fails if
  // another one uses it. journal: the id of the journal that it belongs to; what belongs to another
  // one, or to another version of this program, is removed. capacity: the most flows; with_sizes:
  // their sizes are kept, too.
  static Result<std::unique_ptr<FlowState>> open(OwnedDirectory directory, const std::string& name,
                                                 uint64_t journal, uint32_t capacity,
                                                 bool with_sizes);
  ~FlowState();
  FlowState(const FlowState&) = delete;
  FlowState& operator=(const FlowState&) = delete;

  // The commit that the copies belong to; 0: none.
  uint64_t commits() const { return header_->commits; }
  uint32_t slots() const { return header_->slots; }
  // The copy in this slot; null: there is none.
  const LiveFlow* flow(uint32_t slot) const {
    return ids_[slot] != 0 ? reinterpret_cast<const LiveFlow*>(at(slot)) : nullptr;
  }
  // Requires: with_sizes.
  const fm_flow_sizes& sizes(uint32_t slot) const {
    return *reinterpret_cast<const fm_flow_sizes*>(at(slot) + sizeof(LiveFlow));
  }
  // Whether the owners of the flows' ends were copied.
  bool has_owners() const { return header_->has_owners != 0; }
  // Those of the copy in this slot; nothing is known if they were not copied.
  const EndTraces& owners(uint32_t slot) const;
  // What was kept besides the flows. Fails if it is damaged.
  Result<std::vector<std::byte>> rest() const;

  // Begins to copy; until end() the copies count as incomplete. Fails if there is no room.
  // with_owners: every copy has owners.
  Status begin(uint32_t slots, bool with_owners);
  uint64_t id(uint32_t slot) const { return ids_[slot]; }
  void put(uint32_t slot, const LiveFlow& flow, const fm_flow_sizes& sizes,
           const EndTraces* owners);
  void clear(uint32_t slot) { ids_[slot] = 0; }
  // The copies are complete as of this commit.
  Status end(std::span<const std::byte> rest, uint64_t commits);

  // Removes the file, because nothing is left to take over. Fails if it is still there.
  Status remove();
  // The error about a file of which something is missing or changed.
  Error damaged() const;
  std::string path() const { return directory_.path_of(name_); }

 private:
  struct Header {
    uint64_t layout;   // of the copies
    uint64_t journal;  // its id
    uint64_t commits;
    uint64_t rest_bytes;
    uint64_t rest_check;  // of these bytes
    uint32_t slots;       // that may hold a copy
    uint32_t has_owners;
  };
  static constexpr size_t kHeaderBytes = 4096;

  FlowState(OwnedDirectory directory, std::string name, uint32_t capacity, bool with_sizes);
  Status map(uint64_t journal);
  size_t records_at() const;
  size_t owners_at() const { return records_at() + size_t{capacity_} * stride_; }
  size_t rest_at() const { return owners_at() + size_t{capacity_} * sizeof(EndTraces); }
  Status reserve(size_t at, size_t bytes);
  std::byte* at(uint32_t slot) const { return memory_ + records_at() + slot * stride_; }

  const OwnedDirectory directory_;
  const std::string name_;
  const uint32_t capacity_;
  const bool with_sizes_;
  const size_t stride_;
  UniqueFd fd_;
  std::byte* memory_ = nullptr;
  Header* header_ = nullptr;
  uint64_t* ids_ = nullptr;
  uint32_t reserved_ = 0;  // slots for which the file has room
};

}  // namespace flowmeter
