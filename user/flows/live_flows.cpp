// SPDX-License-Identifier: BSD-3-Clause
#include "flows/live_flows.h"

#include <algorithm>

namespace flowmeter {
namespace {

constexpr uint64_t kAskAgainNs = FM_SECOND_NS / 2;
constexpr uint32_t kNoSlot = HashIndex::kNone;

}  // namespace

LiveFlows::LiveFlows(const fm_settings& settings, uint32_t max_flows, RecordSink& sink,
                     bool timing_in_kernel)
    : settings_(settings),
      max_flows_(max_flows),
      pool_(max_flows + max_flows / 8 + kSlack),
      sizes_(settings.with_sizes ? pool_.capacity() : 1),
      applications_(settings, pool_.capacity()),
      sink_(sink),
      timing_in_kernel_(timing_in_kernel) {}

uint32_t LiveFlows::find(uint64_t id) const {
  return by_id_.find(hash_id(id), [&](uint32_t slot) { return pool_[slot].id == id; });
}

uint32_t LiveFlows::find_key(const fm_flow_key& key) const {
  return by_key_.find(key_hash_(key),
                      [&](uint32_t slot) { return fm_key_equal(&pool_[slot].key, &key) != 0; });
}

bool LiveFlows::knows(uint64_t flow_id) const {
  return find(flow_id) != kNoSlot || forgotten_.contains(flow_id);
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
  settle();  // the order of records is what they mean
  const size_t state_size = fm_state_size(timing_in_kernel_, settings_.with_sizes != 0);
  if ((type == FM_RECORD_OPEN || type == FM_RECORD_OPEN_NEW) && size >= sizeof(fm_open_record))
    open(*static_cast<const fm_open_record*>(record), packet->flow_id);
  else if (type == FM_RECORD_UNCOUNTED && size >= sizeof(fm_open_record))
    uncounted(*static_cast<const fm_open_record*>(record));
  else if (type == FM_RECORD_CLOSED && size >= state_size)
    closed(*static_cast<const fm_state_record*>(record));
  else if (type == FM_RECORD_STATE && size >= state_size)
    state(*static_cast<const fm_state_record*>(record));
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
    if (settings_.with_sizes) fetch(&sizes_[slots[i]]);
    if (settings_.with_application) applications_.prefetch(slots[i], end);
  }
  for (size_t i = 0; i < waiting_; i++) {
    if (slots[i] == kNoSlot) {
      fm_packet lost{};
      fm_packet_from_record(&lost, &batch_[i]);
      unplaced_ += fm_packet_segments(&lost);
      continue;
    }
    LiveFlow& live = pool_[slots[i]];
    fm_packet packet{};
    packet.key.protocol = live.key.protocol;
    fm_packet_from_record(&packet, &batch_[i]);
    update(live, slots[i], packet);
  }
  waiting_ = 0;
}

void LiveFlows::add(LiveFlow& live, uint32_t slot, const fm_packet& packet) {
  if (settings_.with_sizes) fm_flow_sizes_update(&sizes_[slot], &live.flow.counters, &packet);
  if (settings_.with_application)
    applications_.add_to_bulks(slot, packet, fm_flow_time(&live.flow.counters, packet.time_ns));
  fm_flow_update(&live.flow, &packet, &settings_);
  if (observer_) observer_->observe(live.key, packet, live.flow.counters.forward_direction);
}

void LiveFlows::update(LiveFlow& live, uint32_t slot, const fm_packet& packet) {
  const bool was_closed = fm_flow_closed(&live.flow.counters);
  add(live, slot, packet);
  // The only thing that brings a deadline nearer.
  if (!was_closed && fm_flow_closed(&live.flow.counters)) wheel_.schedule(slot, deadline(live));
}

uint64_t LiveFlows::deadline(const LiveFlow& live) const {
  const uint64_t timeout = fm_idle_timeout_ns(&live.flow.counters, live.key.protocol, &settings_);
  const uint64_t last = live.flow.counters.last_ns;
  return last > UINT64_MAX - timeout ? UINT64_MAX : last + timeout;
}

// A new flow. Requires: none of this key is known.
LiveFlow& LiveFlows::begin(const fm_flow_key& key, uint64_t id, uint32_t ifindex, uint8_t hook,
                           uint32_t* slot) {
  *slot = pool_.take();
  if (*slot == SlotPool<LiveFlow>::kNone) *slot = make_room();
  LiveFlow& live = pool_[*slot];
  live = LiveFlow{};
  sizes_of(*slot) = fm_flow_sizes{};
  if (settings_.with_application) applications_.begin(*slot);
  live.key = key;
  live.id = id;
  live.clock = clock_;
  live.ifindex = ifindex;
  live.hook = hook;
  by_id_.insert(hash_id(live.id), *slot);
  by_key_.insert(key_hash_(live.key), *slot);
  return live;
}

void LiveFlows::open(const fm_open_record& record, uint64_t id) {
  fm_packet packet{};
  fm_packet_from_record(&packet, &record.packet);
  packet.key = record.key;
  fm_inheritance inherited = record.inherited;

  // The kernel never has two flows of one key: the older one left its map without a word.
  const uint32_t older = find_key(record.key);
  if (older != kNoSlot) {
    if (goes_on(older, record, packet, id)) return;
    const LiveFlow& live = pool_[older];
    fm_end_reason ended = fm_flow_ended(&live.flow.counters, &packet, &settings_);
    if (record.packet.what & FM_RECORD_NEW_ENTRY)
      inherited = fm_flow_inheritance(&live.flow.counters, &packet, ended);
    if (ended == FM_END_NONE) ended = FM_END_EVICTED;
    write(older, ended);
    drop(older);
  }
  uint32_t slot;
  LiveFlow& live = begin(record.key, id, record.ifindex, record.hook, &slot);
  fm_flow_counters_begin(&live.flow.counters, &packet, inherited);
  add(live, slot, packet);
  wheel_.schedule(slot, deadline(live));
}

// Whether the packet that opens an entry of the kernel's map belongs to the flow in slot, which the
// map has dropped (or never had room for). Then the flow goes on under the new id.
bool LiveFlows::goes_on(uint32_t slot, const fm_open_record& record, const fm_packet& packet,
                        uint64_t id) {
  LiveFlow& live = pool_[slot];
  if (live.id < kOwnId) {
    if (!(record.packet.what & FM_RECORD_NEW_ENTRY)) return false;  // the kernel has ended it
    note_eviction(slot);
  }
  if (timing_in_kernel_ && live.id < kOwnId) return false;  // what the kernel knew is gone
  if (fm_flow_ended(&live.flow.counters, &packet, &settings_) != FM_END_NONE) return false;
  recreated_++;
  live.lacking = fm_flow_packets(&live.flow.counters);
  Lacking& lacking = lacking_[slot];
  lacking = {live.flow.counters, sizes_of(slot), {}};
  for (unsigned end = 0; end < 2; end++)
    if (lacking.counters.direction[end].length.count == 0) lacking.first_ns[end] = UINT64_MAX;
  by_id_.erase(hash_id(live.id), slot);
  live.id = id;
  by_id_.insert(hash_id(live.id), slot);
  if (live.closing()) closing_--;
  live.close_wanted = false;
  update(live, slot, packet);
  return true;
}

// What a packet of a flow carries. Its own record may still wait in the batch: payload has nothing
// to do with counters.
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
  applications_.add_payload(slot, live.key, packet, {record.octets, record.octet_count},
                            live.flow.counters.forward_direction);
}

// The kernel could not count this packet: the row gets it here. Its payload stayed there.
void LiveFlows::uncounted(const fm_open_record& record) {
  const uint32_t slot = find_key(record.key);
  if (slot == kNoSlot) {
    open(record, next_own_id_++);
    if (settings_.with_application) applications_.lost(find_key(record.key));
    return;
  }
  fm_packet packet{};
  fm_packet_from_record(&packet, &record.packet);
  packet.key = record.key;
  LiveFlow& live = pool_[slot];
  if (settings_.with_application) applications_.lost(slot);
  if (live.id < kOwnId) {
    Lacking& lacking = lacking_[slot];
    if (live.lacking == 0) {
      const fm_inheritance forward{live.flow.counters.forward_direction, 0, 0};
      lacking = {{}, {}, {UINT64_MAX, UINT64_MAX}};
      fm_flow_counters_begin(&lacking.counters, &packet, forward);
    }
    fm_flow_sizes_update(&lacking.sizes, &lacking.counters, &packet);
    fm_flow_counters_update(&lacking.counters, &packet);
    uint64_t& first_ns = lacking.first_ns[packet.direction & 1];
    first_ns = std::min<uint64_t>(first_ns, packet.time_ns);
    live.lacking += fm_packet_segments(&packet);
  }
  update(live, slot, packet);
}

// Takes over what the kernel knows better: with datapath "kernel" everything, else counters if
// records were lost. If none was, its counters are at best equal to those here: an entry that the
// LRU gave to this flow while a packet of another one was being counted has one too many.
void LiveFlows::merge(LiveFlow& live, uint32_t slot, const fm_state_record& record) {
  if (settings_.with_application && record.payload_lost) applications_.lost(slot);
  const uint64_t counted = fm_flow_packets(&record.counters);
  const uint64_t known = fm_flow_packets(&live.flow.counters) - live.lacking;
  if (!timing_in_kernel_ && (counted <= known || record.events_lost == 0)) return;
  if (timing_in_kernel_) {
    live.flow.timing = record.timing;
    live.packets_without_timing = live.lacking;
  } else {
    live.packets_without_timing += counted - known;
  }
  const uint8_t forward_direction = live.flow.counters.forward_direction;
  live.flow.counters = record.counters;
  sizes_of(slot) = sizes_in(record);
  if (live.lacking > 0) {
    const Lacking& lacking = lacking_[slot];
    fm_flow_sizes_merge(&sizes_of(slot), &live.flow.counters, &lacking.sizes, &lacking.counters);
    fm_flow_counters_merge(&live.flow.counters, &lacking.counters);
    // Packets that went round the lock may be in the midst of the entry's: then the first window
    // is the entry's.
    for (unsigned end = 0; end < 2; end++) {
      const fm_direction_timing& t = live.flow.timing.direction[end];
      const fm_direction_counters& kernel = record.counters.direction[end];
      if (kernel.has_window && t.packets > 0 && t.last_ns - t.gaps.sum < lacking.first_ns[end])
        live.flow.counters.direction[end].initial_window = kernel.initial_window;
    }
  }
  live.flow.counters.forward_direction = forward_direction;
}

void LiveFlows::closed(const fm_state_record& record) {
  auto end = static_cast<fm_end_reason>(std::min<unsigned>(record.end, FM_END_COUNT - 1));
  const uint64_t counted = fm_flow_packets(&record.counters);
  const uint32_t slot = find(record.head.flow_id);
  if (slot == kNoSlot) {
    // A second answer to a request that was made twice, or a flow whose row was written when it was
    // forced out.
    if (forgotten_.erase(record.head.flow_id) > 0) return;
    if (counted == 0 || (record.announced && !resuming_)) return;
    // Nothing was heard of this flow but its end.
    LiveFlow live{};
    live.key = record.key;
    live.clock = clock_;
    live.ifindex = record.ifindex;
    live.hook = record.hook;
    live.flow.counters = record.counters;
    if (timing_in_kernel_)
      live.flow.timing = record.timing;
    else
      live.packets_without_timing = counted;
    write(live, kNoSlot, sizes_in(record), end);
    return;
  }
  LiveFlow& live = pool_[slot];
  if (end == FM_END_EVICTED) {
    if (live.id < kOwnId) note_eviction(slot);
    if (live.close_wanted && (live.id >= kOwnId || live.wanted_end == FM_END_INPUT))
      end = live.wanted_end;
  } else {
    merge(live, slot, record);
  }
  write(slot, end);
  drop(slot);
}

// The flow lives on: it is another daemon's and taken over, its opening record was lost, or it was
// not idle.
void LiveFlows::state(const fm_state_record& record) {
  const uint64_t counted = fm_flow_packets(&record.counters);
  uint32_t slot = find(record.head.flow_id);
  if (slot == kNoSlot) {
    if (counted == 0 || forgotten_.contains(record.head.flow_id)) return;
    if (const uint32_t older = find_key(record.key); older != kNoSlot) {
      write(older, FM_END_EVICTED);
      drop(older);
    }
    LiveFlow& live = begin(record.key, record.head.flow_id, record.ifindex, record.hook, &slot);
    live.flow.counters = record.counters;
    sizes_of(slot) = sizes_in(record);
    if (settings_.with_application) applications_.lost(slot);
    if (timing_in_kernel_)
      live.flow.timing = record.timing;
    else
      live.packets_without_timing = counted;
  } else {
    merge(pool_[slot], slot, record);
  }
  LiveFlow& live = pool_[slot];
  live.known_ns = record.head.time_ns;
  if (live.asked_ns != 0) asking_--;
  live.asked_ns = 0;
  if (live.close_wanted && live.wanted_end != FM_END_IDLE) return;
  live.close_wanted = false;
  wheel_.schedule(slot, deadline(live));
}

// What the kernel says of sizes, if it keeps them.
const fm_flow_sizes& LiveFlows::sizes_in(const fm_state_record& record) const {
  if (!settings_.with_sizes) return kNoSizes;
  return timing_in_kernel_ ? record.sizes : record.sizes_only;
}

void LiveFlows::write(const LiveFlow& live, uint32_t slot, const fm_flow_sizes& sizes,
                      fm_end_reason end) {
  flows_written_++;
  forced_out_ += end == FM_END_RESOURCES;
  packets_written_ += fm_flow_packets(&live.flow.counters);
  flows_with_losses_ += live.packets_without_timing > 0;
  packets_without_timing_ += live.packets_without_timing;
  FlowRecord record{live.key, live.flow, live.clock, end};
  record.packets_without_timing = live.packets_without_timing;
  record.evictions = live.evictions;
  if (names_) record.interface = names_->name_of(live.ifindex);
  record.hook = live.hook;
  record.sizes = &sizes;
  if (settings_.with_application) {
    if (slot == kNoSlot)
      FlowApplications::describe_unknown(record);
    else
      applications_.describe(slot, record);
  }
  sink_.write(record);
}

void LiveFlows::note_eviction(uint32_t slot) {
  evicted_++;
  pool_[slot].evictions++;
  // Whether all of its payload came went with the entry.
  if (settings_.with_application) applications_.lost(slot);
}

void LiveFlows::drop(uint32_t slot) {
  const LiveFlow& live = pool_[slot];
  wheel_.cancel(slot);
  if (live.closing()) closing_--;
  if (live.asked_ns != 0) asking_--;
  if (live.lacking > 0) lacking_.erase(slot);
  by_id_.erase(hash_id(live.id), slot);
  by_key_.erase(key_hash_(live.key), slot);
  if (settings_.with_application) applications_.release(slot);
  pool_[slot].id = 0;
  pool_.give_back(slot);
}

void LiveFlows::want_close(LiveFlow& live, uint32_t slot, fm_end_reason end, uint64_t now_ns,
                           std::vector<fm_close_request>& requests) {
  if (end == FM_END_RESOURCES && !live.closing()) closing_++;
  live.close_wanted = true;
  live.wanted_end = end;
  const uint64_t action = end == FM_END_IDLE ? FM_CLOSE_IF_IDLE : fm_close_force(end);
  requests.push_back({live.key, live.id, action});
  wheel_.schedule(slot, now_ns + kAskAgainNs);
}

void LiveFlows::request_due(uint64_t now_ns, std::vector<fm_close_request>& requests) {
  wheel_.collect(now_ns, [&](uint32_t slot) {
    LiveFlow& live = pool_[slot];
    const bool forced = live.close_wanted && live.wanted_end != FM_END_IDLE;
    if (deadline(live) >= now_ns && !forced) {
      live.close_wanted = false;
      wheel_.schedule(slot, deadline(live));
    } else {
      want_close(live, slot, forced ? live.wanted_end : FM_END_IDLE, now_ns, requests);
    }
  });
  if (!forgotten_.empty() && now_ns - forgotten_asked_ns_ > kAskAgainNs) {
    forgotten_asked_ns_ = now_ns;
    for (const auto& [id, request] : forgotten_) requests.push_back(request);
  }
  constexpr uint32_t kLooks = 256;
  const auto not_asked_for = [now_ns](const LiveFlow& live) {
    return !live.close_wanted && now_ns - live.asked_ns >= kAskAgainNs;
  };
  const uint32_t leaving = closing_ + asking_;
  for (uint32_t flows = pool_.in_use(); flows > max_flows_ + leaving; flows--) {
    const uint32_t victim = most_dispensable(kLooks, not_asked_for);
    if (victim == kNoSlot) continue;
    LiveFlow& live = pool_[victim];
    // With datapath "kernel" nothing is heard of a busy flow: it is looked at before it is chosen.
    if (timing_in_kernel_ && live.id < kOwnId &&
        now_ns - std::min(now_ns, live.known_ns) > FM_SECOND_NS) {
      asking_ += live.asked_ns == 0;
      live.asked_ns = now_ns;
      requests.push_back({live.key, live.id, FM_REPORT_STATE});
    } else {
      want_close(live, victim, FM_END_RESOURCES, now_ns, requests);
    }
  }
}

// Until when a flow is spared for others. Packets buy it time, or a flood of flows of one packet
// each would push out an established one that pauses for a moment.
uint64_t LiveFlows::spared_until(const LiveFlow& live) {
  constexpr uint64_t kCreditMax = 60;  // seconds, one a packet
  const uint64_t packets = fm_flow_packets(&live.flow.counters);
  return live.flow.counters.last_ns + std::min(packets, kCreditMax) * FM_SECOND_NS;
}

// Of the first few flows beyond the hand that may be taken, the one to make room first; kNoSlot if
// there is none within so many looks.
template <typename MayBeTaken>
uint32_t LiveFlows::most_dispensable(uint32_t looks, MayBeTaken&& may_be_taken) {
  constexpr uint32_t kSample = 16;
  uint32_t victim = kNoSlot;
  for (uint32_t found = 0; looks > 0 && found < kSample; looks--) {
    const uint32_t slot = hand_;
    hand_ = hand_ + 1 < pool_.used() ? hand_ + 1 : 0;
    if (pool_[slot].id == 0 || !may_be_taken(pool_[slot])) continue;
    found++;
    if (victim == kNoSlot || spared_until(pool_[slot]) < spared_until(pool_[victim])) victim = slot;
  }
  return victim;
}

// The table is full, and a new flow cannot wait for the kernel to close another: one is written
// from its records, if possible one that the kernel's map had no room for. There are such, as the
// map is the smaller one. What the kernel counts of any other until it closes it, too, is in no
// row.
uint32_t LiveFlows::make_room() {
  uint32_t victim =
      most_dispensable(pool_.used(), [](const LiveFlow& l) { return l.id >= kOwnId; });
  if (victim == kNoSlot)
    victim = most_dispensable(pool_.used(), [](const LiveFlow&) { return true; });
  LiveFlow& live = pool_[victim];
  write(victim, FM_END_RESOURCES);
  if (live.id < kOwnId) forgotten_[live.id] = {live.key, live.id, fm_close_force(FM_END_RESOURCES)};
  drop(victim);
  return pool_.take();
}

void LiveFlows::request_states(std::vector<fm_close_request>& requests) {
  for (uint32_t slot = 0; slot < pool_.used(); slot++)
    if (pool_[slot].id != 0 && pool_[slot].id < kOwnId)
      requests.push_back({pool_[slot].key, pool_[slot].id, FM_REPORT_STATE});
}

void LiveFlows::request_all(fm_end_reason end, std::vector<fm_close_request>& requests) {
  for (uint32_t slot = 0; slot < pool_.used(); slot++) {
    if (pool_[slot].id == 0) continue;
    if (pool_[slot].closing()) closing_--;
    pool_[slot].close_wanted = true;
    pool_[slot].wanted_end = end;
    requests.push_back({pool_[slot].key, pool_[slot].id, fm_close_force(end)});
  }
}

void LiveFlows::request_slot(unsigned interface_slot, fm_end_reason end,
                             std::vector<fm_close_request>& requests) {
  for (uint32_t slot = 0; slot < pool_.used(); slot++) {
    LiveFlow& live = pool_[slot];
    if (live.id == 0 || live.key.interface != interface_slot + 1) continue;
    if (live.closing()) closing_--;
    live.close_wanted = true;
    live.wanted_end = end;
    requests.push_back({live.key, live.id, fm_close_force(end)});
  }
}

uint64_t LiveFlows::open_packets() const {
  uint64_t packets = 0;
  for (uint32_t slot = 0; slot < pool_.used(); slot++)
    if (pool_[slot].id != 0) packets += fm_flow_packets(&pool_[slot].flow.counters);
  return packets;
}

void LiveFlows::hand_over(uint64_t since_ns) {
  for (uint32_t slot = 0; slot < pool_.used(); slot++) {
    LiveFlow& live = pool_[slot];
    if (live.id == 0) continue;
    if (live.id < kOwnId && live.known_ns >= since_ns) {
      if (live.lacking == 0) continue;
      live.flow = fm_flow{};
      live.flow.counters = lacking_[slot].counters;
      sizes_of(slot) = lacking_[slot].sizes;
      if (settings_.with_application) applications_.lost(slot);
      live.packets_without_timing = live.lacking;
    }
    write(slot, FM_END_EVICTED);
    drop(slot);
  }
}

void LiveFlows::finish(fm_end_reason end) {
  for (uint32_t slot = 0; slot < pool_.used(); slot++) {
    if (pool_[slot].id == 0) continue;
    write(slot, end);
    drop(slot);
  }
}

}  // namespace flowmeter
