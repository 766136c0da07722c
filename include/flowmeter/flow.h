/* SPDX-License-Identifier: BSD-3-Clause */
/* A flow consists of counters and timing. Only this file adds packets to flows, and only it decides
 * which flow a packet belongs to. The kernel calls it in a live run, the flow table in a replay. */
#ifndef FLOWMETER_FLOW_H
#define FLOWMETER_FLOW_H

#include "flowmeter/end_reason.h"
#include "flowmeter/flow_counters.h"
#include "flowmeter/flow_sizes.h"
#include "flowmeter/flow_timing.h"

struct fm_flow {
  struct fm_flow_counters counters;
  struct fm_flow_timing timing;
};
FM_STATIC_ASSERT((40 + __builtin_offsetof(struct fm_flow, timing.packets)) % 64 == 0,
                 "after a key of 40 bytes, what packets touch is on whole cache lines");

/* What a flow inherits when it continues another one after an active time-out. Any other flow
 * inherits nothing, and its forward direction is that of its first packet. */
struct fm_inheritance {
  __u8 forward_direction;
  __u8 fin_seen;
  __u8 rst_seen;
};

/* The longest silence of a flow with this protocol and state. */
FM_INLINE __u64 fm_idle_timeout_ns(const struct fm_flow_counters* c, __u8 protocol,
                                   const struct fm_settings* s) {
  if (protocol == FM_TCP) return fm_flow_closed(c) ? s->tcp_linger_ns : s->idle_timeout_ns;
  if (protocol == FM_UDP) return s->idle_timeout_ns;
  return s->icmp_idle_timeout_ns;
}

FM_INLINE int fm_flow_is_idle(const struct fm_flow_counters* c, __u8 protocol, __u64 now_ns,
                              const struct fm_settings* s) {
  return now_ns > c->last_ns && now_ns - c->last_ns > fm_idle_timeout_ns(c, protocol, s);
}

/* Returns why the current flow c of the packet's key ended before this packet, or FM_END_NONE if
 * the packet belongs to it. */
FM_INLINE enum fm_end_reason fm_flow_ended(const struct fm_flow_counters* c,
                                           const struct fm_packet* p, const struct fm_settings* s) {
  if (fm_flow_is_idle(c, p->key.protocol, p->time_ns, s)) return FM_END_IDLE;
  if (fm_flow_closed(c) && (p->flags & (FM_SYN | FM_ACK)) == FM_SYN) return FM_END_REOPENED;
  if (p->time_ns > c->first_ns && p->time_ns - c->first_ns > s->active_timeout_ns)
    return FM_END_ACTIVE;
  return FM_END_NONE;
}

/* What the flow that this packet opens inherits. ended: why its predecessor c on the same key
 * ended, if there was one. */
FM_INLINE struct fm_inheritance fm_flow_inheritance(const struct fm_flow_counters* c,
                                                    const struct fm_packet* p,
                                                    enum fm_end_reason ended) {
  struct fm_inheritance i = {p->direction, 0, 0};
  if (ended == FM_END_ACTIVE) {
    i.forward_direction = c->forward_direction;
    i.fin_seen = c->fin_seen;
    i.rst_seen = c->rst_seen;
  }
  return i;
}

/* Prepares zeroed counters for their first packet. */
FM_INLINE void fm_flow_counters_begin(struct fm_flow_counters* c, const struct fm_packet* p,
                                      struct fm_inheritance inherited) {
  c->first_ns = p->time_ns;
  c->last_ns = p->time_ns;
  c->forward_direction = inherited.forward_direction;
  c->fin_seen = inherited.fin_seen;
  c->rst_seen = inherited.rst_seen;
  c->begun = 1;
  if (FM_UNLIKELY(p->key.kind != FM_KEY_PORTS)) {
    c->direction[0].icmp_first =
        (__u8)(p->key.kind == FM_KEY_ICMP_ECHO ? p->window >> 8 : p->window);
    c->direction[1].icmp_first = 1 + (p->direction & 1);
  }
}

/* Adds a packet that belongs to the flow. */
FM_INLINE void fm_flow_update(struct fm_flow* f, const struct fm_packet* p,
                              const struct fm_settings* s) {
  fm_flow_timing_update(&f->timing, p, s);
  fm_flow_counters_update(&f->counters, p);
}

#endif
