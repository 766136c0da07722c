// SPDX-License-Identifier: BSD-3-Clause
// The reading end of the event streams (flowmeter/abi.h): one per CPU and one for answers, in
// memory that the kernel writes, merged by time.
//
// A flow's records may be in several streams. Each was stamped and written under the flow's lock,
// so of two records of one flow the one with the later stamp was written later. Therefore, the set
// of records stamped no later than a moment before the streams' heads were read is complete. Later
// records are not passed on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "flowmeter/abi.h"
#include "kernel/map_memory.h"

namespace flowmeter {

class EventStreams {
 public:
  using Consumer = std::function<void(const void* record, size_t size)>;

  // Maps the memory of both maps: one stream of units_per_stream units per CPU, then one of
  // answer_units (powers of two; 0: none). state_units: the units of a state record. commits: where
  // to start is what commit(commits) has stored.
  static Result<EventStreams> map(int streams_fd, int units_fd, uint32_t cpus,
                                  uint32_t units_per_stream, uint32_t state_units,
                                  uint32_t answer_units = 0, uint64_t commits = 0);

  // Passes on the records stamped until_ns or earlier, oldest first, at most limit of them. Returns
  // how many. Requires: until_ns (by the kernel's clock) is not in the future.
  size_t drain(uint64_t until_ns, size_t limit, const Consumer& consumer);
  // The stamp of the oldest record that waits to be passed on; 0: none waits.
  uint64_t oldest_waiting_ns() const;
  // Releases the space of the records that were passed on. Until then another reader would read
  // them again.
  void release() {
    mark();
    release_marked();
  }

  // The same in three steps, for a reader after which another one goes on.
  // The number of units that still fit into the stream of answers.
  uint64_t answer_room() const;
  // Whether records were passed on that are not released.
  bool advanced() const;
  // Remembers which records were passed on so far.
  void mark();
  // Stores the mark beside that of the commit before, where map() finds it.
  void store_mark(uint64_t commits);
  void release_marked();

 private:
  struct Cursor {
    fm_stream* ends;
    const fm_packet_record* units;
    uint32_t mask;
    uint64_t at;
    uint64_t marked;
    uint64_t head;
    uint64_t time_ns;  // of the record at `at`
  };
  EventStreams() = default;
  uint32_t units_of(const fm_packet_record& record) const;
  void hand_out(const Cursor& cursor, uint32_t units, const Consumer& consumer);
  const fm_packet_record& unit(const Cursor& cursor, uint64_t at) const {
    return cursor.units[at & cursor.mask];
  }

  MapMemory<fm_stream> ends_;
  MapMemory<const fm_packet_record> units_;
  uint32_t state_units_ = 0;
  std::vector<Cursor> cursors_;
  std::vector<Cursor*> active_;          // those with records to pass on, by the time of the next
  std::vector<fm_packet_record> whole_;  // a record that wraps around its stream's end
};

}  // namespace flowmeter
