/* SPDX-License-Identifier: BSD-3-Clause */
/* The data that the kernel and the daemon exchange: map values, records of the event streams, close
 * requests.
 *
 * Every CPU has a stream of its own, and there is one for the answers to close requests. The
 * records of a stream are in the order of their times, and all records of a flow are stamped and
 * written under the lock of its map entry. So a merge of the streams by time gives the daemon each
 * flow's records in the order in which its counters changed: FM_RECORD_OPEN (with the first
 * packet), FM_RECORD_PACKET ..., FM_RECORD_CLOSED (with the final counters). A flow is identified
 * by its id, which is never used again; its key is in the first record. */
#ifndef FLOWMETER_ABI_H
#define FLOWMETER_ABI_H

#include "flowmeter/application.h"
#include "flowmeter/flow.h"
#include "flowmeter/packet_class.h"

/* Increased when the meaning of data in the maps changes, but no size does.
 *
 * Another version reads the maps by the names of structs and members (user/kernel/struct_copy.h).
 * So a member whose meaning changes gets another name, and numbers (of record types, end reasons,
 * packet classes, hooks) are never used again for something else: new ones are appended. */
#define FM_ABI_VERSION 9

enum fm_record_type {
  FM_RECORD_PACKET = 0,    /* struct fm_packet_record */
  FM_RECORD_OPEN = 1,      /* struct fm_open_record: announces the flow, with a packet */
  FM_RECORD_UNCOUNTED = 2, /* struct fm_open_record without id: there is no map entry */
  FM_RECORD_CLOSED = 3,    /* struct fm_state_record: the flow has ended */
  FM_RECORD_STATE = 4,     /* struct fm_state_record: the flow continues */
  FM_RECORD_OPEN_NEW = 5,  /* like FM_RECORD_OPEN; the map had no entry for this key */
  FM_RECORD_PAYLOAD = 6,   /* struct fm_payload_record: payload of a packet of this flow */
  FM_RECORD_OWNER = 7,     /* struct fm_owner_record: who sends the packets of one end */
};

/* Turns an open record into FM_RECORD_OPEN_NEW. */
#define FM_RECORD_NEW_ENTRY 0x04
FM_STATIC_ASSERT((FM_RECORD_OPEN | FM_RECORD_NEW_ENTRY) == FM_RECORD_OPEN_NEW, "a bit of the type");

enum fm_record_bits {
  FM_RECORD_TYPE_MASK = 0x07,
  FM_RECORD_DIRECTION = 0x08,             /* sent by end 1 of the key */
  FM_RECORD_TRANSPORT_HEADER_MASK = 0xf0, /* bytes of the transport header, divided by 4 */
};
#define FM_RECORD_TRANSPORT_HEADER_SHIFT 2 /* turns bytes into these bits */

/* The properties of one packet that counters and timing need. This is also the unit of the streams:
 * longer records take several units. */
struct fm_packet_record {
  __u64 time_ns; /* in every type of record: when it was written */
  __u64 flow_id;
  __u32 wire_length : 31;
  __u32 has_shims : 1;
  __u32 payload_bytes;
  __u16 header_bytes;
  __u16 window;
  __u16 segment_bytes; /* payload of a segment where the buffer holds several; 0: one packet */
  __u8 flags;
  __u8 what; /* enum fm_record_type and bits */
};
FM_STATIC_ASSERT(sizeof(struct fm_packet_record) == 32, "two records share a cache line");

struct fm_open_record {
  struct fm_packet_record packet;
  struct fm_flow_key key;
  __u32 ifindex;
  struct fm_inheritance inherited;
  __u8 hook; /* enum fm_hook */
};
FM_STATIC_ASSERT(sizeof(struct fm_open_record) == 80, "no hidden padding");

struct fm_state_record {
  struct fm_packet_record head; /* time_ns, flow_id and what only */
  struct fm_flow_key key;
  __u64 events_lost; /* packets (buffers) in counters for which the stream had no room */
  __u32 ifindex;     /* where the flow's first packet was seen */
  __u8 hook;
  __u8 announced; /* the daemon knew the flow before this record */
  __u8 end; /* enum fm_end_reason; FM_END_EVICTED: the map has no such flow, counters are zero */
  __u8 payload_lost; /* the stream had no room for some of its payload records */
  struct fm_flow_counters counters;
  /* What the kernel keeps besides the counters: timing (datapath "kernel"), sizes (with_sizes),
   * both, or neither. The record ends after them. */
  union {
    struct fm_flow_sizes sizes_only;
    struct {
      struct fm_flow_timing timing;
      struct fm_flow_sizes sizes;
    };
  };
};
FM_STATIC_ASSERT(sizeof(struct fm_state_record) == 32 + 40 + 16 + sizeof(struct fm_flow_counters) +
                                                       sizeof(struct fm_flow_timing) +
                                                       sizeof(struct fm_flow_sizes),
                 "no hidden padding");

/* The size of a state record. */
FM_INLINE __u32 fm_state_size(int with_timing, int with_sizes) {
  if (with_timing && with_sizes) return sizeof(struct fm_state_record);
  if (with_timing) return __builtin_offsetof(struct fm_state_record, sizes);
  const __u32 counters_end = __builtin_offsetof(struct fm_state_record, timing);
  return with_sizes ? counters_end + (__u32)sizeof(struct fm_flow_sizes) : counters_end;
}

/* with_application only: the payload of the packet whose own record came just before, or the notice
 * of a TCP connection's SYN. The first unit has the layout of a packet record. */
struct fm_payload_record {
  __u64 time_ns;
  __u64 flow_id;
  __u32 payload_bytes; /* of the packet */
  __u32 byte_count;    /* how many of these were handed over */
  __u32 sequence;      /* of the TCP segment */
  __u16 segment_bytes; /* as in fm_packet_record */
  __u8 flags;
  __u8 what;
  __u8 bytes[FM_HEAD_BYTES]; /* the record ends with the unit of the last byte */
};
FM_STATIC_ASSERT(sizeof(struct fm_payload_record) == 32 + FM_HEAD_BYTES, "no hidden padding");

/* How the owner of one end of a flow is known. */
enum fm_owner_source {
  FM_OWNER_UNKNOWN = 0,
  FM_OWNER_SOCKET = 1,    /* the socket that has sent a packet */
  FM_OWNER_LISTENER = 2,  /* the same, of a listening socket: the answer to a SYN */
  FM_OWNER_INTERFACE = 3, /* no socket: only the interface through which this end is reached */
};

#define FM_COMM_BYTES 16 /* TASK_COMM_LEN */

/* --attribute only: who owns one end of a flow that was announced. Sent once per end and kind of
 * source, and again after the daemon has asked for the flow's state. */
struct fm_owner_record {
  __u64 time_ns;
  __u64 flow_id;
  __u64 cgroup; /* id in cgroup v2 of the socket; 0 with FM_OWNER_INTERFACE */
  __u32 pid;    /* the process (tgid) that made or last connected the socket; 0: unknown */
  __u8 end;     /* of the key */
  __u8 source;  /* enum fm_owner_source */
  __u8 hook;    /* enum fm_hook that saw this packet */
  __u8 what;
  __u32 ifindex; /* there; 0 if the interface does not lead to this end alone */
  __u32 zero;
  __u8 comm[FM_COMM_BYTES]; /* of that process; zeros: unknown */
  __u64 station;            /* the end's hardware address there; 0: the interface has none */
};
FM_STATIC_ASSERT(sizeof(struct fm_owner_record) == 64, "two units, no hidden padding");

/* --attribute process only: who made, bound or connected a socket, or sent its last datagram. Kept
 * with the socket, so a process that gets the pid later is never taken for it. */
struct fm_socket_owner {
  __u32 pid; /* tgid, as the initial PID namespace numbers it */
  __u8 comm[FM_COMM_BYTES];
};
FM_STATIC_ASSERT(sizeof(struct fm_socket_owner) == 20, "no hidden padding");

#define FM_UNITS(bytes) \
  (((bytes) + sizeof(struct fm_packet_record) - 1) / sizeof(struct fm_packet_record))
#define FM_OPEN_UNITS FM_UNITS(sizeof(struct fm_open_record))
#define FM_OWNER_UNITS FM_UNITS(sizeof(struct fm_owner_record))
#define FM_STATE_UNITS_MAX FM_UNITS(sizeof(struct fm_state_record))
#define FM_PAYLOAD_UNITS_MAX FM_UNITS(sizeof(struct fm_payload_record))

FM_INLINE __u32 fm_payload_units(__u32 byte_count) {
  return 1 + (__u32)FM_UNITS(byte_count);
}

FM_INLINE __u32 fm_state_units(int with_timing, int with_sizes) {
  return (__u32)FM_UNITS(fm_state_size(with_timing, with_sizes));
}

/* Buffers in which a record of several units is assembled. */
union fm_long_record {
  struct fm_open_record open;
  struct fm_state_record state;
  struct fm_owner_record owner;
  struct fm_packet_record units[FM_STATE_UNITS_MAX];
};

union fm_long_payload_record {
  struct fm_payload_record payload;
  struct fm_packet_record units[FM_PAYLOAD_UNITS_MAX];
};

/* The two ends of a stream, as numbers of units since the start; they never wrap. The kernel writes
 * head and the daemon writes the rest, each in a cache line of its own. */
struct fm_stream {
  __u64 head;
  __u64 zero[7];
  __u64 tail;
  __u64 committed[2]; /* where tail is after a commit (struct fm_commit) */
  __u64 zero_too[5];
};

enum fm_hook { FM_HOOK_INGRESS = 0, FM_HOOK_EGRESS = 1, FM_HOOK_COUNT };

/* Value of the flow map.
 *
 * In an element of the hash table, a header (48 bytes) and the key (40 bytes) come before it. The
 * key and everything that each packet touches (up to forward_direction) are in one cache line, and
 * the counters of each direction are in two. The size of an element is a multiple of the cache
 * line. */
struct fm_map_entry {
  __u64 lock; /* flow id << 6 | owners told << 2 | announced << 1 | held: one compare-and-swap takes
                 the lock and proves whose entry it is */
  __u64 tag;  /* fm_key_tag: the map reuses memory at once, so a stale pointer sees another tag */
  struct fm_flow_counters counters;
  __u64 events_lost;
  __u32 ifindex; /* where the flow's first packet was seen */
  __u8 hook;
  __u8 payload_lost; /* the stream had no room for some of its payload records */
  __u8 zero[2];
  __u32 point[2];      /* [end]: the fm_point where its packets are counted; 0: none yet */
  __u32 point_seen[2]; /* [end]: when that point last saw one, in units of FM_POINT_CLOCK_NS */
};
#define FM_LOCK_HELD 1ull
#define FM_LOCK_ANNOUNCED 2ull /* the daemon knows the flow */
/* The daemon was told the owner of this end (--attribute), or the interface that leads to it. */
#define FM_LOCK_SOCKET_TOLD(end) (4ull << (end))
#define FM_LOCK_INTERFACE_TOLD(end) (16ull << (end))
#define FM_LOCK_OWNERS_TOLD 0x3cull
#define FM_LOCK_ID_SHIFT 6
#define FM_ELEMENT_HEAD 48
FM_STATIC_ASSERT((FM_ELEMENT_HEAD + sizeof(struct fm_flow_key) + sizeof(struct fm_map_entry)) %
                         64 ==
                     0,
                 "elements of the map on whole cache lines");
FM_STATIC_ASSERT((FM_ELEMENT_HEAD + sizeof(struct fm_flow_key) +
                  __builtin_offsetof(struct fm_map_entry, counters.direction)) %
                         64 ==
                     0,
                 "directions on whole cache lines");

/* The same if the kernel also keeps the timing (datapath "kernel"). */
struct fm_timed_map_entry {
  struct fm_map_entry entry;
  __u64 zero[4];
  struct fm_flow_timing timing;
  struct fm_flow_sizes sizes; /* with_sizes only; else the map's values end before it */
};
FM_STATIC_ASSERT(sizeof(struct fm_timed_map_entry) % 64 == sizeof(struct fm_map_entry) % 64 &&
                     __builtin_offsetof(struct fm_timed_map_entry, timing.packets) % 64 ==
                         sizeof(struct fm_map_entry) % 64 &&
                     __builtin_offsetof(struct fm_timed_map_entry, sizes) % 64 ==
                         sizeof(struct fm_map_entry) % 64,
                 "elements of the map on whole cache lines");

/* The same if the kernel keeps sizes, but no timing. */
struct fm_sized_map_entry {
  struct fm_map_entry entry;
  struct fm_flow_sizes sizes;
};
FM_STATIC_ASSERT(sizeof(struct fm_sized_map_entry) % 64 == sizeof(struct fm_map_entry) % 64,
                 "elements of the map on whole cache lines");

/* The size of the map's values. */
FM_INLINE __u32 fm_map_value_size(int with_timing, int with_sizes) {
  if (with_timing)
    return with_sizes ? (__u32)sizeof(struct fm_timed_map_entry)
                      : (__u32) __builtin_offsetof(struct fm_timed_map_entry, sizes);
  return with_sizes ? (__u32)sizeof(struct fm_sized_map_entry) : (__u32)sizeof(struct fm_map_entry);
}

/* A packet that passes several metered interfaces is counted at the point where its flow's packets
 * of this direction were first seen. A point is one hook of all interfaces of one rank
 * (user/kernel/interface.h). A packet passes only one of these interfaces, but the packets of a
 * flow may pass different ones. Another point takes over when the first has been silent for longer
 * than a packet can take from one point to the other, because then the path has changed. */
#define FM_POINT_CLOCK_NS 1048576ull
#define FM_POINT_SILENCE 96u /* 0.1 s */

/* Asks the kernel about one flow. */
struct fm_close_request {
  struct fm_flow_key key;
  __u64 flow_id; /* 0: any flow of this key */
  __u64 action;  /* FM_CLOSE_IF_IDLE, FM_REPORT_STATE or fm_close_force(end) */
};
#define FM_CLOSE_IF_IDLE 0ull
#define FM_REPORT_STATE 255ull /* send the flow's state and leave it open */

/* The action that ends a flow, idle or not, for this end reason. */
FM_INLINE __u64 fm_close_force(enum fm_end_reason end) {
  return (__u64)end + 1;
}

/* The end reason of a flow that is closed by this action. */
FM_INLINE enum fm_end_reason fm_close_end(__u64 action) {
  return action == FM_CLOSE_IF_IDLE ? FM_END_IDLE : (enum fm_end_reason)(action - 1);
}

/* The number of requests that one run of the closing program takes, as the bytes of its packet. */
#define FM_CLOSE_BATCH 32

/* An interface that is metered, per CPU. The daemon fills a slot before it attaches and clears it
 * when the programs are gone; a program finds its slot at fm_interface_slot with a probe below
 * FM_INTERFACE_PROBES. */
#define FM_INTERFACE_SLOTS 1024
#define FM_INTERFACE_PROBES 8

/* A multiplicative (Fibonacci) hash, not the index modulo the number of slots. A container host has
 * long-lived interfaces with consecutive indexes. With modulo, later interfaces whose indexes
 * differ from these by a multiple of 1024 would find a whole run of slots taken. */
FM_INLINE __u32 fm_interface_slot(__u32 ifindex, __u32 probe) {
  return ((ifindex * 2654435769u >> 22) + probe) & (FM_INTERFACE_SLOTS - 1);
}
FM_STATIC_ASSERT(FM_INTERFACE_SLOTS == 1u << (32 - 22), "the upper bits number the slots");

struct fm_hook_counters {
  __u64 seen;      /* packets on the wire */
  __u64 buffers;   /* skbs or XDP frames, which the kernel's link counters may count */
  __u64 uncertain; /* of seen: merged by hardware or driver, so their form on the wire is a guess */
  __u64 by_class[FM_PACKET_CLASS_COUNT];
};
struct fm_interface {
  __u32 ifindex;     /* 0: the slot is free */
  __u32 frame_limit; /* a frame longer than this was merged before XDP saw it */
  __u32 merges;      /* the device merges what it receives (LRO) */
  __u32 rank;
  struct fm_hook_counters hook[FM_HOOK_COUNT];
};

FM_INLINE __u32 fm_point(const struct fm_interface* interface, __u8 hook) {
  return (interface->rank + 1) << 1 | hook;
}

/* --attribute only, by the same slots: what the packets of an interface say about their ends.
 * Beside fm_interface, because the daemon may change it while programs count there. */
struct fm_interface_ends {
  __u32 senders_are_local; /* what comes out of it may have the socket that has sent it (veth) */
  __u32 is_one_end;        /* it leads to one end alone, such as a container */
};

/* How much is told of the owners of flows. */
enum fm_attribute { FM_ATTRIBUTE_OFF = 0, FM_ATTRIBUTE_CONTAINER = 1, FM_ATTRIBUTE_PROCESS = 2 };

/* Per-CPU counters of rare events; sums over CPUs are exact once the programs are detached. */
struct fm_cpu_counters {
  __u64 next_flow;        /* sequence of flow ids of this CPU */
  __u64 entries_inserted; /* into the flow map */
  __u64 entries_deleted;  /* by the closing program; all other entries that are gone were evicted */
  __u64 events_lost;      /* packets (buffers) counted, but without a record: the stream was full */
  __u64 payload_lost;     /* payload records for which the stream had no room */
  __u64 uncounted;        /* packets (buffers) sent as FM_RECORD_UNCOUNTED */
  __u64 handover_flows;   /* flows whose final counters found no room in the stream */
  __u64 handover_packets; /* their packets */
};

/* Flow ids are unique over CPUs: sequence * FM_CPUS_MAX + CPU. */
#define FM_CPUS_MAX 8192

/* Random odd multipliers, one set per run. */
struct fm_tag_secret {
  __u64 words[5];
};

/* A universal hash of the key, never 0. The shifts move differences in high bits (IPv6 addresses
 * that differ in their last bytes) down to where the product keeps them. The probability that two
 * keys have the same tag is at most 2^-47. */
FM_INLINE __u64 fm_key_tag(const struct fm_flow_key* key, const struct fm_tag_secret* secret) {
  const fm_word* w = (const fm_word*)key;
  const __u64* k = secret->words;
#define FM_TAG_WORD(i) ((w[i] ^ w[i] >> 32 ^ w[i] >> 48) * k[i])
  return (FM_TAG_WORD(0) + FM_TAG_WORD(1) + FM_TAG_WORD(2) + FM_TAG_WORD(3) + FM_TAG_WORD(4)) | 1;
#undef FM_TAG_WORD
}

/* How far an output file's rows belong to a commit; what follows is written again. */
struct fm_output_position {
  __u64 device; /* st_dev and st_ino identify the file */
  __u64 inode;
  __u64 bytes;
};
#define FM_JOURNAL_OUTPUTS 8

/* The rows that a daemon can answer for, and the records that it does not need any more because of
 * them. A later daemon goes on from the last commit: it cuts the files there, and reads the streams
 * from there. */
struct fm_commit {
  __u64 packets_written; /* in rows */
  __u64 taken_over;      /* flows of another version in rows (user/kernel/earlier_version.h) */
  struct fm_output_position outputs[FM_JOURNAL_OUTPUTS]; /* unused ones are 0 */
};

/* Packets that an interface carried before its programs were attached, by its own counters. It
 * appeared while a daemon was running, so somebody expects them to be metered. */
struct fm_before_attach {
  __u64 packets[FM_HOOK_COUNT];
};

/* What a daemon leaves for the next one if the maps are pinned. */
struct fm_journal {
  /* First in every version: */
  __u64 schema; /* identifies this file's layouts (user/kernel/bpf_datapath.cpp); 0: just created */
  struct fm_tag_secret tag_secret;
  __u64 id; /* random: which flows this is about */
  __u32 max_entries;
  __u32 max_fragments;
  __u32 units_per_stream;
  __u8 timing_in_kernel;
  __u8 count_once;
  __u8 per_interface;
  __u8 lru;
  __u8 with_sizes;
  __u8 with_application;
  __u8 ended; /* in order: all rows in the outputs were part of the last commit */
  __u8 zero[5];
  __u64
      outputs_id; /* in the names of files that are not complete; another version goes on with it */
  /* The number of commits. The last one is commit[commits & 1] and, in each stream,
   * committed[commits & 1]. The next one is written beside it and takes effect when this number is
   * stored, so a kill at any moment leaves one of the two whole. */
  __u64 commits;
  struct fm_commit commit[2];
  struct fm_hook_counters departed[FM_HOOK_COUNT]; /* of interfaces that are no longer metered */
  struct fm_hook_counters earlier[FM_HOOK_COUNT];  /* counted by another version before */
  struct fm_before_attach before_attach[FM_INTERFACE_SLOTS];
  /* Of interfaces that are no longer metered, or were gone before they could be. */
  struct fm_before_attach departed_before_attach;
  struct fm_before_attach earlier_before_attach;
};

FM_INLINE void fm_packet_to_record(struct fm_packet_record* r, const struct fm_packet* p,
                                   __u64 flow_id, __u8 what) {
  r->time_ns = p->time_ns;
  r->flow_id = flow_id;
  r->wire_length = p->wire_length & 0x7fffffffu;
  r->has_shims = p->has_shims & 1;
  r->payload_bytes = p->payload_bytes;
  r->header_bytes = p->header_bytes;
  r->window = p->window;
  r->segment_bytes = p->segment_bytes;
  r->flags = p->flags;
  r->what = (__u8)(what | (p->direction ? FM_RECORD_DIRECTION : 0) |
                   p->transport_header_bytes << FM_RECORD_TRANSPORT_HEADER_SHIFT);
}

/* Sets everything except the key. */
FM_INLINE void fm_packet_from_record(struct fm_packet* p, const struct fm_packet_record* r) {
  p->time_ns = r->time_ns;
  p->wire_length = r->wire_length;
  p->payload_bytes = r->payload_bytes;
  p->header_bytes = r->header_bytes;
  p->window = r->window;
  p->segment_bytes = r->segment_bytes;
  p->flags = r->flags;
  p->direction = (r->what & FM_RECORD_DIRECTION) != 0;
  p->transport_header_bytes =
      (r->what & FM_RECORD_TRANSPORT_HEADER_MASK) >> FM_RECORD_TRANSPORT_HEADER_SHIFT;
  p->has_shims = r->has_shims;
}

#endif
