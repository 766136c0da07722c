/* SPDX-License-Identifier: BSD-3-Clause */
/* How the parser reads a frame, and its position in the frame. BPF code defines fm_context, fm_peek
 * and FM_PARSE_PAYLOAD for its own context before it includes this file. */
#ifndef FLOWMETER_WALK_H
#define FLOWMETER_WALK_H

#include "flowmeter/wire_headers.h"

/* fm_context is where the bytes come from: the program's own context in BPF, memory in user space.
 *
 * A function marked FM_SLOW_PATH is not inlined in BPF, so the verifier checks it once; loops
 * inlined into each other would multiply the states to check beyond its limit. Its
 * arguments are the context and plain memory, as the verifier allows no pointers of other kinds. */
#ifndef __bpf__
struct fm_captured {
  const __u8* data;
  __u32 captured_length;
};
typedef const struct fm_captured fm_context;

/* Returns size bytes at offset, or null if they are not captured. If they are not contiguous, they
 * may be copied to scratch (8-aligned, size bytes). */
FM_INLINE const void* fm_peek(fm_context* f, __u32 offset, __u32 size, void* scratch) {
  (void)scratch;
  if (offset > f->captured_length || size > f->captured_length - offset) return 0;
  return f->data + offset;
}
#define FM_SLOW_PATH static inline __attribute__((noinline))
/* Whether to note where payload starts; BPF reads this from its settings. */
#define FM_PARSE_PAYLOAD 1
#else
#define FM_SLOW_PATH __attribute__((noinline))
#endif

/* The most headers of a kind that are followed, so that parsing time is bounded. A packet with more
 * tags or labels is not_ip; in one with more IPv6 extension headers, the next one counts as its
 * protocol. Real networks have fewer than 4 tags and 8 labels. */
#define FM_VLAN_TAGS_MAX 4
#define FM_MPLS_LABELS_MAX 8
#define FM_IPV6_EXT_HEADERS_MAX 8

#define FM_JUMBO_HEADER 8 /* a hop-by-hop header with nothing but a jumbo payload option */

/* Room for the largest header that is read in one piece. */
union fm_scratch {
  __u64 words[sizeof(struct fm_ipv6_header) / 8];
};

/* Where the parser is. Offsets count from the first byte of the frame. */
struct fm_walk {
  __u32 wire_length;    /* of the frame; at least what is captured */
  __u32 offset;         /* of the next header */
  __u32 ip_start;       /* of the IP header */
  __u32 packet_end;     /* by the IP length */
  __u32 identification; /* of the datagram, if it is fragmented */
  __u16 ethertype;
  __u8 ip_version;
  __u8 next_protocol;
  __u8 fragment_role; /* enum fm_fragment_role */
  __u8 tags;          /* VLAN tags opened */
  __u8 jumbo_option;  /* there is a hop-by-hop header of just a jumbo payload option */
  __u8 shims;         /* there may be other headers between link header and IP header */
};

#endif
