// SPDX-License-Identifier: BSD-3-Clause
#include "compat/python_flows.h"

#include <algorithm>

namespace flowmeter {
namespace {

constexpr int64_t kSecond = 1'000'000;

// From constants.py and FlowSession.garbage_collect().
constexpr int64_t kExpiredUpdate = 240 * kSecond, kIcmpExpiredUpdate = 60 * kSecond;
constexpr int64_t kLongFlow = 90 * kSecond, kLongIcmpFlow = 30 * kSecond;
constexpr uint64_t kPacketsPerCollection = 1000;
// FlowSession.process(): a packet of a flow longer than this triggers a collection.
constexpr int64_t kCollectNow = 120 * kSecond;

int64_t idle_timeout(uint8_t protocol) {
  return protocol == FM_ICMP ? kIcmpExpiredUpdate : kExpiredUpdate;
}

// The next collection removes every flow that is at least this long.
int64_t long_flow(uint8_t protocol) {
  return protocol == FM_ICMP ? kLongIcmpFlow : kLongFlow;
}

}  // namespace

PythonFlows::PythonFlows(uint32_t max_flows, PythonRow row, OutputFile output)
    : row_(std::move(row)),
      output_(std::move(output)),
      flows_(max_flows),
      chunks_(max_flows * kChunksPerFlow) {}

// The keys of both directions have the same hash, so looking up the second one touches no other
// cache line.
uint32_t PythonFlows::hash(const PythonPacket::Key& key, uint32_t number) const {
  uint64_t source = uint64_t{key.source_ip} << 32 | key.source_value;
  uint64_t destination = uint64_t{key.destination_ip} << 32 | key.destination_value;
  if (source > destination) std::swap(source, destination);
  const std::array<uint64_t, 5> words = {source, destination, number, 0, 0};
  return key_hash_(words);
}

uint32_t PythonFlows::find(const PythonPacket::Key& key, uint32_t number, uint32_t hash) const {
  return index_.find(hash, [&](uint32_t slot) {
    return flows_[slot].key == key && flows_[slot].number == number;
  });
}

void PythonFlows::add(const PythonPacket& packet) {
  const size_t i = came_++ % kRing;
  packets_[i] = packet;
  hashes_[i] = hash(packet.key, 0);
  index_.prefetch(hashes_[i]);
  advance(kFlowDelay, kChunkDelay, kAddDelay);
}

// Advances each packet that arrived at least that many packets ago by one step.
void PythonFlows::advance(uint64_t flow_delay, uint64_t chunk_delay, uint64_t add_delay) {
  if (found_ + flow_delay < came_) {
    const size_t i = found_++ % kRing;
    guesses_[i] = index_.guess(hashes_[i]);
    if (guesses_[i] != kNone) __builtin_prefetch(&flows_[guesses_[i]], 1);
  }
  if (asked_ + chunk_delay < found_) {
    const size_t i = asked_++ % kRing;
    if (guesses_[i] != kNone) {
      const PythonFlow& flow = flows_[guesses_[i]];
      const PythonChunk& chunk = chunks_[flow.last_chunk];
      __builtin_prefetch(&chunk.packets[flow.packets % PythonChunk::kPackets], 1);
    }
  }
  if (taken_ + add_delay < asked_) {
    const size_t i = taken_ % kRing;
    process(packets_[i], hashes_[i]);
  }
}

void PythonFlows::settle() {
  while (taken_ < came_) advance(0, 0, 0);
}

// FlowSession.process()
void PythonFlows::process(const PythonPacket& packet, uint32_t key_hash) {
  make_room();
  taken_++;
  PythonPacket::Key key = packet.key;
  bool reverse = false;
  uint32_t slot = find(key, 0, key_hash);
  if (slot == kNone) {
    const PythonPacket::Key other = reverse_key(packet);
    const uint32_t other_hash = packet.protocol == FM_ICMP ? hash(other, 0) : key_hash;
    slot = find(other, 0, other_hash);
    if (slot != kNone) {
      reverse = true;
      key = other;
    }
  }
  if (slot == kNone) {
    slot = make(packet, key, 0, key_hash);
  } else {
    // Flows of one key are numbered. The time-out is that of the packet's protocol and grows with
    // the number. A new flow keeps the packet's direction in the first one.
    const int64_t timeout = idle_timeout(packet.protocol);
    int64_t expired = timeout;
    for (uint32_t number = 1; packet.time_us - flows_[slot].latest_us > expired; number++) {
      expired += timeout;
      key_hash = hash(key, number);
      slot = find(key, number, key_hash);
      if (slot == kNone) {
        slot = make(packet, key, number, key_hash);
        break;
      }
    }
  }
  // FIN and RST do not end a flow: the original's branch looks for "F" in the IP flags.
  PythonFlow& flow = flows_[slot];
  append(flow, packet, reverse);
  const int64_t duration = flow.latest_us - flow.start_us;
  if (!flow.is_long && duration >= long_flow(flow.protocol)) {
    flow.is_long = true;
    long_flows_.push_back({0, flow.order, slot});
  }
  if (taken_ % kPacketsPerCollection == 0 || duration > kCollectNow) collect(packet.time_us);
}

// Requires: a free slot.
uint32_t PythonFlows::make(const PythonPacket& packet, const PythonPacket::Key& key,
                           uint32_t number, uint32_t hash) {
  const uint32_t slot = flows_.take();
  flows_[slot] = {
      .key = key,
      .number = number,
      .packets = 0,
      .start_us = packet.time_us,
      .latest_us = packet.time_us,
      .first_chunk = kNone,
      .last_chunk = kNone,
      .protocol = packet.protocol,
      .is_long = false,
      .hash = hash,
      .order = inserted_++,
      .previous = newest_,
      .next = kNone,
  };
  (newest_ == kNone ? oldest_ : flows_[newest_].next) = slot;
  newest_ = slot;
  index_.insert(hash, slot);
  push_due(slot);
  return slot;
}

// Requires: a free chunk.
void PythonFlows::append(PythonFlow& flow, const PythonPacket& packet, bool reverse) {
  const uint32_t place = flow.packets % PythonChunk::kPackets;
  if (place == 0) {
    const uint32_t chunk = chunks_.take();
    (flow.packets == 0 ? flow.first_chunk : chunks_[flow.last_chunk].next) = chunk;
    flow.last_chunk = chunk;
  }
  chunks_[flow.last_chunk].packets[place] = {
      .time_us = packet.time_us,
      .length = packet.length,
      .payload = packet.payload,
      .window = packet.window,
      .flags = packet.flags,
      .ihl = static_cast<uint8_t>(packet.ihl & 0xf),
      .reverse = reverse,
      .tcp = packet.protocol == FM_TCP,
  };
  flow.packets++;
  flow.latest_us = std::max(flow.latest_us, packet.time_us);
}

bool PythonFlows::is_gone(const Due& due) const {
  return flows_[due.slot].order != due.order;
}

void PythonFlows::push_due(uint32_t slot) {
  const PythonFlow& flow = flows_[slot];
  // The heap may still have entries of flows that were removed because they were long.
  if (due_.size() > 2 * size_t{flows_.in_use()} + 1024) {
    std::erase_if(due_, [&](const Due& due) { return is_gone(due); });
    std::make_heap(due_.begin(), due_.end(), Later{});
  }
  due_.push_back({flow.latest_us + idle_timeout(flow.protocol), flow.order, slot});
  std::push_heap(due_.begin(), due_.end(), Later{});
}

// FlowSession.garbage_collect(): writes flows that are idle or long at this time, in table order.
void PythonFlows::collect(int64_t time_us) {
  taken_out_.swap(long_flows_);
  while (!due_.empty() && due_.front().time_us <= time_us) {
    std::pop_heap(due_.begin(), due_.end(), Later{});
    const Due due = due_.back();
    due_.pop_back();
    if (is_gone(due)) continue;
    const PythonFlow& flow = flows_[due.slot];
    if (time_us - flow.latest_us < idle_timeout(flow.protocol))
      push_due(due.slot);
    else if (!flow.is_long)  // those are in the list already
      taken_out_.push_back(due);
  }
  std::sort(taken_out_.begin(), taken_out_.end(),
            [](const Due& a, const Due& b) { return a.order < b.order; });
  for (const Due& due : taken_out_) {
    if (is_gone(due)) continue;  // forced out
    close(due.slot);
  }
  taken_out_.clear();
}

void PythonFlows::write(const PythonFlow& flow) {
  // The header is written with the first row: without rows the file stays empty.
  char* at = output_.at();
  if (rows_ == 0) at = row_.put_header(at);
  const char* end = row_.put(at, flow, chunks_);
  if (!end) {
    rows_left_out_++;
    packets_left_out_ += flow.packets;
    return;
  }
  if (rows_ == 0) output_.end_header(at);
  output_.end_row(end);
  rows_++;
  packets_in_rows_ += flow.packets;
}

// Writes the flow's row and takes it out of the table.
void PythonFlows::close(uint32_t slot) {
  PythonFlow& flow = flows_[slot];
  write(flow);
  for (uint32_t chunk = flow.first_chunk;;) {
    const uint32_t next = chunks_[chunk].next;
    chunks_.give_back(chunk);
    if (chunk == flow.last_chunk) break;
    chunk = next;
  }
  (flow.previous == kNone ? oldest_ : flows_[flow.previous].next) = flow.next;
  (flow.next == kNone ? newest_ : flows_[flow.next].previous) = flow.previous;
  index_.erase(flow.hash, slot);
  flow.order = UINT64_MAX;  // makes is_gone() true for the heap's entries of this flow
  flows_.give_back(slot);
}

// A packet needs at most one slot and one chunk.
void PythonFlows::make_room() {
  while (flows_.in_use() == flows_.capacity() || chunks_.in_use() == chunks_.capacity()) {
    forced_out_++;
    close(oldest_);
  }
}

Status PythonFlows::flush() {
  settle();
  return output_.flush();
}

Status PythonFlows::finish() {
  settle();
  while (oldest_ != kNone) close(oldest_);
  return output_.finish();
}

}  // namespace flowmeter
