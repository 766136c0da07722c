/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Records for the daemon. No record wakes it: it drains by itself (a wake-up a packet costs 6 to 28
 * % of a core at 10 to 100 thousand packets/s). What the ring has no room for is counted where it
 * is lost. */
#ifndef FLOWMETER_EVENT_BPF_H
#define FLOWMETER_EVENT_BPF_H

#include "flow_map.bpf.h"

/* Requires: entry is locked and the packet is in its counters. */
FM_INLINE void fm_send_packet(struct fm_map_entry* entry, const struct fm_packet* p, __u64 id,
                              struct fm_cpu_counters* cpu) {
  if (FM_LIKELY(entry->announced)) {
    struct fm_packet_record* r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
    if (r) {
      fm_packet_to_record(r, p, id, FM_RECORD_PACKET);
      bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
      return;
    }
  } else {
    struct fm_open_record* r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
    if (r) {
      fm_packet_to_record(&r->packet, p, id, FM_RECORD_OPEN);
      r->key = p->key;
      r->ifindex = entry->ifindex;
      r->hook = entry->hook;
      r->inherited.forward_direction = entry->counters.forward_direction;
      r->inherited.fin_seen = entry->counters.fin_seen;
      r->inherited.rst_seen = entry->counters.rst_seen;
      bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
      entry->announced = 1;
      return;
    }
  }
  entry->events_lost += 1;
  cpu->events_lost += 1;
}

/* Sends a packet whose map entry could not be had, with its key. Returns 0 if there is no room
 * either. */
FM_INLINE int fm_send_uncounted(const struct fm_packet* p, __u32 ifindex, __u8 hook,
                                struct fm_cpu_counters* cpu) {
  struct fm_open_record* r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
  if (!r) return 0;
  fm_packet_to_record(&r->packet, p, 0, FM_RECORD_UNCOUNTED);
  r->key = p->key;
  r->ifindex = ifindex;
  r->hook = hook;
  r->inherited.forward_direction = p->direction;
  r->inherited.fin_seen = 0;
  r->inherited.rst_seen = 0;
  bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
  cpu->uncounted += 1;
  return 1;
}

/* Hands a finished flow over. Returns 0 if there is no room. Requires: entry is locked. */
FM_INLINE int fm_send_closed(const struct fm_map_entry* entry, __u64 id, enum fm_end end) {
  struct fm_closed_record* r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
  if (!r) return 0;
  __builtin_memset(&r->head, 0, sizeof(r->head));
  r->head.flow_id = id;
  r->head.what = FM_RECORD_CLOSED;
  r->key = entry->key;
  r->events_lost = entry->events_lost;
  __builtin_memset(r->zero, 0, sizeof(r->zero));
  r->announced = entry->announced;
  r->end = (__u8)end;
  r->counters = entry->counters;
  bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
  return 1;
}

/* Answers a close request for a flow that the map does not have. */
FM_INLINE void fm_send_absent(const struct fm_flow_key* key, __u64 id) {
  struct fm_closed_record* r = bpf_ringbuf_reserve(&events, sizeof(*r), 0);
  if (!r) return; /* the daemon asks again */
  __builtin_memset(r, 0, sizeof(*r));
  r->head.flow_id = id;
  r->head.what = FM_RECORD_CLOSED;
  r->key = *key;
  r->end = FM_END_EVICTED;
  bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
}

#endif
