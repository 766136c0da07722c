// SPDX-License-Identifier: BSD-3-Clause
// The kernel side of a live run: the loaded programs, their maps, their counters, and the event
// streams. attachment.h attaches the programs.
//
// Everything is held by file descriptors of this process, so the kernel frees it however the
// process ends. Only objects that are pinned in a directory remain.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "flowmeter/abi.h"
#include "kernel/event_streams.h"
#include "kernel/interface.h"
#include "kernel/map_memory.h"
#include "kernel/offloads.h"

struct flowmeter_bpf;
struct flowmeter_xdp_bpf;

namespace flowmeter {

class EarlierVersion;
class Host;

// Where timing is kept: in user space (from one event per packet), or in the kernel's map.
enum class Datapath { kEvents, kKernel };

// The counters of one interface, summed over CPUs.
struct InterfaceCounters {
  unsigned index = 0;
  fm_hook_counters hook[FM_HOOK_COUNT]{};
};

// How often a program ran, and for how long.
struct ProgramRuns {
  const char* program = "";
  uint64_t count = 0;
  uint64_t time_ns = 0;
};

class BpfDatapath {
 public:
  struct Config {
    fm_settings settings{};
    Datapath datapath = Datapath::kEvents;
    uint32_t max_entries = 0;  // of the flow map
    bool lru = false;          // a full map drops entries instead of refusing new ones
    uint32_t max_fragments = 0;
    uint32_t stream_bytes = 0;   // of all CPUs' event streams together
    bool count_once = false;     // count a packet that passes several interfaces only once
    bool per_interface = false;  // flows of different interfaces are different flows
    fm_attribute attribute = FM_ATTRIBUTE_OFF;
    bool with_xdp = false;
    // Accept frames of several buffers (jumbo, multi-buffer drivers). Not for generic XDP: after
    // such a program, Linux (6.18) passes on a copy of the packet without its mac_len, and every
    // later tc program, whoever owns it, would look for the Ethernet header at the IP header.
    bool xdp_takes_frags = false;
    Host* libbpf_log = nullptr;  // receives libbpf's messages; null: they are dropped
    bool test_input = false;     // bpf/settings.bpf.h
    std::string pin_directory;
  };
  using Consumer = EventStreams::Consumer;

  // Loads the programs; attaches nothing. If it fails, the message names the missing capability or
  // kernel feature. Maps of an earlier run in pin_directory are taken over.
  static Result<std::unique_ptr<BpfDatapath>> load(const Config& config, Consumer consumer);
  ~BpfDatapath();

  // Whether maps of an earlier run were taken over, or those of another version still hold flows.
  bool resumed() const { return resumed_ || earlier_; }
  // The flows of another version, until all of them are in committed rows; null: there are none.
  EarlierVersion* earlier() { return earlier_.get(); }
  // To be called once all its links are updated.
  Status end_earlier_programs();
  // Removes the pins of the maps, so that they are freed with this process.
  void unpin();

  // To be called before its programs are attached: they count only packets of interfaces that were
  // added. Fails if there are too many.
  Status add_interface(const Interface& interface, DeviceMerging merging);
  // Requires: its programs are detached. Flows may have its slot in their keys until the next
  // reuse_slots(), which frees the slot.
  void remove_interface(unsigned index);
  // What its packets say about their ends (--attribute) may change while it is metered.
  void set_ends(unsigned index, const fm_interface_ends& ends);
  void reuse_slots();
  // Adds packets that the interface carried before it was metered; to those that are gone if it
  // was not added.
  void add_before_attach(unsigned index, const fm_before_attach& before);
  fm_before_attach before_attach(unsigned index) const;
  std::optional<unsigned> slot_of(unsigned index) const;
  // The indexes of all interfaces that were added, also by an earlier run.
  std::vector<unsigned> interfaces() const;

  // The program for a hook.
  int program_fd(const Interface& interface, fm_hook hook) const;
  int xdp_program_fd(const Interface& interface) const;

  // The map in which other programs note the owners of sockets; -1 unless processes are attributed.
  int socket_owners_fd() const;

  // Passes waiting records stamped up to until_ns to the consumer, at most limit; returns how many.
  size_t drain(uint64_t until_ns, size_t limit);
  // The stamp of the oldest record that waits to be passed on; 0: none waits.
  uint64_t oldest_waiting_ns() const { return streams_->oldest_waiting_ns(); }
  // Releases the space of the records that were passed on. Their rows may be lost with the process.
  void release();

  // ---- with pin_directory, instead of release() ----
  // Whether records were passed on since the last commit.
  bool advanced() const { return earlier_ || streams_->advanced(); }
  // Remembers which records were passed on so far.
  void mark() { streams_->mark(); }
  // Releases the records before the mark, together with the rows that were made from them: a later
  // daemon goes on from here. Requires: these rows are safe.
  void commit(const fm_commit& commit);
  // A run goes on in its outputs, whose ends these are now (FM_JOURNAL_OUTPUTS). Until its first
  // commit, what is added to them is cut if it is killed.
  void begin_outputs(std::span<const fm_output_position> ends);
  // The run has ended in order (fm_journal::ended).
  void end_in_order() { journal_->ended = 1; }
  // Flows of another version that were passed on.
  uint64_t taken_over() const;
  const fm_commit& last_commit() const { return journal_->commit[journal_->commits & 1]; }

  // Runs the closing program. Its answers come through a separate stream, which has room for
  // kAnswersAtOnce answers that are not released.
  Status close_flows(std::span<const fm_close_request> requests);
  // How many answers that stream has room for.
  size_t answers_possible() const { return streams_->answer_room() / state_units_; }
  // Appends a request (to close it if idle) for every flow in the map whose id `wanted` selects.
  // Calls `between` now and then, because events keep arriving while a large map is searched.
  Status list_flows(const std::function<bool(uint64_t id)>& wanted,
                    std::vector<fm_close_request>& requests, const std::function<void()>& between);

  // Sums over CPUs. Each CPU's counters are read consistently: seen = Σ classes holds.
  std::vector<InterfaceCounters> interface_counters() const;
  // Zero if the interface has no slot.
  InterfaceCounters interface_counters(unsigned index) const;
  fm_cpu_counters counters() const;
  // Makes the kernel measure the run time of all BPF programs of the system, until this object is
  // gone. Needs CAP_SYS_ADMIN.
  Status measure_programs();
  // Of the loaded programs, since then. Zeros if they are not measured.
  std::vector<ProgramRuns> program_runs() const;
  // Of interfaces that were removed, and of those of another version.
  fm_hook_counters departed(int hook) const;
  fm_before_attach departed_before_attach() const;
  // Data for a later daemon.
  const fm_journal& journal() const { return *journal_; }
  // The number of requests whose answers always fit into the empty stream of answers.
  static constexpr size_t kAnswersAtOnce = 4096;

 private:
  BpfDatapath();
  Status prepare(const Config& config);
  Result<fm_journal> new_journal(const Config& config) const;
  // Takes the maps of an earlier daemon, and its journal, if there are any. Those of another
  // version become earlier_.
  Status resume_pinned(fm_journal& journal, const fm_settings& settings);
  template <typename Rodata>
  void set_constants(Rodata* rodata, const Config& config, const fm_journal& journal) const;
  Status load_xdp(const Config& config, const fm_journal& journal);
  Status pin_maps();
  void remove_pins();
  void read_slots();
  InterfaceCounters counters_of(uint32_t slot, std::vector<fm_interface>& values) const;

  struct SkeletonDeleter {
    void operator()(flowmeter_bpf* skeleton) const;
    void operator()(flowmeter_xdp_bpf* skeleton) const;
  };

  std::unique_ptr<flowmeter_bpf, SkeletonDeleter> skeleton_;
  std::unique_ptr<flowmeter_xdp_bpf, SkeletonDeleter> xdp_;
  UniqueFd measuring_;
  MapMemory<fm_journal> journal_;
  std::optional<EventStreams> streams_;
  std::unique_ptr<EarlierVersion> earlier_;
  Consumer consumer_;
  static constexpr unsigned kRetired = ~0u;
  std::vector<unsigned> slots_;  // [slot]: index of the interface, 0 if free, or kRetired
  uint32_t cpus_ = 0;
  uint32_t units_per_stream_ = 0;
  uint32_t answer_units_ = 0;
  uint32_t state_units_ = 0;  // of an answer
  std::string pin_directory_;
  bool resumed_ = false;
};

}  // namespace flowmeter
