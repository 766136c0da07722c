// SPDX-License-Identifier: BSD-3-Clause
// A flow of nqmn/cicflowmeter 0.4.1: the list of its packets. As in the original, all cells are
// computed from that list when the row is written, because sums of floats in list order do not
// allow running totals. The packets are in chunks of a bounded pool, 16 bytes each.
#pragma once

#include <cstdint>

#include "base/slot_pool.h"
#include "compat/python_packet.h"

namespace flowmeter {

// One packet of a flow.
struct PythonListed {
  int64_t time_us;
  uint16_t length;
  uint16_t payload;
  uint16_t window;
  uint8_t flags;
  uint8_t ihl : 4;
  uint8_t reverse : 1;
  uint8_t tcp : 1;
};
static_assert(sizeof(PythonListed) == 16, "memory of a packet, as docs/compat.md says it");

struct alignas(64) PythonChunk {
  static constexpr uint32_t kPackets = 7;
  PythonListed packets[kPackets];
  uint32_t next;  // of the same flow; only the last chunk of a flow may have room
};
static_assert(sizeof(PythonChunk) == 128, "two cache lines");
using PythonChunks = SlotPool<PythonChunk>;

struct alignas(64) PythonFlow {
  // Key and number identify it in the table; the key also has the addresses and ports of its row. A
  // flow that starts with a reverse packet has the key of the previous flow, and so keeps its
  // direction.
  PythonPacket::Key key;
  uint32_t number;
  uint32_t packets;
  int64_t start_us;
  int64_t latest_us;  // the latest time so far
  uint32_t first_chunk, last_chunk;
  uint8_t protocol;  // of the first packet
  bool is_long;      // is in the list for the next collection
  // Packets do not touch the members below.
  uint32_t hash;
  uint64_t order;           // of insertion into the table
  uint32_t previous, next;  // in that order
};

}  // namespace flowmeter
