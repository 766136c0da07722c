/* SPDX-License-Identifier: BSD-3-Clause */
/* What crosses the border between the kernel and the daemon: map values, ring-buffer records, close
 * requests.
 *
 * Order is what makes it simple. All records of a flow are put into the one ring buffer under the
 * lock of its map entry, so the daemon meets them in the order in which the counters changed:
 * FM_RECORD_OPEN (with the first packet), FM_RECORD_PACKET ..., FM_RECORD_CLOSED (with the final
 * counters). A flow is named by its id, which is never used again; its key comes with the first
 * record. */
#ifndef FLOWMETER_ABI_H
#define FLOWMETER_ABI_H

#include "flowmeter/flow.h"

enum fm_record_type {
  FM_RECORD_PACKET = 0, /* struct fm_packet_record */
  FM_RECORD_OPEN =
      1, /* struct fm_open_record: the first packet of a flow that the daemon is told of */
  FM_RECORD_CLOSED = 2,    /* struct fm_closed_record: the flow has ended */
  FM_RECORD_UNCOUNTED = 3, /* struct fm_open_record without id: its map entry could not be had */
};

enum fm_record_bits {
  FM_RECORD_TYPE_MASK = 0x0f,
  FM_RECORD_DIRECTION = 0x10, /* sent by end 1 of the key */
  FM_RECORD_TCP_HEADER = 0x20,
};

/* One packet: what counters and timing need of it. */
struct fm_packet_record {
  __u64 time_ns;
  __u64 flow_id;
  __u32 wire_length;
  __u32 payload_bytes;
  __u16 header_bytes;
  __u16 window;
  __u16 segment_bytes; /* payload of a segment where the skb holds several; 0: one packet */
  __u8 flags;
  __u8 what; /* enum fm_record_type and bits */
};
FM_STATIC_ASSERT(sizeof(struct fm_packet_record) == 32, "one a packet: two share a cache line");

struct fm_open_record {
  struct fm_packet_record packet;
  struct fm_flow_key key;
  __u32 ifindex;
  struct fm_inheritance inherited;
  __u8 hook; /* enum fm_hook */
};
FM_STATIC_ASSERT(sizeof(struct fm_open_record) == 80, "no hidden padding");

struct fm_closed_record {
  struct fm_packet_record head; /* flow_id and what only */
  struct fm_flow_key key;
  __u64 events_lost; /* packets (buffers) in counters for which the ring had no room */
  __u8 announced;    /* the daemon was told of the flow before */
  __u8 end;          /* enum fm_end; FM_END_EVICTED: the map has no such flow, counters are zero */
  __u8 zero[6];
  struct fm_flow_counters counters;
};
FM_STATIC_ASSERT(sizeof(struct fm_closed_record) == 32 + 40 + 16 + sizeof(struct fm_flow_counters),
                 "no hidden padding");

/* Value of the flow map. */
struct fm_map_entry {
  __u64 lock; /* flow id << 1 | held: one compare-and-swap takes the lock and proves whose entry it
                 is */
  struct fm_flow_key
      key; /* the map's memory is reused at once: a stale pointer sees another key here */
  __u64 events_lost;
  __u32 ifindex; /* where the flow's first packet was met */
  __u8 hook;
  __u8 announced; /* the daemon has got an FM_RECORD_OPEN */
  __u8 zero[2];
  struct fm_flow_counters counters;
};
FM_STATIC_ASSERT(sizeof(struct fm_map_entry) == 64 + sizeof(struct fm_flow_counters),
                 "map value: no hidden padding");

/* Asks the kernel to end one flow if it is idle by now, or at once. */
struct fm_close_request {
  struct fm_flow_key key;
  __u64 flow_id;
  __u64 force; /* enum fm_end to end it with, plus one; 0: only if it is idle */
};

/* Requests that one run of the closing program takes, as the octets of its packet. */
#define FM_CLOSE_BATCH 32

enum fm_hook { FM_HOOK_INGRESS = 0, FM_HOOK_EGRESS = 1, FM_HOOK_COUNT };

/* Per-CPU counters; sums over CPUs are exact once the programs are detached. */
struct fm_cpu_counters {
  __u64 seen[FM_HOOK_COUNT];
  __u64 by_reason[FM_HOOK_COUNT][FM_REASON_COUNT];
  __u64 next_flow;        /* sequence of flow ids of this CPU */
  __u64 entries_inserted; /* into the flow map */
  __u64 entries_deleted; /* by the closing program; the difference to those present are evictions */
  __u64 events_lost;     /* packets counted, but without a record: the ring was full */
  __u64 uncounted;       /* packets sent as FM_RECORD_UNCOUNTED */
  __u64 handover_flows;  /* flows whose final counters found no room in the ring */
  __u64 handover_packets; /* their packets */
};

/* Flow ids are unique over CPUs: sequence * FM_CPUS_MAX + CPU. */
#define FM_CPUS_MAX 8192

FM_INLINE void fm_packet_to_record(struct fm_packet_record* r, const struct fm_packet* p,
                                   __u64 flow_id, __u8 type) {
  r->time_ns = p->time_ns;
  r->flow_id = flow_id;
  r->wire_length = p->wire_length;
  r->payload_bytes = p->payload_bytes;
  r->header_bytes = p->header_bytes;
  r->window = p->window;
  r->segment_bytes = p->segment_bytes;
  r->flags = p->flags;
  r->what = (__u8)(type | (p->direction ? FM_RECORD_DIRECTION : 0) |
                   (p->has_tcp_header ? FM_RECORD_TCP_HEADER : 0));
}

/* All but the key. */
FM_INLINE void fm_packet_from_record(struct fm_packet* p, const struct fm_packet_record* r) {
  p->time_ns = r->time_ns;
  p->wire_length = r->wire_length;
  p->payload_bytes = r->payload_bytes;
  p->header_bytes = r->header_bytes;
  p->window = r->window;
  p->segment_bytes = r->segment_bytes;
  p->flags = r->flags;
  p->direction = (r->what & FM_RECORD_DIRECTION) != 0;
  p->has_tcp_header = (r->what & FM_RECORD_TCP_HEADER) != 0;
}

#endif
