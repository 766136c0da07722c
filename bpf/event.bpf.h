/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Records for the daemon, in event streams whose memory the daemon maps.
 *
 * Each stream has one writer at a time, so writing takes no lock. The programs that meter packets
 * on a CPU write its stream; they run with bottom halves disabled. The closing program, which the
 * daemon runs, writes the stream of answers (before Linux 6.3 with bottom halves enabled, so that
 * packets may interrupt it). No record wakes the daemon, which reads the streams periodically: one
 * wake-up per packet would cost 6 to 28 % of a core at 10 to 100 thousand packets/s. The caller
 * counts a record for which a stream has no room. */
#ifndef FLOWMETER_EVENT_BPF_H
#define FLOWMETER_EVENT_BPF_H

#include "flow_map.bpf.h"

struct fm_stream_end {
  struct fm_stream* stream; /* null: no room */
  __u64 head;
  __u32 first; /* unit at which the stream starts */
  __u32 mask;  /* its number of units minus one */
};

/* The writers of streams. */
enum fm_writer { FM_PACKET_WRITER = 0, FM_ANSWER_WRITER = 1, FM_WRITER_COUNT };

FM_INLINE struct fm_stream_end fm_stream_reserve(enum fm_writer writer, __u32 units) {
  struct fm_stream_end end = {};
  const __u32 number =
      writer == FM_ANSWER_WRITER ? answer_stream : (__u32)bpf_get_smp_processor_id();
  const __u32 room = writer == FM_ANSWER_WRITER ? answer_units : units_per_stream;
  struct fm_stream* stream = bpf_map_lookup_elem(&streams, &number);
  if (!stream) return end;
  end.head = stream->head;
  /* tail never passes head; the daemon has read everything before tail. */
  if (end.head + units - *(volatile __u64*)&stream->tail > room) return end;
  end.first = number * units_per_stream;
  end.mask = room - 1;
  end.stream = stream;
  return end;
}

FM_INLINE struct fm_packet_record* fm_stream_unit(const struct fm_stream_end* end, __u32 i) {
  const __u32 at = end->first + (((__u32)end->head + i) & end->mask);
  return bpf_map_lookup_elem(&stream_units, &at);
}

FM_INLINE void fm_stream_publish(const struct fm_stream_end* end, __u32 units) {
  barrier();
  if (stores_in_order)
    *(volatile __u64*)&end->stream->head = end->head + units;
  else
    __sync_lock_test_and_set(&end->stream->head, end->head + units);
}

/* Writes a record of several units. Returns 0 if there is no room. */
static __attribute__((noinline)) int fm_send_long(const union fm_long_record* record, __u32 units,
                                                  enum fm_writer writer) {
  if (!record) return 0;
  struct fm_stream_end end = fm_stream_reserve(writer, units);
  if (!end.stream) return 0;
  for (__u32 i = 0; i < FM_STATE_UNITS_MAX && i < units; i++) {
    struct fm_packet_record* unit = fm_stream_unit(&end, i);
    if (!unit) return 0;
    *unit = record->units[i];
  }
  fm_stream_publish(&end, units);
  return 1;
}

FM_INLINE union fm_long_record* fm_long_record_for(enum fm_writer writer) {
  const __u32 number = writer;
  return bpf_map_lookup_elem(&long_record, &number);
}

/* Announces a flow to the daemon, with a packet. Returns 0 if there is no room. */
static __attribute__((noinline)) int fm_send_open(const struct fm_map_entry* entry,
                                                  const struct fm_packet* p, __u64 id, __u8 what) {
  union fm_long_record* r = fm_long_record_for(FM_PACKET_WRITER);
  if (!r || !entry || !p) return 0;
  fm_packet_to_record(&r->open.packet, p, id, (__u8)(FM_RECORD_OPEN | what));
  r->open.key = p->key;
  r->open.ifindex = entry->ifindex;
  r->open.hook = entry->hook;
  r->open.inherited.forward_direction = entry->counters.forward_direction;
  r->open.inherited.fin_seen = entry->counters.fin_seen;
  r->open.inherited.rst_seen = entry->counters.rst_seen;
  return fm_send_long(r, FM_OPEN_UNITS, FM_PACKET_WRITER);
}

static __attribute__((noinline)) int fm_count_lost_event(struct fm_map_entry* entry) {
  struct fm_cpu_counters* cpu = fm_counters_of_this_cpu();
  if (!entry || !cpu) return 0;
  entry->events_lost += 1;
  cpu->events_lost += 1;
  return 1;
}

/* Tells the daemon about a packet. Returns the entry's new lock word. Requires: entry is locked,
 * word is its lock word, and the packet is not yet in its counters. */
FM_INLINE __u64 fm_send_packet(struct fm_map_entry* entry, const struct fm_packet* p, __u64 word,
                               __u8 new_entry_bit) {
  if (FM_LIKELY(word & FM_LOCK_ANNOUNCED)) {
    struct fm_stream_end end = fm_stream_reserve(FM_PACKET_WRITER, 1);
    if (FM_LIKELY(end.stream)) {
      struct fm_packet_record* unit = fm_stream_unit(&end, 0);
      if (FM_LIKELY(unit)) {
        fm_packet_to_record(unit, p, word >> FM_LOCK_ID_SHIFT, FM_RECORD_PACKET);
        fm_stream_publish(&end, 1);
        return word;
      }
    }
  } else if (fm_send_open(entry, p, word >> FM_LOCK_ID_SHIFT, new_entry_bit)) {
    return word | FM_LOCK_ANNOUNCED;
  }
  fm_count_lost_event(entry);
  return word;
}

/* Sends a packet for which there is no map entry, with its key. Returns 0 if the stream has no
 * room, either. */
static __attribute__((noinline)) int fm_send_uncounted(const struct fm_packet* p, __u32 ifindex,
                                                       __u8 hook) {
  struct fm_cpu_counters* cpu = fm_counters_of_this_cpu();
  union fm_long_record* r = fm_long_record_for(FM_PACKET_WRITER);
  if (!r || !cpu || !p) return 0;
  fm_packet_to_record(&r->open.packet, p, 0, FM_RECORD_UNCOUNTED);
  r->open.key = p->key;
  r->open.ifindex = ifindex;
  r->open.hook = hook;
  r->open.inherited.forward_direction = p->direction;
  r->open.inherited.fin_seen = 0;
  r->open.inherited.rst_seen = 0;
  if (!fm_send_long(r, FM_OPEN_UNITS, FM_PACKET_WRITER)) return 0;
  cpu->uncounted += 1;
  return 1;
}

#define FM_STATE_ANSWER 0x100 /* this state answers a request of the daemon */

/* Sends the contents of the entry. end: why the flow has ended; FM_END_NONE if it continues.
 * Returns 0 if there is no room. Requires: entry is locked. (FM_STATE_ANSWER is a bit of an
 * argument because a BPF function has at most five arguments.) */
static __attribute__((noinline)) int fm_send_state(const struct fm_map_entry* entry,
                                                   const struct fm_flow_key* key, __u64 now_ns,
                                                   __u64 word, __u32 end_and_writer) {
  const __u32 end = end_and_writer & 0xff;
  const enum fm_writer writer =
      end_and_writer & FM_STATE_ANSWER ? FM_ANSWER_WRITER : FM_PACKET_WRITER;
  union fm_long_record* r = fm_long_record_for(writer);
  if (!r || !entry || !key) return 0;
  struct fm_state_record* state = &r->state;
  __builtin_memset(&state->head, 0, sizeof(state->head));
  state->head.time_ns = now_ns;
  state->head.flow_id = word >> FM_LOCK_ID_SHIFT;
  state->head.what = end == FM_END_NONE ? FM_RECORD_STATE : FM_RECORD_CLOSED;
  state->key = *key;
  state->events_lost = entry->events_lost;
  state->ifindex = entry->ifindex;
  state->hook = entry->hook;
  state->announced = (word & FM_LOCK_ANNOUNCED) != 0;
  state->end = (__u8)end;
  state->payload_lost = entry->payload_lost;
  state->counters = entry->counters;
  if (timing_in_kernel) {
    const struct fm_timed_map_entry* timed = (const struct fm_timed_map_entry*)entry;
    state->timing = timed->timing;
    if (fm_with_sizes()) state->sizes = timed->sizes;
  } else if (fm_with_sizes()) {
    state->sizes_only = ((const struct fm_sized_map_entry*)entry)->sizes;
  }
  return fm_send_long(r, fm_state_units(timing_in_kernel, fm_with_sizes()), writer);
}

#endif
