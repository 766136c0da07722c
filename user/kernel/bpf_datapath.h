// SPDX-License-Identifier: BSD-3-Clause
// The kernel side of a live run: the loaded programs, their maps, what they count, and the event
// streams. Attaching the programs is attachment.h's.
//
// Everything is held by file descriptors of this process, unless a directory to pin it in is given:
// however the process ends, the kernel frees it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "flowmeter/abi.h"
#include "kernel/event_streams.h"
#include "kernel/interface.h"

struct flowmeter_bpf;
struct flowmeter_xdp_bpf;

namespace flowmeter {

class Host;

// Where timing is kept: user space (from an event a packet), or the kernel's map.
enum class Datapath { kEvents, kKernel };

// Of one interface, summed over CPUs.
struct InterfaceCounters {
  unsigned index = 0;
  fm_hook_counters hook[FM_HOOK_COUNT]{};
};

class BpfDatapath {
 public:
  struct Config {
    fm_settings settings{};
    Datapath datapath = Datapath::kEvents;
    uint32_t max_entries = 0;  // of the flow map
    bool lru = false;          // when it is full it drops entries, else it refuses new ones
    uint32_t max_fragments = 0;
    uint32_t stream_bytes = 0;   // of all CPUs' event streams together
    bool count_once = false;     // a packet that passes several interfaces
    bool per_interface = false;  // flows of each interface apart
    bool with_xdp = false;
    // Frames of several buffers (jumbo, multi-buffer drivers). Not for generic XDP: from such a
    // program Linux (6.18) hands on a copy of the packet without its mac_len, and every tc program
    // behind it, whoever's, would look for the Ethernet header where the IP header is.
    bool xdp_takes_frags = false;
    Host* libbpf_log = nullptr;  // gets libbpf's messages; null: nobody does
    bool test_input = false;     // bpf/settings.bpf.h
    std::string pin_directory;
  };
  using Consumer = EventStreams::Consumer;

  // Loads the programs; nothing is attached. Fails with the missing capability or kernel feature in
  // the message. With a pin_directory that has maps of an earlier run those are taken over.
  static Result<std::unique_ptr<BpfDatapath>> load(const Config& config, Consumer consumer);
  ~BpfDatapath();

  // Whether maps of an earlier run were taken over.
  bool resumed() const { return resumed_; }
  // Removes the pins of the maps: they end with this process.
  void unpin();

  // Before its programs are attached: they count only packets of interfaces that were added. Fails
  // if there are too many. merges: the device merges what it receives (LRO).
  Status add_interface(const Interface& interface, bool merges);
  // Requires: its programs are detached. Its slot is free after the next reuse_slots(): until then
  // flows may have it in their keys.
  void remove_interface(unsigned index);
  void reuse_slots();
  std::optional<unsigned> slot_of(unsigned index) const;
  // Indexes of all that were added, also by an earlier run.
  std::vector<unsigned> interfaces() const;

  // Program for a hook; hook: FM_HOOK_INGRESS or FM_HOOK_EGRESS.
  int program_fd(const Interface& interface, fm_hook hook) const;
  int xdp_program_fd(const Interface& interface) const;

  // Hands waiting records stamped up to until_ns to the consumer, at most limit; returns how many.
  size_t drain(uint64_t until_ns, size_t limit);
  // The records handed over are done with (their rows are written).
  void release();

  // Runs the closing program; answers come through a stream of their own, which has room for
  // kAnswersAtOnce that were not drained.
  Status close_flows(std::span<const fm_close_request> requests);
  // A request (only if idle) for every flow in the map that `wanted` picks by its id. Calls between
  // now and then: events go on coming while a large map is walked.
  Status list_flows(const std::function<bool(uint64_t id)>& wanted,
                    std::vector<fm_close_request>& requests, const std::function<void()>& between);

  // Sums over CPUs; of a moment: seen = Σ classes holds in each.
  std::vector<InterfaceCounters> interface_counters() const;
  fm_cpu_counters counters() const;
  // Of interfaces that were removed; and what a later daemon must know.
  fm_journal& journal() { return *journal_; }
  const fm_journal& journal() const { return *journal_; }
  // Requests whose answers surely fit into the empty stream of answers.
  static constexpr size_t kAnswersAtOnce = 4096;

 private:
  BpfDatapath() = default;
  Status prepare(const Config& config);
  void read_slots();

  struct SkeletonDeleter {
    void operator()(flowmeter_bpf* skeleton) const;
    void operator()(flowmeter_xdp_bpf* skeleton) const;
  };
  struct Unmap {
    void operator()(fm_journal* journal) const;
  };

  std::unique_ptr<flowmeter_bpf, SkeletonDeleter> skeleton_;
  std::unique_ptr<flowmeter_xdp_bpf, SkeletonDeleter> xdp_;
  std::unique_ptr<fm_journal, Unmap> journal_;
  std::optional<EventStreams> streams_;
  Consumer consumer_;
  static constexpr unsigned kRetired = ~0u;
  std::vector<unsigned> slots_;  // [slot]: index of the interface, 0 if free, or kRetired
  uint32_t cpus_ = 0;
  uint32_t units_per_stream_ = 0;
  std::string pin_directory_;
  bool resumed_ = false;
};

}  // namespace flowmeter
