// SPDX-License-Identifier: BSD-3-Clause
#include "compat/java_flows.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "compat/java_row.h"

namespace flowmeter {
namespace {

constexpr int64_t kFlowTimeoutUs = 120'000'000;

}  // namespace

JavaFlows::Key::Key(const JavaFlowIdentity& identity) : protocol(identity.protocol) {
  const uint64_t a = uint64_t{identity.source} << 16 | identity.source_port;
  const uint64_t b = uint64_t{identity.destination} << 16 | identity.destination_port;
  low = std::min(a, b);
  high = std::max(a, b);
}

JavaFlows::JavaFlows(uint32_t max_flows, OutputFile output)
    : output_(std::move(output)), entries_(max_flows) {
  char* at = output_.at();
  std::memcpy(at, kJavaHeader.data(), kJavaHeader.size());
  at += kJavaHeader.size();
  *at++ = '\n';
  output_.end_header(at);
}

// The order of the rules is the original's.
void JavaFlows::add(const JavaPacket& packet) {
  packets_++;
  const JavaFlowIdentity identity = identity_of(packet);
  const Key key(identity);
  const uint32_t hash = key_hash_(key);
  const uint32_t slot =
      index_.find(hash, [&](uint32_t other) { return Key(entries_[other].flow.identity) == key; });
  if (slot == HashIndex::kNone) return open(identity, packet, hash);

  Entry& entry = entries_[slot];
  JavaFlow& flow = entry.flow;
  if (java_subtract(packet.time_us, flow.start_us) > kFlowTimeoutUs) {
    // The next flow keeps the name and the direction of the old one, whoever sent its first packet.
    const JavaFlowIdentity kept = flow.identity;
    close(slot);
    return open(kept, packet, hash);
  }
  if (packet.tcp_flags & JavaFlow::kFin && flow.is_forward(packet)) {
    if (++flow.forward_fins > 1) {
      repeated_fins_++;
      return;
    }
  } else if (packet.tcp_flags & (JavaFlow::kFin | JavaFlow::kRst)) {
    // One FIN of the responder or any RST: active and idle are not brought up to date.
    add_to(entry, packet);
    close(slot);
    return;
  }
  flow.update_activity(packet.time_us);
  add_to(entry, packet);
}

void JavaFlows::add_to(Entry& entry, const JavaPacket& packet) {
  entry.flow.add(packet);
  open_packets_++;
}

void JavaFlows::open(const JavaFlowIdentity& identity, const JavaPacket& packet, uint32_t hash) {
  uint32_t slot = entries_.take();
  if (slot == SlotPool<Entry>::kNone) {
    make_room();
    slot = entries_.take();
  }
  char name[kMaxJavaFlowId];
  const uint32_t map_hash =
      java_map_hash({name, static_cast<size_t>(put_java_flow_id(name, identity) - name)});
  new (&entries_[slot]) Entry{JavaFlow(identity, packet), ++inserted_, map_hash, hash};
  index_.insert(hash, slot);
  map_.inserted(map_hash);
  open_packets_++;
}

// Removes a flow from the table. FlowGenerator writes flows of more than one packet.
void JavaFlows::close(uint32_t slot) {
  Entry& entry = entries_[slot];
  const auto packets = static_cast<uint64_t>(entry.flow.packets());
  if (packets > 1) {
    output_.end_row(put_java_row(output_.at(), entry.flow));
    rows_++;
    packets_in_rows_ += packets;
  } else {
    single_packets_++;
  }
  open_packets_ -= packets;
  index_.erase(entry.hash, slot);
  map_.erased(entry.map_hash);
  entry.inserted = 0;
  entries_.give_back(slot);
}

void JavaFlows::make_room() {
  constexpr uint32_t kSampled = 16;
  uint32_t oldest = hand_ % entries_.used();
  for (uint32_t i = 0; i < kSampled; i++, hand_++) {
    const uint32_t slot = hand_ % entries_.used();
    if (entries_[slot].flow.last_us < entries_[oldest].flow.last_us) oldest = slot;
  }
  forced_out_++;
  close(oldest);
}

// FlowGenerator.dumpLabeledCurrentFlow: the order of its HashMap.
void JavaFlows::end_capture() {
  struct Left {
    size_t bucket;
    uint64_t inserted;
    uint32_t slot;
  };
  std::vector<Left> left;
  left.reserve(entries_.in_use());
  for (uint32_t slot = 0; slot < entries_.used(); slot++) {
    const Entry& entry = entries_[slot];
    if (entry.inserted) left.push_back({map_.bucket(entry.map_hash), entry.inserted, slot});
  }
  std::sort(left.begin(), left.end(), [](const Left& a, const Left& b) {
    return std::pair(a.bucket, a.inserted) < std::pair(b.bucket, b.inserted);
  });
  for (const Left& flow : left) close(flow.slot);
  map_ = JavaMapOrder();
}

}  // namespace flowmeter
