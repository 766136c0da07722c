/* SPDX-License-Identifier: BSD-3-Clause */
/* The counters of a flow: packets, lengths, headers, flags, windows, first and last time, and the
 * state that decides where the flow ends. In a live run they are in the kernel's map entry, which
 * is authoritative.
 *
 * Everything that has a direction is indexed by the end of the key that sent the packet, not by
 * forward and backward, so its address is known before the entry is read (and can be prefetched).
 * forward_direction says which end is forward. */
#ifndef FLOWMETER_FLOW_COUNTERS_H
#define FLOWMETER_FLOW_COUNTERS_H

#include "flowmeter/moments.h"
#include "flowmeter/packet.h"

/* Bits FIN to URG are counted beside the other hot fields. Counters of ECE and CWR, which are rare,
 * would take a third cache line per packet there. */
#define FM_COMMON_FLAGS (FM_URG_BIT + 1)

struct fm_direction_counters {
  struct fm_moments length; /* of wire lengths; its count is the number of packets */
  __u64 header_bytes;
  __u64 payload_bytes;
  /* second cache line */
  __u32 payload_min;    /* 0 while there is no packet */
  __u16 initial_window; /* of the first packet with a TCP header */
  __u8 has_window;
  /* Of an ICMP flow's first packet: in [0] its code, of an echo its type; in [1] 1 + the end that
   * sent it. 0 in both: unknown. */
  __u8 icmp_first;
  __u64 data_packets;                  /* packets with payload */
  __u64 flag_packets[FM_COMMON_FLAGS]; /* [n]: packets with flag bit n */
};
FM_STATIC_ASSERT(sizeof(struct fm_direction_counters) == 128, "two cache lines per packet");

struct fm_flow_counters {
  __u64 first_ns;
  __u64 last_ns;          /* latest time stamp; never runs back */
  __u8 forward_direction; /* the end that is "source" */
  __u8 fin_seen;          /* bit n: end n has sent FIN; inherited over an active time-out */
  __u8 rst_seen;          /* 1: an end has sent RST; inherited in the same way */
  __u8 begun;             /* the flow has a packet; avoids reading the directions' cache lines */
  /* Lengths of transport headers, [end]. Only kept with fm_flow_sizes, but in this cache line,
   * which is touched anyway. */
  __u8 transport_header_min[2];
  __u8 transport_header_max[2];
  struct fm_direction_counters direction[2];
  __u64 ece_packets[2];
  __u64 cwr_packets[2];
};
FM_STATIC_ASSERT(sizeof(struct fm_flow_counters) == 24 + 2 * 128 + 32,
                 "crosses the kernel border: no hidden padding");

FM_INLINE __u64 fm_flow_packets(const struct fm_flow_counters* c) {
  return c->direction[0].length.count + c->direction[1].length.count;
}

/* A TCP flow is closed by RST from either end, or by FIN from both. */
FM_INLINE int fm_flow_closed(const struct fm_flow_counters* c) {
  return c->rst_seen || c->fin_seen == 3;
}

/* The packet's time within this flow. A stamp earlier than the flow's latest counts as the latest.
 */
FM_INLINE __u64 fm_flow_time(const struct fm_flow_counters* c, __u64 packet_ns) {
  return packet_ns > c->last_ns ? packet_ns : c->last_ns;
}

/* Adds all segments of a packet except the last, which the caller then adds like a single packet.
 * Segmentation clears FIN and PSH on all segments except the last and CWR on all except the first,
 * and copies everything else (net/ipv4/tcp_offload.c). */
FM_INLINE void fm_add_segments_before_last(struct fm_flow_counters* c, __u8 end,
                                           const struct fm_packet* p, __u32 segments) {
  struct fm_direction_counters* d = &c->direction[end];
  const __u32 before = segments - 1;
  if (d->length.count == 0 || p->segment_bytes < d->payload_min) d->payload_min = p->segment_bytes;
  fm_moments_add_many(&d->length, p->wire_length - p->payload_bytes + p->segment_bytes, before);
  d->header_bytes += (__u64)before * p->header_bytes;
  d->payload_bytes += (__u64)before * p->segment_bytes;
  d->data_packets += before;
  if (!fm_packet_has_tcp_header(p)) return;
  if (p->flags & FM_SYN) d->flag_packets[FM_SYN_BIT] += before;
  if (p->flags & FM_RST) d->flag_packets[FM_RST_BIT] += before;
  if (p->flags & FM_ACK) d->flag_packets[FM_ACK_BIT] += before;
  if (p->flags & FM_URG) d->flag_packets[FM_URG_BIT] += before;
  if (p->flags & FM_ECE) c->ece_packets[end] += before;
}

/* Adds one packet, with all its segments. Requires: c was begun by fm_flow_counters_begin. */
FM_INLINE void fm_flow_counters_update(struct fm_flow_counters* c, const struct fm_packet* p) {
  const __u8 end = p->direction & 1;
  struct fm_direction_counters* d = &c->direction[end];
  FM_KEEP(d);

  const __u32 segments = fm_packet_segments(p);
  __u32 wire_length = p->wire_length;
  __u32 payload_bytes = p->payload_bytes;

  c->last_ns = fm_flow_time(c, p->time_ns);
  if (FM_UNLIKELY(segments > 1)) {
    const __u32 before_last = (segments - 1) * p->segment_bytes;
    fm_add_segments_before_last(c, end, p, segments);
    wire_length -= before_last;
    payload_bytes -= before_last;
  }
  if (d->length.count == 0 || payload_bytes < d->payload_min) d->payload_min = payload_bytes;
  fm_moments_add(&d->length, wire_length);
  d->header_bytes += p->header_bytes;
  d->payload_bytes += payload_bytes;
  d->data_packets += payload_bytes > 0;

  if (!fm_packet_has_tcp_header(p)) return;
  if (!d->has_window) {
    d->has_window = 1;
    d->initial_window = p->window;
  }
  const __u8 flags = p->flags;
  /* Nearly all packets have only ACK, or only ACK and PSH. */
  d->flag_packets[FM_ACK_BIT] += flags >> FM_ACK_BIT & 1u;
  d->flag_packets[FM_PSH_BIT] += flags >> FM_PSH_BIT & 1u;
  if (FM_LIKELY((flags & ~(FM_ACK | FM_PSH)) == 0)) return;
  d->flag_packets[FM_FIN_BIT] += flags >> FM_FIN_BIT & 1u;
  d->flag_packets[FM_SYN_BIT] += flags >> FM_SYN_BIT & 1u;
  d->flag_packets[FM_RST_BIT] += flags >> FM_RST_BIT & 1u;
  d->flag_packets[FM_URG_BIT] += flags >> FM_URG_BIT & 1u;
  if (FM_UNLIKELY(flags & (FM_ECE | FM_CWR))) {
    c->ece_packets[end] += flags >> FM_ECE_BIT & 1u;
    c->cwr_packets[end] += flags >> FM_CWR_BIT & 1u;
  }
  if (flags & FM_FIN) c->fin_seen |= (__u8)(1u << end);
  if (flags & FM_RST) c->rst_seen = 1;
}

/* Adds earlier packets of a flow, which were counted separately, to its later ones. The forward
 * direction is that of the earlier packets. */
FM_INLINE void fm_flow_counters_merge(struct fm_flow_counters* c,
                                      const struct fm_flow_counters* earlier) {
  if (earlier->first_ns < c->first_ns) {
    c->first_ns = earlier->first_ns;
    for (int i = 0; i < 2; i++) c->direction[i].icmp_first = earlier->direction[i].icmp_first;
  }
  if (earlier->last_ns > c->last_ns) c->last_ns = earlier->last_ns;
  c->forward_direction = earlier->forward_direction;
  c->fin_seen |= earlier->fin_seen;
  c->rst_seen |= earlier->rst_seen;
  for (int end = 0; end < 2; end++) {
    struct fm_direction_counters* d = &c->direction[end];
    const struct fm_direction_counters* e = &earlier->direction[end];
    c->ece_packets[end] += earlier->ece_packets[end];
    c->cwr_packets[end] += earlier->cwr_packets[end];
    if (e->length.count == 0) continue;
    if (d->length.count == 0 || e->payload_min < d->payload_min) d->payload_min = e->payload_min;
    if (e->has_window) {
      d->has_window = 1;
      d->initial_window = e->initial_window;
    }
    fm_moments_merge(&d->length, &e->length);
    d->header_bytes += e->header_bytes;
    d->payload_bytes += e->payload_bytes;
    d->data_packets += e->data_packets;
    for (int i = 0; i < FM_COMMON_FLAGS; i++) d->flag_packets[i] += e->flag_packets[i];
  }
}

#endif
