/* SPDX-License-Identifier: BSD-3-Clause */
/* The spread of payload and transport header sizes, which some feature sets need beyond the
 * counters. Kept with fm_settings.with_sizes, next to the counters and by the same rules: in a live
 * run the kernel has them and is authoritative.
 *
 * Both directions together fit into one cache line, so a packet touches only one more. Therefore,
 * this is not a struct fm_moments: the counters already have the count, sum and minimum of the
 * payload, and (in a line with free space) the minimum and maximum of the header. */
#ifndef FLOWMETER_FLOW_SIZES_H
#define FLOWMETER_FLOW_SIZES_H

#include "flowmeter/flow_counters.h"

struct fm_direction_sizes {
  __u64 payload_squares_low; /* sum of squares of up to 2^32 payloads of 32 bits */
  __u32 payload_squares_high;
  __u32 payload_max;
  __u64 header_bytes;   /* of transport headers */
  __u64 header_squares; /* sum of their squares */
};

struct fm_flow_sizes {
  struct fm_direction_sizes direction[2]; /* [end of the key that sent the packet] */
};
FM_STATIC_ASSERT(sizeof(struct fm_flow_sizes) == 64, "one cache line");

FM_INLINE void fm_payload_squares_add(struct fm_direction_sizes* d, __u64 low, __u32 high) {
  d->payload_squares_low += low;
  d->payload_squares_high += high + (d->payload_squares_low < low);
}

/* Adds one packet, with all its segments. Requires: c are the flow's counters, which have begun,
 * and this packet is not yet in them. */
FM_INLINE void fm_flow_sizes_update(struct fm_flow_sizes* s, struct fm_flow_counters* c,
                                    const struct fm_packet* p) {
  const __u8 end = p->direction & 1;
  struct fm_direction_sizes* d = &s->direction[end];
  const __u8 header = p->transport_header_bytes;
  const __u32 segments = fm_packet_segments(p);
  __u64 last = p->payload_bytes;
  FM_KEEP(d);

  if (c->direction[end].length.count == 0 || header < c->transport_header_min[end])
    c->transport_header_min[end] = header;
  if (header > c->transport_header_max[end]) c->transport_header_max[end] = header;
  d->header_bytes += (__u64)segments * header;
  d->header_squares += (__u64)segments * ((__u32)header * header);

  if (FM_UNLIKELY(segments > 1)) {
    const __u64 before_last = (__u64)(segments - 1) * p->segment_bytes;
    fm_payload_squares_add(d, before_last * p->segment_bytes, 0);
    if (p->segment_bytes > d->payload_max) d->payload_max = p->segment_bytes;
    last -= before_last;
  }
  fm_payload_squares_add(d, last * last, 0);
  if (last > d->payload_max) d->payload_max = (__u32)last;
}

/* Adds earlier packets of a flow, which were counted separately, to its later ones (s, c).
 * Requires: their counters are not merged yet. */
FM_INLINE void fm_flow_sizes_merge(struct fm_flow_sizes* s, struct fm_flow_counters* c,
                                   const struct fm_flow_sizes* earlier,
                                   const struct fm_flow_counters* earlier_counters) {
  for (int end = 0; end < 2; end++) {
    struct fm_direction_sizes* d = &s->direction[end];
    const struct fm_direction_sizes* e = &earlier->direction[end];
    const __u8 least = earlier_counters->transport_header_min[end];
    const __u8 greatest = earlier_counters->transport_header_max[end];
    if (earlier_counters->direction[end].length.count == 0) continue;
    if (c->direction[end].length.count == 0 || least < c->transport_header_min[end])
      c->transport_header_min[end] = least;
    if (greatest > c->transport_header_max[end]) c->transport_header_max[end] = greatest;
    d->header_bytes += e->header_bytes;
    d->header_squares += e->header_squares;
    fm_payload_squares_add(d, e->payload_squares_low, e->payload_squares_high);
    if (e->payload_max > d->payload_max) d->payload_max = e->payload_max;
  }
}

#endif
