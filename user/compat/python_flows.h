// SPDX-License-Identifier: BSD-3-Clause
// From packets to flows to rows, by the rules of nqmn/cicflowmeter 0.4.1 (flow_session.py). Packets
// come from a capture or a live run, through PythonDissector.
//
// The original keeps a dict of flows and searches all of it in each collection. Here an index finds
// flows, a list has them in the dict's order, and a heap of due times and a list of long flows say
// which ones a collection removes. So the cost of a collection is proportional to the number of
// removed flows. The rows and their order are the same.
//
// Bounded: at most max_flows flows, and packets of kChunksPerFlow chunks for each on average. If
// either runs out, the flow that has been in the table for longest is written early and counted.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "compat/python_flow.h"
#include "compat/python_row.h"
#include "flows/hash_index.h"
#include "flows/key_hash.h"
#include "output/output_file.h"

namespace flowmeter {

class PythonFlows {
 public:
  static constexpr uint32_t kChunksPerFlow = 5;

  PythonFlows(uint32_t max_flows, PythonRow row, OutputFile output);

  // Adds the packet to its flow, now or by a later call.
  void add(const PythonPacket& packet);
  // Adds the packets that are still pending, so that the counts agree.
  void settle();
  // The end of the input: writes all flows. Fails if the output could not take all rows.
  Status finish();

  bool output_failed() const { return output_.failed(); }
  OutputAccount output_account() const { return output_.account(); }
  Status flush();

  uint64_t packets_taken() const { return taken_; }
  uint64_t rows() const { return rows_; }
  uint64_t packets_in_rows() const { return packets_in_rows_; }
  // The number of rows at which the original fails.
  uint64_t rows_left_out() const { return rows_left_out_; }
  uint64_t packets_left_out() const { return packets_left_out_; }
  uint64_t forced_out() const { return forced_out_; }
  uint64_t rows_buffered() const { return output_.rows_buffered(); }
  uint32_t flows() const { return flows_.in_use(); }

 private:
  static constexpr uint32_t kNone = PythonChunks::kNone;

  // As in replay.h: a packet's steps are some packets apart, and each prefetches the memory that
  // the next one needs.
  static constexpr uint64_t kFlowDelay = 8, kChunkDelay = 8, kAddDelay = 8;
  static constexpr size_t kRing = 32;
  static_assert(kFlowDelay + kChunkDelay + kAddDelay < kRing);
  void advance(uint64_t flow_delay, uint64_t chunk_delay, uint64_t add_delay);
  void process(const PythonPacket& packet, uint32_t key_hash);

  uint32_t hash(const PythonPacket::Key& key, uint32_t number) const;
  uint32_t find(const PythonPacket::Key& key, uint32_t number, uint32_t hash) const;
  uint32_t make(const PythonPacket& packet, const PythonPacket::Key& key, uint32_t number,
                uint32_t hash);
  void append(PythonFlow& flow, const PythonPacket& packet, bool reverse);
  void collect(int64_t time_us);
  void write(const PythonFlow& flow);
  void close(uint32_t slot);
  void make_room();

  // A flow is due when a collection's time is at least this. A flow that has received packets since
  // then gets a new entry. An entry whose order differs from the flow's belongs to a flow that has
  // ended.
  struct Due {
    int64_t time_us;
    uint64_t order;
    uint32_t slot;
  };
  struct Later {
    bool operator()(const Due& a, const Due& b) const { return a.time_us > b.time_us; }
  };
  bool is_gone(const Due& due) const;
  void push_due(uint32_t slot);

  std::array<PythonPacket, kRing> packets_;
  std::array<uint32_t, kRing> hashes_;
  std::array<uint32_t, kRing> guesses_;
  uint64_t came_ = 0, found_ = 0, asked_ = 0;  // the number of packets that have done these steps

  PythonRow row_;
  OutputFile output_;
  KeyHash key_hash_;
  HashIndex index_;
  SlotPool<PythonFlow> flows_;
  PythonChunks chunks_;
  uint32_t oldest_ = kNone, newest_ = kNone;  // ends of the table's order
  uint64_t inserted_ = 0;
  std::vector<Due> due_;  // heap
  std::vector<Due> long_flows_, taken_out_;
  uint64_t taken_ = 0;
  uint64_t rows_ = 0, packets_in_rows_ = 0;
  uint64_t rows_left_out_ = 0, packets_left_out_ = 0;
  uint64_t forced_out_ = 0;
};

}  // namespace flowmeter
