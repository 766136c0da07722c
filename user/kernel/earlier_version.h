// SPDX-License-Identifier: BSD-3-Clause
// What a daemon of another version has left in the directory of the pins (--pin): its maps, whose
// layouts are not those of this version, and a description of them (BTF).
//
// An upgrade goes on with nothing of it. Its flows end: each becomes a row, and later packets of
// their keys begin new flows in maps of this version. The steps are in an order in which a kill at
// any moment loses nothing and makes no row twice:
//
//   1. The earlier maps are opened, and everything that is needed to read them is checked. A start
//      that fails until here has changed nothing.
//   2. They are pinned once more, in the directory "earlier", the journal last. Only then their
//      first pins are removed, the journal first, and the new maps are pinned in their places, the
//      journal last. So at every moment there is a whole set of the earlier maps: in "earlier" if
//      its journal is another one than that beside it (or there is none beside it), else the one
//      beside it, and then "earlier" is a remainder. Every start looks at this first.
//   3. The pinned links get the new programs, each at once, so a packet is counted either here or
//      there. After that no program writes the earlier maps (end_of_programs()).
//   4. Their flows become rows, in an order that is always the same because nothing changes any
//      more. Each commit says how many of them it contains (fm_commit.taken_over), and a daemon
//      that comes after a kill leaves out so many.
//   5. When all of them are committed, "earlier" is removed, the journal first.
#pragma once

#include <linux/bpf.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "flowmeter/abi.h"
#include "kernel/map_memory.h"
#include "kernel/map_walk.h"
#include "kernel/struct_copy.h"

struct btf;

namespace flowmeter {

class EarlierVersion {
 public:
  // A flow, as a row needs it.
  struct Flow {
    fm_flow_key key{};
    fm_flow flow{};
    fm_flow_sizes sizes{};
    uint64_t packets_without_timing = 0;
    uint32_t ifindex = 0;
    uint8_t hook = 0;
    fm_end_reason end = FM_END_UPGRADE;
  };
  using Consumer = std::function<void(const Flow&)>;

  // The earlier version in this directory of pins, if there is one. other_journal: the journal
  // beside is of another version. Fails, and changes nothing, if it cannot be read.
  static Result<std::unique_ptr<EarlierVersion>> find(const std::string& directory,
                                                      bool other_journal, const btf* ours,
                                                      const fm_settings& settings);
  ~EarlierVersion();
  // Step 2, before the new maps are pinned.
  Status keep();
  // Removes the pins in "earlier" of this directory, if there are any.
  static void remove(const std::string& directory);

  // The interfaces that it has metered.
  const std::vector<unsigned>& interfaces() const { return interfaces_; }
  const fm_commit& last_commit() const { return journal_.commit[journal_.commits & 1]; }
  bool has_ended() const { return journal_.ended; }  // in order
  uint64_t outputs_id() const { return journal_.outputs_id; }

  // Waits until no program of the earlier version runs any more, and reads what they have counted.
  // Requires: none of them is attached. taken_over: so many flows are in committed rows.
  Status end_of_programs(uint64_t taken_over);
  // Counted at all interfaces, also those that had gone.
  const std::array<fm_hook_counters, FM_HOOK_COUNT>& counters() const { return counters_; }
  const fm_before_attach& before_attach() const { return before_attach_; }

  // Passes some flows on that are not yet in rows, at least one unless done(). Returns how many.
  Result<size_t> take(const Consumer& consumer);
  bool done() const { return done_; }
  // The number of flows passed on, with those that were in committed rows.
  uint64_t taken_over() const { return number_; }
  // Metered packets that are in no row: only the earlier daemon knew them.
  uint64_t packets_lost() const;

 private:
  static constexpr const char* kDirectory = "earlier";
  // Its maps; the journal last.
  static constexpr const char* kNames[] = {"flows",        "interfaces", "streams",
                                           "stream_units", "layouts",    "journal"};
  struct Map {
    UniqueFd fd;
    bpf_map_info info{};
  };
  struct Stream {
    const std::byte* ends;
    const std::byte* units;
    uint64_t size;  // in units, a power of two
    uint64_t at;
    uint64_t head;
  };
  // How the earlier version's structs become ours, and where parts of them are.
  struct Layout;

  EarlierVersion(std::string pins, std::string directory, const fm_settings& settings);
  Status open(const btf* ours);
  Status read_layout(const btf* ours);
  Status check_maps() const;
  Status map_streams();
  void read_interfaces();
  void read_head(Stream& stream) const;
  static Result<std::vector<std::byte>> first_value(const Map& map);
  // The units of the record at `at`; 0 if it is not whole.
  uint32_t units_at(const Stream& stream, uint64_t at) const;
  const std::byte* record_at(const Stream& stream, uint64_t at, uint32_t units);

  void take_record(const std::byte* record, const Consumer& consumer);
  void take_entry(const std::byte* key, const std::byte* value, const Consumer& consumer);
  void add_timing(Flow& flow, const std::byte* timing, const std::byte* sizes) const;
  void add_uncounted(const std::byte* record);
  void merge(Flow& flow, const Flow& uncounted) const;
  void pass_on(const Flow& flow, const Consumer& consumer);

  const std::string pins_;
  const std::string directory_;  // where the maps were opened: that of the pins, or "earlier" in it
  const fm_settings settings_;
  std::array<Map, std::size(kNames)> maps_;
  Map &flows_ = maps_[0], &interfaces_map_ = maps_[1], &streams_map_ = maps_[2];
  Map &units_map_ = maps_[3], &layouts_ = maps_[4], &journal_map_ = maps_[5];
  std::unique_ptr<Layout> layout_;
  fm_journal journal_{};
  std::vector<unsigned> interfaces_;
  std::array<fm_hook_counters, FM_HOOK_COUNT> counters_{};
  fm_before_attach before_attach_{};
  MapMemory<const std::byte> ends_;
  MapMemory<const std::byte> units_;
  std::vector<Stream> streams_;

  // ---- after end_of_programs() ----
  size_t stream_ = 0;             // the one to be read next
  std::vector<std::byte> whole_;  // a record that wraps around its stream's end
  std::optional<MapWalk> walk_;
  // Packets for which the map had no entry, or a locked one; by the words of the key.
  std::map<std::array<uint64_t, 5>, Flow> uncounted_;
  uint64_t committed_ = 0;  // flows
  uint64_t number_ = 0;
  uint64_t packets_ = 0;  // of all flows passed on, and of those before
  bool done_ = false;
};

}  // namespace flowmeter
