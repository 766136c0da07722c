// SPDX-License-Identifier: BSD-3-Clause
// Reads HTTP/1.x, TLS and DNS in the payload of all flows, as counts and most common values.
//
// The head of each TCP direction, its first 8 payload segments and at most 8192 bytes, is read in
// stream order. A later segment is read only if its start looks like that of a message, and then by
// itself. All datagrams on port 53 are read. The caller passes every TCP packet with payload or SYN
// (from a capture), or those that the kernel chose by the same rule (live), in order of arrival.
//
// Payload is parsed on arrival, in the packet if possible. Only unfinished messages and segments
// that arrived too early are kept: at most 16 KiB per flow and 64 MiB in total. Above that, the
// oldest heads are given up. Not thread-safe. Only keeping payload allocates memory, and nothing
// throws.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "application/application_summary.h"
#include "application/head_pool.h"
#include "application/message_counts.h"
#include "application/tls.h"
#include "base/slot_pool.h"
#include "base/value_bytes.h"
#include "flowmeter/application.h"

namespace flowmeter {

// The payload of a TCP segment or UDP datagram.
struct Payload {
  uint8_t direction;               // 0 forward, 1 backward of the flow
  uint32_t sequence;               // of the TCP segment; a SYN's own number
  uint32_t length;                 // on the wire, by the headers
  bool syn;                        // TCP flag
  std::span<const uint8_t> bytes;  // the captured part: may be shorter than length, or empty
};

// The state that each flow keeps for the layer. Starts as {}, and must not move until it is
// released.
struct alignas(64) ApplicationFlow {
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint16_t kNowhere = UINT16_MAX;
  enum Flag : uint8_t {
    kOriginKnown = 1,  // a SYN was seen
    kTlsBegun = 2,     // the direction's one walk has started
    kTlsWalking = 4,   // that walk is in the head and continues
    kDnsStopped = 8,   // malformed
    kClosed = 16,
    kPort53 = 32,
    // These two belong to the flow; they are kept with direction 0.
    kUnknown = 64,
    kSettled = 128,  // both heads are closed, and everything that depends on them is decided
  };

  std::array<uint32_t, 2> origin;
  std::array<uint16_t, 2> end;  // offset up to which the stream has no hole
  std::array<uint8_t, 2> segments;
  std::array<uint8_t, 2> flags;
  uint32_t packets;  // added so far
  uint32_t details = kNone;
  uint32_t dns = kNone;
  // Where each of the first segments started; kNowhere if outside of the head.
  std::array<std::array<uint16_t, FM_HEAD_SEGMENTS>, 2> begins;
};
static_assert(sizeof(ApplicationFlow) == 64, "a cache line for flows with nothing of interest");

class ApplicationLayer {
 public:
  static constexpr size_t kDefaultHeadBytes = 64u << 20;
  static constexpr size_t kMaxFlowBytes = 16u << 10;  // two whole heads

  struct Statistics {
    uint64_t heads = 0;             // currently open, with payload kept
    uint64_t head_bytes = 0;        // memory of these heads
    uint64_t heads_dropped = 0;     // given up for lack of memory; their flows are unknown
    uint64_t records_lost = 0;      // lost() was called
    uint64_t malformed_hellos = 0;  // TLS hellos whose lengths do not fit
    uint64_t malformed_dns = 0;     // payload on port 53 that is not DNS
  };

  // max_flows: how many flows may be open at a time. Throws std::bad_alloc if there is no address
  // space.
  explicit ApplicationLayer(uint32_t max_flows, size_t max_head_bytes = kDefaultHeadBytes);
  ~ApplicationLayer();

  // A TCP packet with payload or SYN. port_53: on either side.
  void tcp(ApplicationFlow& flow, bool port_53, const Payload& payload) noexcept {
    const bool closed = (flow.flags[payload.direction & 1] & kClosed) != 0;
    if (payload.length == 0 ? !closed && payload.syn : !closed || starts(payload.bytes, port_53))
      add_segment(flow, port_53, payload);
  }
  // A UDP datagram with port 53 on either side.
  void udp(ApplicationFlow& flow, const Payload& payload) noexcept;
  // Prefetches what the flow's next packet needs besides ApplicationFlow. (Always inlined: gcc
  // removes calls to functions that only prefetch.)
  [[gnu::always_inline]] void prefetch(const ApplicationFlow& flow) const {
    if (flow.dns != kNone) __builtin_prefetch(&dns_[flow.dns], 1);
  }
  // Notes that a packet that might have mattered was lost on its way here.
  void lost(ApplicationFlow& flow) noexcept;

  // Closes the heads and returns the flow's summary, which is valid until the next call. Nothing
  // may be added afterwards.
  const ApplicationSummary& finish(ApplicationFlow& flow) noexcept;
  // Frees the memory kept for the flow, which may then start again.
  void release(ApplicationFlow& flow) noexcept;

  // Appends all that is kept for the flow.
  void save(const ApplicationFlow& flow, ValueBytes& to) const;
  // Reads that again, for a flow that starts as {}. False if it is incomplete; then the flow can
  // only be released. Heads are as old as they were once restored() was called after the last flow.
  bool restore(ApplicationFlow& flow, ValueReader& from);
  void restored() { heads_.sort_by_age(); }
  // A number for the layout of what is saved.
  static uint64_t layout();

  Statistics statistics() const;

 private:
  using Flow = ApplicationFlow;
  using enum ApplicationFlow::Flag;
  static constexpr uint32_t kNone = Flow::kNone;
  static bool starts(Bytes bytes, bool port_53);

  struct Details {
    std::array<uint32_t, 2> http{kNone, kNone};  // [direction that sends the requests]
    std::array<uint32_t, 2> head{kNone, kNone};
    std::array<TlsWalk, 2> walk;
    TlsOfFlow tls;
  };

  // One segment on its way through the parsers.
  struct Place {
    Flow& flow;
    unsigned direction;
  };
  class Messages;

  // The record in this slot, made when it is first needed. These pools have a slot for every flow.
  template <typename Record>
  static Record& made(SlotPool<Record>& pool, uint32_t& slot) {
    if (slot == kNone) {
      slot = pool.take();
      pool[slot] = {};
    }
    return pool[slot];
  }
  Details& details_of(Flow& flow) { return made(details_, flow.details); }
  DnsCounts& dns_of(Flow& flow) { return made(dns_, flow.dns); }
  StreamHead* head_of(const Flow& flow, unsigned direction);
  void set_unknown(Flow& flow) { flow.flags[0] |= kUnknown; }

  void add_segment(Flow& flow, bool port_53, const Payload& payload);
  void add_to_head(Place place, uint32_t offset, Bytes bytes);
  void add_in_order(Place place, uint32_t offset, Bytes bytes, bool new_begin);
  void push_begins(Place place, uint32_t from, uint32_t to, Candidates* candidates);
  uint32_t parse(Place place, Bytes bytes, uint32_t base, Candidates& candidates, Extent extent);
  Verdict judge(Place place, Bytes bytes, const Candidate& candidate, Extent extent);
  void judge_copy(Place place, Bytes bytes, const Candidate& candidate);
  void walk_dns(Place place, Bytes bytes, uint32_t base);
  void look_at_start(Place place, uint32_t sequence, Bytes bytes, uint64_t order);
  void count_http(Place place, const HttpMessage& message, uint32_t sequence, uint64_t order,
                  uint8_t segment);
  void close_head(Flow& flow, unsigned direction);
  void settle(Flow& flow);
  void free_suites(Flow& flow);
  unsigned requester(const Details& details) const;

  StreamHead* open_head(Place place, uint32_t base);
  bool keep(Place place, uint32_t offset, Bytes bytes, uint32_t* end);
  void free_head(Flow& flow, unsigned direction);
  void drop_head(Flow& flow, unsigned direction);
  bool restore_details(Flow& flow, ValueReader& from);

  SlotPool<Details> details_;
  SlotPool<HttpCounts> http_;
  SlotPool<DnsCounts> dns_;
  HeadPool heads_;
  Statistics statistics_;  // without those that heads_ keeps
  ApplicationSummary summary_{};
};

}  // namespace flowmeter
