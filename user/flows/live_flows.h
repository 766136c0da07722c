// SPDX-License-Identifier: BSD-3-Clause
// The open flows of a live run. They mirror the kernel's flow map, record by record of the event
// streams (flowmeter/abi.h).
//
// The kernel decides which flow a packet belongs to and where a flow ends. The daemon keeps the
// timing state, and also counters from the same records. So the row is still complete if the
// kernel's map has dropped a flow (and continues if the flow gets another packet), and the
// difference between the counters is the number of lost records. With datapath "kernel" there are
// three records per flow: first packet, TCP close, flow end; counters and timing are in the last
// one.
//
// The path of a record: take() finds its flow; a packet is added to it (flowmeter/flow.h); the
// kernel's counters are merged at the end (kernel_merge.h); the row is written. The requests to the
// kernel are in close_requests.h. Invariant: a flow is in both indices, or its slot is free; it is
// removed from them where its row is written, in end_flow(). Not thread-safe; no allocation per
// packet.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/interface_names.h"
#include "flowmeter/abi.h"
#include "flows/active_chains.h"
#include "flows/close_requests.h"
#include "flows/flow_applications.h"
#include "flows/flow_owners.h"
#include "flows/flow_record.h"
#include "flows/flow_state.h"
#include "flows/hash_index.h"
#include "flows/kept_sizes.h"
#include "flows/kept_with_flows.h"
#include "flows/kernel_merge.h"
#include "flows/key_hash.h"
#include "flows/live_flow.h"
#include "flows/service_names.h"

namespace flowmeter {

// Receives every packet, in the order in which the flows count it, to feed another meter
// (compat/live_feed.h).
class PacketObserver {
 public:
  virtual ~PacketObserver() = default;
  // The clock of the packets from now on.
  virtual void set_clock(ClockOrigin clock) = 0;
  // key is not in packet; initiator: the end that started the flow.
  virtual void observe(const fm_flow_key& key, const fm_packet& packet, uint8_t initiator) = 0;
};

class LiveFlows {
 public:
  enum class Copied { kChanges, kAll };

  LiveFlows(const fm_settings& settings, uint32_t max_flows, RecordSink& sink,
            TimingIn timing = TimingIn::kDaemon);

  // Sets the clock of the flows that start from now on.
  void set_clock(ClockOrigin clock) {
    clock_ = clock;
    if (observer_) observer_->set_clock(clock);
  }
  void set_observer(PacketObserver* observer) { observer_ = observer; }
  // Rows say that they are of this meter.
  void identify_rows(MeterIdentity meter) { meter_ = std::move(meter); }
  void set_interface_names(const InterfaceNames* names) { names_ = names; }
  // Rows name the owners of both ends (--attribute); null: they do not. Requires: there is no flow
  // yet.
  void set_owner_names(OwnerNames* names) {
    if (names) owners_.switch_on(*names, pool_.capacity());
  }
  OwnerNames* owner_names() const { return owners_.names(); }
  void set_service_names(ServiceNames* services) { services_ = services; }
  // Is saved and restored with the flows; null: nothing is.
  void set_kept_with_flows(KeptWithFlows* kept) { kept_ = kept; }
  // Copies what has changed since the last call, as of this commit. all: copies everything, also
  // what is kept of payload, and may be called only once, at the end.
  Status save(FlowState& state, uint64_t commits, Copied which);
  // Takes over the flows of an earlier daemon. exact: nothing has happened since they were copied.
  // Otherwise the flows of which packets may be unknown are marked (LiveFlow::is_stale), and those
  // that only that daemon knew are left out, as their rows may be written.
  Status restore(const FlowState& state, bool exact);

  // Whether the earlier daemon has not kept the owners that rows need: the kernel tells them again
  // after a request for the flow's state.
  bool lacks_owners() const { return lacks_owners_; }

  // After a restore() that failed: what was restored may be old, as after a kill.
  void distrust();

  // Between these two calls the flows of a daemon that was killed are taken over: a row is written
  // for the end of a flow that is not known here.
  void begin_resuming() { resuming_ = true; }
  void end_resuming() { resuming_ = false; }
  // Appends a request for the state of every flow of which packets may be unknown.
  void request_stale(std::vector<fm_close_request>& requests) const;
  // Forgets those that the kernel's map does not have, because the earlier daemon has written their
  // rows. Requires: every record that was written before the map was searched has been processed.
  void forget_absent(const std::function<bool(uint64_t id)>& in_map);

  // Writes the row of a flow that another version has metered, of which nothing is kept here. Sets
  // its clock.
  void write_earlier(LiveFlow& live, const fm_flow_sizes& sizes, fm_end_reason end) {
    live.clock = clock_;
    write(live, kNoSlot, sizes, end);
  }

  // Processes one record of the event streams; packets may wait in a batch until settle().
  void take(const void* record, size_t size);
  void settle();

  // Appends a request for every flow that is idle by now_ns (kernel's clock), and repeats requests
  // that were not answered. While there are more flows than max_flows, also requests the closing of
  // the surplus, starting with flows that were silent for longest, where each packet counts as one
  // second less of silence.
  void request_due(uint64_t now_ns, std::vector<fm_close_request>& requests) {
    requests_.due(now_ns, requests);
  }
  // Appends a request for the state of every flow. After the answers, open_packets() equals the
  // kernel's count.
  void request_states(std::vector<fm_close_request>& requests) const { requests_.states(requests); }
  // Appends a request for every flow, idle or not; with a slot only for the flows whose key names
  // the interface of this slot (--per-interface).
  void request_close(fm_end_reason end, std::vector<fm_close_request>& requests,
                     std::optional<unsigned> interface_slot = {}) {
    requests_.close(interface_slot, end, requests);
  }

  // Writes the flows that are still open from the data known here. For the end of a run, if the
  // kernel has not answered.
  void finish(fm_end_reason end);
  // Whether the flow is known here (or was, and the kernel will be asked to end it).
  bool knows(uint64_t flow_id) const;

  uint32_t open_flows() const { return pool_.in_use(); }
  // Sum of the packets of the open flows, as far as known here.
  uint64_t open_packets() const { return open_packets_; }
  // The capacity: max_flows, and some room for flows that wait for the kernel's answer.
  uint32_t capacity() const { return pool_.capacity(); }
  // Calls look(flow, what is known of its owners or null) for the open flows among `count` slots
  // from `slot` on. Returns the slot to continue from, 0 after the last one. For a view that reads
  // a part of the flows at a time.
  template <typename Look>
  uint32_t look_at(uint32_t slot, uint32_t count, Look&& look) const {
    const uint32_t end = pool_.used() - slot > count ? slot + count : pool_.used();
    for (; slot < end; slot++)
      if (pool_[slot].id != 0) look(pool_[slot], owners_.traces(slot));
    return slot < pool_.used() ? slot : 0;
  }
  uint64_t flows_written() const { return flows_written_; }
  // Sum of the packets of the flows written.
  uint64_t packets_written() const { return packets_written_; }
  // Flows for which records are missing, and packets without one: in the counts, not in the timing.
  uint64_t flows_with_losses() const { return flows_with_losses_; }
  uint64_t packets_without_timing() const { return packets_without_timing_; }
  // How often the kernel's map dropped a flow for newer ones; how often such a flow continued.
  uint64_t evicted() const { return evicted_; }
  uint64_t recreated() const { return recreated_; }
  // The flows written, by end reason.
  using FlowsByEnd = std::array<uint64_t, FM_END_COUNT>;
  const FlowsByEnd& flows_by_end() const { return flows_by_end_; }
  // Flows that ended early because there were more than max_flows.
  uint64_t forced_out() const { return flows_by_end_[FM_END_RESOURCES]; }
  const FlowApplications& applications() const { return applications_; }

 private:
  static constexpr size_t kBatch = 32;
  static constexpr uint32_t kNoSlot = LiveFlowPool::kNone;

  static uint32_t hash_id(uint64_t id) {
    return static_cast<uint32_t>((id * 0x9e3779b97f4a7c15) >> 32);
  }
  uint32_t find(uint64_t id) const;
  uint32_t find_key(const fm_flow_key& key) const;
  uint32_t find_older(const fm_flow_key& key, const fm_packet& next, uint64_t& chain_start_ns);
  uint64_t chain_start_after(const LiveFlow& older, const fm_packet& next) const;
  uint32_t begin(const fm_flow_key& key, uint64_t id, uint32_t ifindex, uint8_t hook);
  void begin_in(uint32_t slot, const fm_flow_key& key, uint64_t id, uint32_t ifindex, uint8_t hook);
  uint32_t make_room();
  void update(uint32_t slot, const fm_packet& packet);

  void open(const fm_open_record& record, uint64_t id);
  bool continues(uint32_t slot, const fm_open_record& record, const fm_packet& packet, uint64_t id);
  void uncounted(const fm_open_record& record);
  void payload(const fm_payload_record& record);
  void owner(const fm_owner_record& record);
  void state(const fm_state_record& record);
  void closed(const fm_state_record& record);
  void closed_unknown(const fm_state_record& record, fm_end_reason end);
  void merge(LiveFlow& live, uint32_t slot, const fm_state_record& record);
  void note_eviction(uint32_t slot);

  void end_flow(uint32_t slot, fm_end_reason end);
  void share_owners(uint32_t slot);
  void remove(uint32_t slot);
  bool take_over(uint32_t slot, const LiveFlow& kept, const EndTraces& owners, bool exact);
  Status take_over_rest(const FlowState& state);
  void write(const LiveFlow& live, uint32_t slot, const fm_flow_sizes& sizes, fm_end_reason end);

  const fm_settings settings_;
  LiveFlowPool pool_;
  KeptSizes sizes_;                // by the same slots
  FlowApplications applications_;  // by the same slots
  FlowOwners owners_;              // by the same slots
  HashIndex by_id_;
  HashIndex by_key_;
  KeyHash key_hash_;
  KernelMerge merge_;
  CloseRequests requests_;
  RecordSink& sink_;
  const InterfaceNames* names_ = nullptr;
  ServiceNames* services_ = nullptr;
  KeptWithFlows* kept_ = nullptr;
  std::optional<MeterIdentity> meter_;
  ActiveChains chains_;
  PacketObserver* observer_ = nullptr;
  bool resuming_ = false;
  bool lacks_owners_ = false;
  uint64_t saved_until_ns_ = 0;  // the latest packet's time at the last save()
  ClockOrigin clock_;
  uint64_t next_own_id_ = LiveFlow::kFirstOwnId;
  size_t waiting_ = 0;
  std::array<fm_packet_record, kBatch> batch_;

  uint64_t open_packets_ = 0;
  uint64_t flows_written_ = 0;
  uint64_t packets_written_ = 0;
  uint64_t flows_with_losses_ = 0;
  uint64_t packets_without_timing_ = 0;
  uint64_t evicted_ = 0;
  uint64_t recreated_ = 0;
  FlowsByEnd flows_by_end_{};
};

}  // namespace flowmeter
