// SPDX-License-Identifier: BSD-3-Clause
#include "flows/live_flows.h"

#include <algorithm>

namespace flowmeter {
namespace {

// How many flows above max_flows can be kept until the kernel has closed others. Their memory is
// only touched in this case.
constexpr uint32_t kSlack = 16'384;

fm_packet packet_of(const fm_open_record& record) {
  fm_packet packet{};
  fm_packet_from_record(&packet, &record.packet);
  packet.key = record.key;
  return packet;
}

// What is known of the first packet of a flow that has these counters.
fm_packet first_packet_of(const fm_state_record& record) {
  const fm_flow_counters& counters = record.counters;
  fm_packet packet{};
  packet.key = record.key;
  packet.time_ns = counters.first_ns;
  for (const fm_direction_counters& each : counters.direction)
    if (each.flag_packets[FM_SYN_BIT] > 0) packet.flags = FM_SYN;
  return packet;
}

}  // namespace

LiveFlows::LiveFlows(const fm_settings& settings, uint32_t max_flows, RecordSink& sink,
                     TimingIn timing)
    : settings_(settings),
      pool_(max_flows + max_flows / 8 + kSlack),
      sizes_(settings, pool_.capacity()),
      applications_(settings, pool_.capacity()),
      merge_(settings, timing),
      requests_(settings, max_flows, timing, pool_),
      sink_(sink) {}

uint32_t LiveFlows::find(uint64_t id) const {
  return by_id_.find(hash_id(id), [&](uint32_t slot) { return pool_[slot].id == id; });
}

uint32_t LiveFlows::find_key(const fm_flow_key& key) const {
  return by_key_.find(key_hash_(key),
                      [&](uint32_t slot) { return fm_key_equal(&pool_[slot].key, &key) != 0; });
}

// The flow that has left the kernel's map before another one of its key came. If it is stale, the
// record of its end was before the earlier daemon's last commit, so its row is written.
// next: the packet that begins the other one. chain_start_ns: set if that one continues this one.
uint32_t LiveFlows::find_older(const fm_flow_key& key, const fm_packet& next,
                               uint64_t& chain_start_ns) {
  const uint32_t slot = find_key(key);
  if (slot == kNoSlot) return slot;
  if (chain_start_ns == 0) chain_start_ns = chain_start_after(pool_[slot], next);
  if (!pool_[slot].is_stale) return slot;
  remove(slot);
  return kNoSlot;
}

// The record of the end of `older` is lost or was processed by a daemon that was killed. Returns
// where the chain has begun that `next` continues, if an active time-out has ended it; else 0. A
// SYN more likely begins another connection, whose predecessor was closed by packets unknown here.
uint64_t LiveFlows::chain_start_after(const LiveFlow& older, const fm_packet& next) const {
  if (fm_flow_ended(&older.flow.counters, &next, &settings_) != FM_END_ACTIVE) return 0;
  return next.flags & FM_SYN ? 0 : older.chain_start();
}

bool LiveFlows::knows(uint64_t flow_id) const {
  return find(flow_id) != kNoSlot || requests_.is_forgotten(flow_id);
}

void LiveFlows::take(const void* record, size_t size) {
  const auto* packet = static_cast<const fm_packet_record*>(record);
  if (size < sizeof(*packet)) return;
  const unsigned type = packet->what & FM_RECORD_TYPE_MASK;
  if (type == FM_RECORD_PACKET) {
    batch_[waiting_] = *packet;
    by_id_.prefetch(hash_id(packet->flow_id));
    if (++waiting_ == kBatch) settle();
    return;
  }
  if (type == FM_RECORD_PAYLOAD) return payload(*static_cast<const fm_payload_record*>(record));
  settle();  // records must be processed in order
  if ((type == FM_RECORD_OPEN || type == FM_RECORD_OPEN_NEW) && size >= sizeof(fm_open_record))
    open(*static_cast<const fm_open_record*>(record), packet->flow_id);
  else if (type == FM_RECORD_UNCOUNTED && size >= sizeof(fm_open_record))
    uncounted(*static_cast<const fm_open_record*>(record));
  else if (type == FM_RECORD_CLOSED && size >= merge_.state_size())
    closed(*static_cast<const fm_state_record*>(record));
  else if (type == FM_RECORD_STATE && size >= merge_.state_size())
    state(*static_cast<const fm_state_record*>(record));
  else if (type == FM_RECORD_OWNER && size >= sizeof(fm_owner_record))
    owner(*static_cast<const fm_owner_record*>(record));
}

void LiveFlows::settle() {
  std::array<uint32_t, kBatch> slots;
  for (size_t i = 0; i < waiting_; i++) {
    slots[i] = find(batch_[i].flow_id);
    if (slots[i] == kNoSlot) continue;
    const LiveFlow& live = pool_[slots[i]];
    const unsigned end = (batch_[i].what & FM_RECORD_DIRECTION) != 0;
    const auto fetch = [](const void* line) { __builtin_prefetch(line, 1); };
    fetch(&live.flow.counters.direction[end]);
    fetch(&live.flow.counters.direction[end].payload_min);
    fetch(&live.flow.timing.packets);
    fetch(&live.flow.timing.period_start_ns);
    fetch(&live.flow.timing.direction[end]);
    sizes_.prefetch(slots[i]);
    applications_.prefetch(slots[i], end);
  }
  for (size_t i = 0; i < waiting_; i++) {
    // Unknown: the flow's opening record was lost, or the flow was forced out.
    if (slots[i] == kNoSlot) continue;
    fm_packet packet{};
    packet.key.protocol = pool_[slots[i]].key.protocol;
    fm_packet_from_record(&packet, &batch_[i]);
    update(slots[i], packet);
  }
  waiting_ = 0;
}

// Adds a packet to the flow in slot.
void LiveFlows::update(uint32_t slot, const fm_packet& packet) {
  LiveFlow& live = pool_[slot];
  const bool was_closed = fm_flow_closed(&live.flow.counters);
  sizes_.add(slot, live.flow.counters, packet);
  applications_.add_to_bulks(slot, packet, live.flow.counters);
  fm_flow_update(&live.flow, &packet, &settings_);
  open_packets_ += fm_packet_segments(&packet);
  if (observer_) observer_->observe(live.key, packet, live.flow.counters.forward_direction);
  // Only a close makes a deadline earlier.
  if (!was_closed && fm_flow_closed(&live.flow.counters)) requests_.watch(slot);
}

// Adds a new flow and returns its slot. Requires: no flow with this key is known.
uint32_t LiveFlows::begin(const fm_flow_key& key, uint64_t id, uint32_t ifindex, uint8_t hook) {
  uint32_t slot = pool_.take();
  if (slot == kNoSlot) slot = make_room();
  begin_in(slot, key, id, ifindex, hook);
  return slot;
}

void LiveFlows::begin_in(uint32_t slot, const fm_flow_key& key, uint64_t id, uint32_t ifindex,
                         uint8_t hook) {
  LiveFlow& live = pool_[slot];
  live = LiveFlow{};
  sizes_[slot] = fm_flow_sizes{};
  applications_.begin(slot);
  owners_.begin(slot);
  live.key = key;
  live.id = id;
  live.clock = clock_;
  live.ifindex = ifindex;
  live.hook = hook;
  by_id_.insert(hash_id(live.id), slot);
  by_key_.insert(key_hash_(live.key), slot);
}

// The table is full, and a new flow cannot wait for the kernel to close another one, so one is
// written from its records. Some flows are not in the kernel, because its map is smaller.
uint32_t LiveFlows::make_room() {
  const uint32_t victim = requests_.choose_victim();
  if (pool_[victim].in_kernel()) requests_.end_forgotten(pool_[victim]);
  end_flow(victim, FM_END_RESOURCES);
  return pool_.take();
}

void LiveFlows::open(const fm_open_record& record, uint64_t id) {
  const fm_packet packet = packet_of(record);
  fm_inheritance inherited = record.inherited;

  // The kernel never has two flows of one key: the older one left its map without a record.
  uint64_t chain_start_ns = chains_.take(record.key, packet.time_ns);
  const uint32_t older = find_older(record.key, packet, chain_start_ns);
  if (older != kNoSlot) {
    if (continues(older, record, packet, id)) return;
    const LiveFlow& live = pool_[older];
    const fm_end_reason ended = fm_flow_ended(&live.flow.counters, &packet, &settings_);
    if (record.packet.what & FM_RECORD_NEW_ENTRY)
      inherited = fm_flow_inheritance(&live.flow.counters, &packet, ended);
    end_flow(older, ended == FM_END_NONE ? FM_END_EVICTED : ended);
  }
  const uint32_t slot = begin(record.key, id, record.ifindex, record.hook);
  fm_flow_counters_begin(&pool_[slot].flow.counters, &packet, inherited);
  pool_[slot].chain_start_ns = chain_start_ns;
  update(slot, packet);
  requests_.watch(slot);
}

// Whether the packet that opens an entry of the kernel's map belongs to the flow in slot, which the
// map has dropped (or never had room for). If so, the flow continues under the new id.
bool LiveFlows::continues(uint32_t slot, const fm_open_record& record, const fm_packet& packet,
                          uint64_t id) {
  LiveFlow& live = pool_[slot];
  if (live.in_kernel()) {
    if (!(record.packet.what & FM_RECORD_NEW_ENTRY)) return false;  // the kernel has ended it
    note_eviction(slot);
  }
  if (!merge_.may_continue(live)) return false;
  if (fm_flow_ended(&live.flow.counters, &packet, &settings_) != FM_END_NONE) return false;
  recreated_++;
  merge_.begin_entry(live, slot, sizes_[slot]);
  requests_.withdraw(live);
  by_id_.erase(hash_id(live.id), slot);
  live.id = id;
  by_id_.insert(hash_id(live.id), slot);
  update(slot, packet);
  return true;
}

// The kernel could not count this packet, so it is added to the row here. Its payload was not sent.
void LiveFlows::uncounted(const fm_open_record& record) {
  const uint32_t slot = find_key(record.key);
  if (slot == kNoSlot) {
    open(record, next_own_id_++);
    applications_.lost(find_key(record.key));
    return;
  }
  const fm_packet packet = packet_of(record);
  LiveFlow& live = pool_[slot];
  applications_.lost(slot);
  if (live.in_kernel()) merge_.add_uncounted(live, slot, packet);
  update(slot, packet);
}

// Adds the payload of a packet. The packet's own record may still wait in the batch, but payload
// does not change counters.
void LiveFlows::payload(const fm_payload_record& record) {
  const uint32_t slot = find(record.flow_id);
  if (slot == kNoSlot) return;
  const LiveFlow& live = pool_[slot];
  fm_packet packet{};
  packet.payload_bytes = record.payload_bytes;
  packet.segment_bytes = record.segment_bytes;
  packet.sequence = record.sequence;
  packet.flags = record.flags;
  packet.direction = (record.what & FM_RECORD_DIRECTION) != 0;
  packet.transport_header_bytes = live.key.protocol == FM_TCP ? 20 : 8;  // no later fragment
  applications_.add_payload(slot, live.key, packet, {record.bytes, record.byte_count},
                            live.flow.counters.forward_direction);
}

// Who owns an end may be told before or after the flow's packets are processed, but not before it
// is announced. Where it is not known any more it has ended.
void LiveFlows::owner(const fm_owner_record& record) {
  owners_.note_sender(record);
  if (const uint32_t slot = find(record.flow_id); slot != kNoSlot) owners_.note(slot, record);
}

// Handles the state of a flow that continues: it is taken over from another daemon, its opening
// record was lost, or it was not idle.
void LiveFlows::state(const fm_state_record& record) {
  uint32_t slot = find(record.head.flow_id);
  if (slot != kNoSlot) {
    merge(pool_[slot], slot, record);
  } else {
    if (fm_flow_packets(&record.counters) == 0 || requests_.is_forgotten(record.head.flow_id))
      return;
    uint64_t chain_start_ns = chains_.take(record.key, record.counters.first_ns);
    if (const uint32_t older = find_older(record.key, first_packet_of(record), chain_start_ns);
        older != kNoSlot)
      end_flow(older, FM_END_EVICTED);
    slot = begin(record.key, record.head.flow_id, record.ifindex, record.hook);
    pool_[slot].chain_start_ns = chain_start_ns;
    merge_.take(pool_[slot], record);
    open_packets_ += fm_flow_packets(&record.counters);
    sizes_[slot] = merge_.sizes_in(record);
    applications_.lost(slot);
  }
  requests_.continues(slot, record.head.time_ns);
}

void LiveFlows::closed(const fm_state_record& record) {
  auto end = static_cast<fm_end_reason>(std::min<unsigned>(record.end, FM_END_COUNT - 1));
  const uint32_t slot = find(record.head.flow_id);
  if (slot == kNoSlot) return closed_unknown(record, end);
  LiveFlow& live = pool_[slot];
  if (end == FM_END_EVICTED) {
    if (live.in_kernel()) note_eviction(slot);
    const bool asked = live.wanted_end != FM_END_NONE;
    if (asked && (!live.in_kernel() || live.wanted_end == FM_END_INPUT)) end = live.wanted_end;
  } else {
    merge(live, slot, record);
  }
  if (end == FM_END_ACTIVE)
    chains_.continue_later({live.key, record.head.time_ns, live.chain_start()});
  end_flow(slot, end);
}

// Handles the end of a flow that is not known here: all its other records were lost, a request was
// answered twice, or the flow's row was written when it was forced out.
void LiveFlows::closed_unknown(const fm_state_record& record, fm_end_reason end) {
  if (requests_.forgotten_answered(record.head.flow_id)) return;
  if (fm_flow_packets(&record.counters) == 0 || (record.announced && !resuming_)) return;
  LiveFlow live{};
  live.key = record.key;
  live.clock = clock_;
  live.ifindex = record.ifindex;
  live.hook = record.hook;
  merge_.take(live, record);
  live.chain_start_ns = chains_.take(live.key, record.counters.first_ns);
  const uint32_t stale = find_key(record.key);
  if (live.chain_start_ns == 0 && stale != kNoSlot && pool_[stale].is_stale)
    live.chain_start_ns = chain_start_after(pool_[stale], first_packet_of(record));
  if (end == FM_END_ACTIVE)
    chains_.continue_later({live.key, record.head.time_ns, live.chain_start()});
  write(live, kNoSlot, merge_.sizes_in(record), end);
}

void LiveFlows::merge(LiveFlow& live, uint32_t slot, const fm_state_record& record) {
  if (record.payload_lost) applications_.lost(slot);
  // If the record of its beginning was lost, the flow has begun before the packet that opened it
  // here.
  const uint64_t first_ns = record.counters.first_ns;
  if (live.chain_start_ns == 0 && first_ns != 0 && first_ns < live.flow.counters.first_ns)
    live.chain_start_ns = chains_.take(live.key, first_ns);
  open_packets_ -= fm_flow_packets(&live.flow.counters);
  merge_.merge(live, slot, sizes_[slot], record);
  open_packets_ += fm_flow_packets(&live.flow.counters);
}

void LiveFlows::note_eviction(uint32_t slot) {
  evicted_++;
  pool_[slot].evictions++;
  applications_.lost(slot);  // without the entry it is not known whether all payload arrived
}

// Writes the flow's row and removes it from the table.
void LiveFlows::end_flow(uint32_t slot, fm_end_reason end) {
  LiveFlow& live = pool_[slot];
  share_owners(slot);
  write(live, slot, sizes_[slot], end);
  remove(slot);
}

// The sockets of a connection to a service are known where their packets come from, which is on one
// side of the address translation each. Both sides are open when the first of them ends.
void LiveFlows::share_owners(uint32_t slot) {
  if (!services_ || !owners_.on()) return;
  const auto other_side = services_->other_side(pool_[slot].key);
  if (!other_side) return;
  const uint32_t other = find_key(other_side->key);
  if (other != kNoSlot && other != slot) owners_.share(slot, other, other_side->ends_swapped);
}

void LiveFlows::remove(uint32_t slot) {
  LiveFlow& live = pool_[slot];
  open_packets_ -= fm_flow_packets(&live.flow.counters);
  requests_.remove(slot);
  merge_.remove(live, slot);
  applications_.release(slot);
  by_id_.erase(hash_id(live.id), slot);
  by_key_.erase(key_hash_(live.key), slot);
  live.id = 0;
  pool_.give_back(slot);
}

// slot: kNoSlot if the flow has none.
void LiveFlows::write(const LiveFlow& live, uint32_t slot, const fm_flow_sizes& sizes,
                      fm_end_reason end) {
  flows_written_++;
  flows_by_end_[end]++;
  packets_written_ += fm_flow_packets(&live.flow.counters);
  flows_with_losses_ += live.packets_without_timing > 0;
  packets_without_timing_ += live.packets_without_timing;
  FlowRecord record{live.key, live.flow, live.clock, end};
  record.packets_without_timing = live.packets_without_timing;
  record.evictions = live.evictions;
  if (names_) record.interface = names_->name_of(live.ifindex);
  if (services_) record.service = services_->service_of(live.key);
  record.hook = live.hook;
  record.sizes = &sizes;
  record.meter = meter_ ? &*meter_ : nullptr;
  record.start.first_ns = live.flow.counters.first_ns;
  record.chain_start.first_ns = live.chain_start();
  if (slot == kNoSlot) {
    applications_.describe_unknown(record);
    owners_.describe_unknown(record);
  } else {
    applications_.describe(slot, record);
    owners_.describe(slot, record);
  }
  sink_.write(record);
}

void LiveFlows::finish(fm_end_reason end) {
  each_open(pool_, [&](uint32_t slot, LiveFlow&) { end_flow(slot, end); });
}

}  // namespace flowmeter
