// SPDX-License-Identifier: BSD-3-Clause
// HTTP/1.x, TLS and DNS of all flows: what their payload says, as counts and most common values.
//
// Of a TCP direction the head is followed in stream order: its first 8 payload segments, at most
// 8192 octets. Of later segments only those that begin like a message are looked at, each by
// itself; of port-53 datagrams each one. The caller gives every TCP packet with payload or SYN (a
// capture), or those that the kernel chose by the same rule (live), in the order of their arrival.
//
// Octets are parsed as they come, in the packet if possible; kept are only those of an unfinished
// message and those that came too early: at most 16 KiB a flow, 64 MiB for all, beyond which the
// oldest are given up. Not thread-safe; allocates only to keep octets, and nothing throws.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "application/application_summary.h"
#include "application/dns.h"
#include "application/http.h"
#include "application/stream_head.h"
#include "application/tally.h"
#include "application/tls.h"
#include "base/slot_pool.h"
#include "flowmeter/application.h"

namespace flowmeter {

constexpr unsigned kHeadSegments = FM_HEAD_SEGMENTS;
constexpr unsigned kHeadOctets = FM_HEAD_OCTETS;
constexpr unsigned kStartOctets = FM_START_OCTETS;
constexpr unsigned kDatagramOctets = FM_DATAGRAM_OCTETS;

// The payload of a TCP segment or UDP datagram.
struct Payload {
  uint8_t direction;                // 0 forward, 1 backward of the flow
  uint32_t sequence;                // of the TCP segment; a SYN's own number
  uint32_t length;                  // octets on the wire, by the headers
  bool syn;                         // TCP flag
  std::span<const uint8_t> octets;  // those at hand: fewer than length where cut, or none
};

// What each flow keeps for the layer: begins as {}, and stays where it is until released.
struct alignas(64) ApplicationFlow {
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint16_t kNowhere = UINT16_MAX;
  enum Flag : uint8_t {
    kOriginKnown = 1,  // a SYN was seen
    kTlsBegun = 2,     // the one walk of the direction
    kTlsWalking = 4,   // that walk is in the head and goes on
    kDnsStopped = 8,   // malformed
    kClosed = 16,
    kPort53 = 32,
    // Of the flow, kept with direction 0:
    kUnknown = 64,
    kSettled = 128,  // both heads are closed, and what they might have decided is decided
  };

  std::array<uint32_t, 2> origin;
  std::array<uint16_t, 2> end;  // of the stream without a hole, offset
  std::array<uint8_t, 2> segments;
  std::array<uint8_t, 2> flags;
  uint32_t packets;  // given so far
  uint32_t details = kNone;
  uint32_t dns = kNone;
  // Where the segments of the head began; kNowhere outside of it.
  std::array<std::array<uint16_t, kHeadSegments>, 2> begins;
};
static_assert(sizeof(ApplicationFlow) == 64, "a cache line for flows with nothing of interest");

class ApplicationLayer {
 public:
  static constexpr size_t kDefaultHeadBytes = 64u << 20;
  static constexpr size_t kMaxFlowOctets = 16u << 10;  // two whole heads

  struct Statistics {
    uint64_t heads = 0;             // that keep octets now
    uint64_t head_bytes = 0;        // kept by them
    uint64_t heads_dropped = 0;     // given up for want of memory; their flows are unknown
    uint64_t records_lost = 0;      // lost() was called
    uint64_t malformed_hellos = 0;  // TLS hellos whose lengths do not fit
    uint64_t malformed_dns = 0;     // messages on port 53 that are none
  };

  // max_flows: that have something to tell at a time. Throws std::bad_alloc if the address space is
  // not to be had.
  explicit ApplicationLayer(uint32_t max_flows, size_t max_head_bytes = kDefaultHeadBytes);
  ~ApplicationLayer();
  ApplicationLayer(const ApplicationLayer&) = delete;
  ApplicationLayer& operator=(const ApplicationLayer&) = delete;

  // A TCP packet with payload or SYN. port_53: on either side. later: the caller knows that this is
  // behind the first 8 payload segments of its direction, though not all of these were given.
  void tcp(ApplicationFlow& flow, bool port_53, const Payload& payload,
           bool later = false) noexcept {
    const bool closed = (flow.flags[payload.direction & 1] & kClosed) != 0;
    if (payload.length == 0 ? !closed && payload.syn : !closed || starts(payload.octets, port_53))
      add_segment(flow, port_53, payload, later);
  }
  // A UDP datagram with port 53 on either side.
  void udp(ApplicationFlow& flow, const Payload& payload) noexcept;
  // Asks for the memory that the next packet of the flow needs besides. (Inlined always: gcc
  // removes calls of what only prefetches.)
  [[gnu::always_inline]] void prefetch(const ApplicationFlow& flow) const {
    if (flow.dns != kNone) __builtin_prefetch(&dns_[flow.dns], 1);
  }
  // A packet that might have mattered was lost on its way here.
  void lost(ApplicationFlow& flow) noexcept;

  // Ends the heads and returns what the flow had; valid until the next call. Nothing may be added
  // afterwards.
  const ApplicationSummary& finish(ApplicationFlow& flow) noexcept;
  // Gives back what the flow has. It may begin anew.
  void release(ApplicationFlow& flow) noexcept;

  const Statistics& statistics() const { return statistics_; }

 private:
  using Flow = ApplicationFlow;
  using enum ApplicationFlow::Flag;
  static constexpr uint32_t kNone = Flow::kNone;
  static bool starts(Octets octets, bool port_53);

  // The last message starts of a direction, for the copies of them: where they began, and how many
  // octets from there on may not begin another.
  struct Starts {
    std::array<uint32_t, 8> sequence;
    std::array<uint16_t, 8> octets;
    uint8_t used;
    uint8_t next;
    bool covers(uint32_t number) const;
    void add(uint32_t number, uint16_t length);
  };

  // HTTP under the assumption that one certain direction sends the requests. Which one does is
  // settled by the first message that counts, and that may be known only when the heads close.
  struct Http {
    uint64_t first;  // order of the first message
    uint64_t requests, responses, content_length;
    Tally<HttpMethod, 8> methods;
    Tally<uint16_t, 8> codes;
    std::array<Starts, 2> starts;  // with their headers
  };

  struct alignas(64) Dns {
    uint64_t queries, responses;
    Tally<uint16_t, 16> types;  // of queries, or of responses while there is no query
    Tally<uint8_t, 16> rcodes;
    std::array<uint32_t, 2> next;  // TCP: offset of the next message in the head
    std::array<Starts, 2> later;
  };

  struct Tls {
    uint64_t messages;
    uint16_t* suites;  // of the first ClientHello, ascending, as long as a ServerHello may come
    uint16_t suite_count;
    uint16_t client_version, client_extensions;
    uint16_t server_version, server_extensions, server_suite;  // of the last ServerHello
    bool client, server;
    bool agreed;  // for when suites were given up: the last ServerHello's was among them
  };

  struct Details {
    std::array<uint32_t, 2> http;  // by the direction that sends the requests
    std::array<uint32_t, 2> head;
    std::array<TlsWalk, 2> walk;
    std::array<Tls, 2> tls;
  };

  // One segment on its way through the parsers.
  struct Place {
    Flow& flow;
    unsigned direction;
  };
  class Messages;

  Details* details_of(Flow& flow);
  Http* http_of(Flow& flow, unsigned requester);
  Dns* dns_of(Flow& flow);
  StreamHead* head_of(const Flow& flow, unsigned direction);
  void set_unknown(Flow& flow) { flow.flags[0] |= kUnknown; }

  void add_segment(Flow& flow, bool port_53, const Payload& payload, bool later);
  void add_to_head(Place place, uint32_t offset, Octets octets);
  void add_in_order(Place place, uint32_t offset, Octets octets, bool new_begin);
  void push_begins(Place place, uint32_t from, uint32_t to, Candidates* candidates);
  uint32_t parse(Place place, Octets octets, uint32_t base, Candidates& candidates, bool all);
  Verdict judge(Place place, Octets octets, const Candidate& candidate, bool all);
  void judge_copy(Place place, Octets octets, const Candidate& candidate);
  void walk_dns(Place place, Octets octets, uint32_t base);
  void look_at_start(Place place, uint32_t sequence, Octets octets, uint64_t order);
  void count_http(Place place, const HttpMessage& message, uint32_t sequence, uint64_t order,
                  uint8_t segment);
  void count_dns(Dns& dns, const DnsMessage& message);
  void count_hello(Place place, bool from_client, Octets body);
  void close_head(Flow& flow, unsigned direction);
  void settle(Flow& flow);
  void free_suites(Flow& flow);
  unsigned requester(const Details& details) const;
  static bool has_suite(const Tls& tls, uint16_t suite);

  StreamHead* open_head(Place place, uint32_t base);
  bool keep(Place place, uint32_t offset, Octets octets, uint32_t* end);
  void free_head(Flow& flow, unsigned direction);
  void drop_head(Flow& flow, unsigned direction);

  SlotPool<Details> details_;
  SlotPool<Http> http_;
  SlotPool<Dns> dns_;
  SlotPool<StreamHead> heads_;
  const size_t max_head_bytes_;
  uint32_t oldest_head_ = kNone, newest_head_ = kNone;
  Statistics statistics_;
  ApplicationSummary summary_{};
};

}  // namespace flowmeter
