/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Hands payload over to the daemon's parsers (HTTP, TLS, DNS) if settings.with_application says so:
 * for each direction of a TCP flow the SYN, the first segments, a notice of the segment after them,
 * and later segments that look like the start of a message; and DNS datagrams. It is copied, up to
 * the limits in flowmeter/application.h. */
#ifndef FLOWMETER_PAYLOAD_BPF_H
#define FLOWMETER_PAYLOAD_BPF_H

#include "event.bpf.h"

FM_INLINE __u32 fm_least(__u32 a, __u32 b) {
  return a < b ? a : b;
}

FM_INLINE int fm_on_port_53(const struct fm_flow_key* key) {
  return key->port[0] == FM_DNS_PORT || key->port[1] == FM_DNS_PORT;
}

/* Returns how many bytes of the packet's payload the daemon needs; -1: it needs no record at all.
 * Requires: the packet is not yet in the entry's counters. */
FM_INLINE __s32 fm_payload_wanted(fm_context* context, const struct fm_map_entry* entry,
                                  const struct fm_packet* p) {
  const __u64 before = entry->counters.direction[p->direction & 1].data_packets;
  const int port_53 = fm_on_port_53(&p->key);
  if (p->transport_header_bytes == 0) return -1; /* a later fragment */
  if (p->key.protocol == FM_UDP)
    return port_53 ? (__s32)fm_least(p->payload_bytes, FM_DATAGRAM_BYTES) : -1;
  if (p->key.protocol != FM_TCP) return -1;
  if (p->payload_bytes == 0) return before == 0 && (p->flags & FM_SYN) ? 0 : -1;
  if (before < FM_HEAD_SEGMENTS) return (__s32)fm_least(p->payload_bytes, FM_HEAD_BYTES);

  __u8 first[FM_START_TEST_BYTES] = {};
  __u32 n = fm_least(p->payload_bytes, FM_START_TEST_BYTES);
  barrier_var(n);
  if (n == 0 || n > FM_START_TEST_BYTES) return -1;
  if (fm_context_load(context, p->payload_offset, first, n) < 0) return -1;
  if (!fm_application_starts(first, n, port_53)) return before == FM_HEAD_SEGMENTS ? 0 : -1;
  return (__s32)fm_least(p->payload_bytes, FM_START_BYTES);
}

/* Payload leaves half of a stream to packet records, whose loss is worse. */
FM_INLINE int fm_stream_has_room_for_payload(const struct fm_stream_end* end) {
  return end->head - *(volatile __u64*)&end->stream->tail <= units_per_stream / 2;
}

/* Returns 0 if there is no room. */
static __attribute__((noinline)) int fm_send_payload(const union fm_long_payload_record* record,
                                                     __u32 units) {
  if (!record) return 0;
  struct fm_stream_end end = fm_stream_reserve(FM_PACKET_WRITER, units);
  if (!end.stream || !fm_stream_has_room_for_payload(&end)) return 0;
  for (__u32 i = 0; i < FM_PAYLOAD_UNITS_MAX && i < units; i++) {
    struct fm_packet_record* unit = fm_stream_unit(&end, i);
    if (!unit) return 0;
    *unit = record->units[i];
  }
  fm_stream_publish(&end, units);
  return 1;
}

/* Assembles the record and sends it. Returns 0 if it is lost. */
static __attribute__((noinline)) int fm_hand_over(fm_context* context, const struct fm_packet* p,
                                                  __u64 word, __u32 wanted) {
  const __u32 zero = 0;
  union fm_long_payload_record* r = bpf_map_lookup_elem(&payload_record, &zero);
  if (!r || !p) return 0;
  if (!(word & FM_LOCK_ANNOUNCED)) return 0; /* the daemon knows no flow of this id */
  /* A truncated frame has fewer bytes than its headers say (in tests only). */
  const __u32 end = fm_context_length(context);
  __u32 bytes = p->payload_offset < end ? fm_least(wanted, end - p->payload_offset) : 0;
  barrier_var(bytes);
  if (bytes > FM_HEAD_BYTES) return 0;
  if (bytes > 0 && fm_context_load(context, p->payload_offset, r->payload.bytes, bytes) < 0)
    return 0;
  r->payload.time_ns = p->time_ns;
  r->payload.flow_id = word >> FM_LOCK_ID_SHIFT;
  r->payload.payload_bytes = p->payload_bytes;
  r->payload.byte_count = bytes;
  r->payload.sequence = p->sequence;
  r->payload.segment_bytes = p->segment_bytes;
  r->payload.flags = p->flags;
  r->payload.what = (__u8)(FM_RECORD_PAYLOAD | (p->direction ? FM_RECORD_DIRECTION : 0));
  return fm_send_payload(r, fm_payload_units(bytes));
}

/* Sends the packet's payload if the daemon needs it. Requires: with_application; entry is locked
 * and word is its lock word; the packet's record was sent; the packet is not yet in the counters.
 */
static __attribute__((noinline)) int fm_hand_over_payload(fm_context* context,
                                                          struct fm_map_entry* entry,
                                                          const struct fm_packet* p, __u64 word) {
  if (!entry || !p) return 0;
  const __s32 wanted = fm_payload_wanted(context, entry, p);
  if (wanted < 0 || fm_hand_over(context, p, word, (__u32)wanted)) return 1;
  struct fm_cpu_counters* cpu = fm_counters_of_this_cpu();
  entry->payload_lost = 1;
  if (cpu) cpu->payload_lost += 1;
  return 0;
}

#endif
