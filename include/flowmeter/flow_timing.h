/* SPDX-License-Identifier: BSD-3-Clause */
/* The timing state of a flow: inter-arrival times, active and idle periods, subflows, bulks. All
 * times are nanoseconds of the packets' clock. In a live run it is kept in user space, from one
 * event per packet, or with datapath "kernel" in the map entry.
 *
 * Fields are grouped by cache line. Only long gaps touch the first one and a half lines. Then come
 * the fields that every packet touches, one line per direction, and bulks. So after the key and
 * the counters (five and a half lines), all hot fields are aligned to cache lines. */
#ifndef FLOWMETER_FLOW_TIMING_H
#define FLOWMETER_FLOW_TIMING_H

#include "flowmeter/moments.h"
#include "flowmeter/packet.h"
#include "flowmeter/settings.h"

/* Payload packets of one direction that follow each other closely. They are a bulk once there are
 * enough of them. */
struct fm_bulk_run {
  __u64 packets; /* 0: no run yet */
  __u64 bytes;
  __u64 first_ns;
  __u64 last_ns;
  __u8 direction;
  __u8 zero[7];
};

struct fm_bulks {
  __u64 count;
  __u64 packets;
  __u64 bytes;
  __u64 duration_ns;
};

struct fm_direction_timing {
  __u64 packets;
  __u64 last_ns; /* meaningful while packets > 0 */
  struct fm_moments gaps;
};

struct fm_flow_timing {
  struct fm_moments active; /* finished active periods longer than 0 */
  struct fm_moments idle;
  __u64 packets;
  __u64 last_ns; /* never runs back */
  struct fm_moments gaps;
  __u64 period_start_ns; /* of the current active period */
  __u64 subflow_gaps;
  struct fm_bulk_run run;
  __u64 zero; /* fills the cache line */
  struct fm_direction_timing direction[2];
  struct fm_bulks bulks[2];
};
FM_STATIC_ASSERT(sizeof(struct fm_flow_timing) == 416, "no hidden padding");

FM_INLINE void fm_bulk_update(struct fm_flow_timing* t, const struct fm_packet* p, __u64 now_ns,
                              __u32 segments, const struct fm_settings* s) {
  struct fm_bulk_run* run = &t->run;
  const __u8 end = p->direction & 1;
  if (p->payload_bytes == 0) return;
  if (run->packets == 0 || run->direction != end || now_ns - run->last_ns > s->bulk_max_gap_ns) {
    run->packets = 0;
    run->bytes = 0;
    run->first_ns = now_ns;
    run->direction = end;
  }
  const __u64 before = run->packets;
  run->packets += segments;
  run->bytes += p->payload_bytes;
  if (run->packets >= s->bulk_min_packets) {
    struct fm_bulks* b = &t->bulks[end];
    if (before < s->bulk_min_packets) {
      b->count += 1;
      b->packets += run->packets;
      b->bytes += run->bytes;
      b->duration_ns += now_ns - run->first_ns;
    } else {
      b->packets += segments;
      b->bytes += p->payload_bytes;
      b->duration_ns += now_ns - run->last_ns;
    }
  }
  run->last_ns = now_ns;
}

/* Adds one packet, with all its segments. They have one time, so the gaps between them are 0. With
 * s->with_application, bulks stay empty, because that feature set defines them differently
 * (user/flows/direction_bulks.h).
 * Requires: t was zeroed before the flow's first packet. */
FM_INLINE void fm_flow_timing_update(struct fm_flow_timing* t, const struct fm_packet* p,
                                     const struct fm_settings* s) {
  struct fm_direction_timing* d = &t->direction[p->direction & 1];
  const __u32 segments = fm_packet_segments(p);
  __u64 now_ns = p->time_ns;

  if (t->packets == 0) {
    t->period_start_ns = now_ns;
  } else {
    if (now_ns < t->last_ns) now_ns = t->last_ns; /* like fm_flow_time */
    const __u64 gap_ns = now_ns - t->last_ns;
    fm_moments_add(&t->gaps, gap_ns);
    if (gap_ns > s->subflow_gap_ns) t->subflow_gaps += 1;
    if (FM_UNLIKELY(gap_ns > s->activity_gap_ns)) {
      const __u64 active_ns = t->last_ns - t->period_start_ns;
      if (active_ns > 0) fm_moments_add(&t->active, active_ns);
      fm_moments_add(&t->idle, gap_ns);
      t->period_start_ns = now_ns;
    }
  }
  t->packets += segments;
  t->last_ns = now_ns;

  if (d->packets > 0) fm_moments_add(&d->gaps, now_ns - d->last_ns);
  d->packets += segments;
  d->last_ns = now_ns;
  if (FM_UNLIKELY(segments > 1)) {
    fm_moments_add_many(&t->gaps, 0, segments - 1);
    fm_moments_add_many(&d->gaps, 0, segments - 1);
  }

  if (!s->with_application) fm_bulk_update(t, p, now_ns, segments, s);
}

#endif
