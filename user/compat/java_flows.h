// SPDX-License-Identifier: BSD-3-Clause
// From packets to flows to rows, by the rules of the Java CICFlowMeter (its class FlowGenerator):
// which flow a packet belongs to, what ends it, and the order of the rows. Packets come from a
// capture or a live run, through JavaDissector.
//
// Bounded: at most max_flows flows of some 700 bytes. If there is no room for another one, the flow
// that was silent for longest among 16 is written early and counted. The original has no limit.
#pragma once

#include <cstdint>

#include "base/slot_pool.h"
#include "compat/java_flow.h"
#include "compat/java_map_order.h"
#include "flows/hash_index.h"
#include "flows/key_hash.h"
#include "output/output_file.h"

namespace flowmeter {

class JavaFlows {
 public:
  // output: room for kMaxJavaRow.
  JavaFlows(uint32_t max_flows, OutputFile output);

  // FlowGenerator.addPacket()
  void add(const JavaPacket& packet);
  // The end of a capture: writes the open flows in the original's order, and removes all flows.
  void end_capture();

  OutputFile& output() { return output_; }
  const OutputFile& output() const { return output_; }

  uint64_t packets() const { return packets_; }
  uint64_t rows() const { return rows_; }
  uint64_t packets_in_rows() const { return packets_in_rows_; }
  // Flows of one packet, which are never written.
  uint64_t single_packets() const { return single_packets_; }
  uint64_t repeated_fins() const { return repeated_fins_; }
  uint64_t forced_out() const { return forced_out_; }
  uint64_t open_packets() const { return open_packets_; }
  uint32_t open_flows() const { return entries_.in_use(); }

 private:
  // Both directions of a flow have the same key. It has the size that KeyHash expects.
  struct Key {
    uint64_t low = 0, high = 0;  // address and port of each end
    uint64_t protocol = 0;
    uint64_t unused[2] = {};

    explicit Key(const JavaFlowIdentity& identity);
    bool operator==(const Key& other) const {
      return low == other.low && high == other.high && protocol == other.protocol;
    }
  };
  struct Entry {
    JavaFlow flow;
    uint64_t inserted;  // in the map, counted from 1; 0: the slot is free
    uint32_t map_hash;
    uint32_t hash;
  };

  void open(const JavaFlowIdentity& identity, const JavaPacket& packet, uint32_t hash);
  void add_to(Entry& entry, const JavaPacket& packet);
  void close(uint32_t slot);
  void make_room();

  OutputFile output_;
  KeyHash key_hash_;
  HashIndex index_;
  SlotPool<Entry> entries_;
  JavaMapOrder map_;
  uint64_t inserted_ = 0;
  uint32_t hand_ = 0;  // of make_room
  uint64_t packets_ = 0, open_packets_ = 0;
  uint64_t rows_ = 0, packets_in_rows_ = 0;
  uint64_t single_packets_ = 0, repeated_fins_ = 0, forced_out_ = 0;
};

}  // namespace flowmeter
