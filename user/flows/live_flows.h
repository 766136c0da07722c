// SPDX-License-Identifier: BSD-3-Clause
// The flows of a live run: follows, from the records of the event streams, what the kernel's map
// does.
//
// Which flow a packet belongs to and where a flow ends is the kernel's decision (flowmeter/abi.h);
// here the timing state is kept, idle flows are found (the kernel is asked to close them, and
// decides), and kernel counters and timing are combined into the row. Counters are kept here as
// well, from the same records: if the kernel's map has lost a flow to newer ones its row is still
// whole (and goes on when the flow comes back), and if records were lost the difference tells how
// many. With datapath "kernel" there is a record only of a flow's first packet, of its TCP
// connection's end and of its own: counters and timing come with the last.
//
// Not thread-safe; no allocation per packet.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/interface_names.h"
#include "base/slot_pool.h"
#include "flowmeter/abi.h"
#include "flows/expiry_wheel.h"
#include "flows/flow_applications.h"
#include "flows/flow_record.h"
#include "flows/hash_index.h"
#include "flows/key_hash.h"
#include "kernel/interface.h"

namespace flowmeter {

struct alignas(64) LiveFlow {
  fm_flow_key key;
  fm_flow flow;
  uint64_t id;
  // As it was when the flow began: a step of the wall clock does not tear a flow.
  ClockOrigin clock;
  uint64_t lacking;  // packets in flow.counters that the kernel's entry lacks
  uint64_t packets_without_timing;
  uint64_t known_ns;  // when its state was last heard
  uint64_t asked_ns;  // and when it was asked for, to see whether to close it; 0: is not
  uint32_t evictions;
  uint32_t ifindex;
  uint8_t hook;
  bool close_wanted;  // the kernel has been asked to close it, with this end
  fm_end_reason wanted_end;

  // Asked to be closed for want of room.
  bool closing() const { return close_wanted && wanted_end == FM_END_RESOURCES; }
};

// Learns of every packet beside the flows, in the order in which they count it: what another meter
// (compat/live_feed.h) is fed with.
class PacketObserver {
 public:
  virtual ~PacketObserver() = default;
  // Of the packets from now on.
  virtual void set_clock(ClockOrigin clock) = 0;
  // key is not in packet; initiator: the end that began the flow.
  virtual void observe(const fm_flow_key& key, const fm_packet& packet, uint8_t initiator) = 0;
};

class LiveFlows {
 public:
  LiveFlows(const fm_settings& settings, uint32_t max_flows, RecordSink& sink,
            bool timing_in_kernel = false);

  // Of the flows that begin from now on.
  void set_clock(ClockOrigin clock) {
    clock_ = clock;
    if (observer_) observer_->set_clock(clock);
  }
  void set_observer(PacketObserver* observer) { observer_ = observer; }
  void set_interface_names(const InterfaceNames* names) { names_ = names; }
  // While another daemon's flows are taken over, the end of one that was not heard of is news.
  void set_resuming(bool resuming) { resuming_ = resuming; }

  // Takes one record of the event streams; packets may wait in a batch until settle().
  void take(const void* record, size_t size);
  void settle();

  // Appends a request for every flow that is idle by now_ns (kernel's clock), asks again for those
  // that were not answered, and, while there are more flows than max_flows, for as many of those
  // that are silent for longest, reckoned with a credit for each packet.
  void request_due(uint64_t now_ns, std::vector<fm_close_request>& requests);
  // Appends a request for the state of every flow: open_packets() is the kernel's once answered.
  void request_states(std::vector<fm_close_request>& requests);
  // Appends a request for every flow, idle or not.
  void request_all(fm_end_reason end, std::vector<fm_close_request>& requests);
  // Writes what is still open from what is known here: for the end, when the kernel has not
  // answered.
  void finish(fm_end_reason end);
  // Writes what another daemon, which takes over what the kernel has, could not know: flows that
  // the kernel does not have, and packets that its counters lack. Requires: all states were asked
  // for (request_states) at since_ns or later, and the answers are taken.
  void hand_over(uint64_t since_ns);
  // Whether the flow is known here (or was, and the kernel will be asked to end it).
  bool knows(uint64_t flow_id) const;

  // Appends a request for every flow whose key names the interface of this slot (--per-interface).
  void request_slot(unsigned slot, fm_end_reason end, std::vector<fm_close_request>& requests);

  uint32_t open_flows() const { return pool_.in_use(); }
  // Σ packets of the open flows, as far as known here. A walk over all of them.
  uint64_t open_packets() const;
  // Flows that fit: max_flows, and some room for those that wait for the kernel's answer.
  uint32_t capacity() const { return pool_.capacity(); }
  // Calls look(flow) for the open flows among `count` slots from `slot` on; returns the slot to go
  // on from, 0 once all were looked at. For a view that looks at some at a time.
  template <typename Look>
  uint32_t look_at(uint32_t slot, uint32_t count, Look&& look) const {
    const uint32_t end = pool_.used() - slot > count ? slot + count : pool_.used();
    for (; slot < end; slot++)
      if (pool_[slot].id != 0) look(pool_[slot]);
    return slot < pool_.used() ? slot : 0;
  }
  uint64_t flows_written() const { return flows_written_; }
  // Σ packets of the flows written.
  uint64_t packets_written() const { return packets_written_; }
  // Flows and their packets for which records are missing; counts are exact, timing is of the rest.
  uint64_t flows_with_losses() const { return flows_with_losses_; }
  uint64_t packets_without_timing() const { return packets_without_timing_; }
  // How often the kernel's map dropped a flow for newer ones; and how often such a flow came back.
  uint64_t evicted() const { return evicted_; }
  uint64_t recreated() const { return recreated_; }
  // Packets whose records named no flow known here: its opening record was lost, or it was forced
  // out.
  uint64_t unplaced() const { return unplaced_; }
  // Flows that ended early because there were more than max_flows.
  uint64_t forced_out() const { return forced_out_; }
  const FlowApplications& applications() const { return applications_; }

 private:
  static constexpr size_t kBatch = 32;
  // Flows above max_flows that may wait for the kernel to close others; memory that is touched only
  // then.
  static constexpr uint32_t kSlack = 16'384;
  // Ids of flows that only the daemon knows; the kernel's are below.
  static constexpr uint64_t kOwnId = uint64_t{1} << 63;

  static uint32_t hash_id(uint64_t id) {
    return static_cast<uint32_t>((id * 0x9e3779b97f4a7c15) >> 32);
  }
  uint32_t find(uint64_t id) const;
  uint32_t find_key(const fm_flow_key& key) const;
  void add(LiveFlow& live, uint32_t slot, const fm_packet& packet);
  void update(LiveFlow& live, uint32_t slot, const fm_packet& packet);
  LiveFlow& begin(const fm_flow_key& key, uint64_t id, uint32_t ifindex, uint8_t hook,
                  uint32_t* slot);
  void open(const fm_open_record& record, uint64_t id);
  bool goes_on(uint32_t slot, const fm_open_record& record, const fm_packet& packet, uint64_t id);
  void uncounted(const fm_open_record& record);
  void closed(const fm_state_record& record);
  void state(const fm_state_record& record);
  void merge(LiveFlow& live, uint32_t slot, const fm_state_record& record);
  fm_flow_sizes& sizes_of(uint32_t slot) { return sizes_[settings_.with_sizes ? slot : 0]; }
  const fm_flow_sizes& sizes_in(const fm_state_record& record) const;
  void payload(const fm_payload_record& record);
  void write(uint32_t slot, fm_end_reason end) { write(pool_[slot], slot, sizes_of(slot), end); }
  // slot: UINT32_MAX if the flow has none.
  void write(const LiveFlow& live, uint32_t slot, const fm_flow_sizes& sizes, fm_end_reason end);
  void note_eviction(uint32_t slot);
  void drop(uint32_t slot);
  static uint64_t spared_until(const LiveFlow& live);
  template <typename MayBeTaken>
  uint32_t most_dispensable(uint32_t looks, MayBeTaken&& may_be_taken);
  uint32_t make_room();
  uint64_t deadline(const LiveFlow& live) const;
  void want_close(LiveFlow& live, uint32_t slot, fm_end_reason end, uint64_t now_ns,
                  std::vector<fm_close_request>& requests);

  const fm_settings settings_;
  const uint32_t max_flows_;
  SlotPool<LiveFlow> pool_;
  SlotPool<fm_flow_sizes> sizes_;  // of the same slots; without settings_.with_sizes one, unused
  FlowApplications applications_;  // likewise
  HashIndex by_id_;
  HashIndex by_key_;
  KeyHash key_hash_;
  ExpiryWheel wheel_;
  RecordSink& sink_;
  const bool timing_in_kernel_;
  const InterfaceNames* names_ = nullptr;
  PacketObserver* observer_ = nullptr;
  bool resuming_ = false;
  ClockOrigin clock_;
  struct Lacking {
    fm_flow_counters counters;
    fm_flow_sizes sizes;
    std::array<uint64_t, 2> first_ns;  // [end]: of its first packet; 0: before all of the entry's
  };
  // [slot]: counters of the packets that the kernel's entry lacks, where there are any.
  std::unordered_map<uint32_t, Lacking> lacking_;
  uint32_t hand_ = 0;
  uint64_t next_own_id_ = kOwnId;
  uint32_t closing_ = 0;  // flows that the kernel was asked to close for want of room
  uint32_t asking_ = 0;   // flows whose state it was asked for before that
  // By id: flows forced out here that the kernel still has, until it answers.
  std::unordered_map<uint64_t, fm_close_request> forgotten_;
  uint64_t forgotten_asked_ns_ = 0;
  size_t waiting_ = 0;
  std::array<fm_packet_record, kBatch> batch_;

  uint64_t flows_written_ = 0;
  uint64_t packets_written_ = 0;
  uint64_t flows_with_losses_ = 0;
  uint64_t packets_without_timing_ = 0;
  uint64_t evicted_ = 0;
  uint64_t recreated_ = 0;
  uint64_t unplaced_ = 0;
  uint64_t forced_out_ = 0;
};

}  // namespace flowmeter
