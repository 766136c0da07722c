/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* The path of a packet in the kernel: parse it, find its flow, count it, tell the daemon. It uses
 * the context that was included before (context_skb.bpf.h or context_xdp.bpf.h). */
#ifndef FLOWMETER_METER_BPF_H
#define FLOWMETER_METER_BPF_H

#include "owner.bpf.h"
#include "payload.bpf.h"

/* Returns null if the interface is not metered; otherwise *slot is set to its slot. */
FM_INLINE struct fm_interface* fm_find_interface(__u32 ifindex, __u32* slot) {
  for (__u32 i = 0; i < FM_INTERFACE_PROBES; i++) {
    const __u32 at = fm_interface_slot(ifindex, i);
    struct fm_interface* interface = bpf_map_lookup_elem(&interfaces, &at);
    if (interface && FM_LIKELY(interface->ifindex == ifindex)) {
      *slot = at;
      return interface;
    }
  }
  return 0;
}

/* Joins fragments. Their time is taken here, before the flow is locked. */
FM_INLINE enum fm_packet_class fm_join_fragments(fm_context* context, struct fm_packet* p,
                                                 const struct fm_fragment_key* fragment,
                                                 enum fm_fragment_role role) {
  p->time_ns = fm_context_time_ns(context);
  if (role == FM_LATER_FRAGMENT)
    return fm_fragment_join(p, bpf_map_lookup_elem(&fragments, fragment), fm_loaded_settings());
  struct fm_first_fragment first = fm_fragment_remember(p);
  bpf_map_update_elem(&fragments, fragment, &first, BPF_ANY);
  return FM_METERED;
}

/* Whether this packet was already counted at another point of its path (abi.h). Requires: entry is
 * locked. */
FM_INLINE int fm_seen_before(struct fm_map_entry* entry, const struct fm_packet* p, __u32 point) {
  const __u8 end = p->direction & 1;
  const __u32 now = (__u32)(p->time_ns / FM_POINT_CLOCK_NS);
  if (entry->point[end] != point) {
    if (entry->point[end] && now - entry->point_seen[end] <= FM_POINT_SILENCE) return 1;
    entry->point[end] = point;
  }
  entry->point_seen[end] = now;
  return 0;
}

/* Requires: with_sizes. */
FM_INLINE struct fm_flow_sizes* fm_entry_sizes(struct fm_map_entry* entry) {
  return timing_in_kernel ? &((struct fm_timed_map_entry*)entry)->sizes
                          : &((struct fm_sized_map_entry*)entry)->sizes;
}

/* Makes the entry ready for the flow that starts with this packet. ended: why the previous flow
 * ended, FM_END_NONE if the entry is new. Returns the new lock word. Requires: entry is locked. */
static __attribute__((noinline)) __u64 fm_begin_flow(struct fm_map_entry* entry,
                                                     const struct fm_packet* p, __u64 word,
                                                     __u32 ended) {
  if (!entry || !p) return word;
  const struct fm_inheritance inherited =
      fm_flow_inheritance(&entry->counters, p, (enum fm_end_reason)ended);
  if (ended != FM_END_NONE) {
    if (!fm_send_state(entry, &p->key, p->time_ns, word, ended)) {
      struct fm_cpu_counters* cpu = fm_counters_of_this_cpu();
      if (cpu) {
        cpu->handover_flows += 1;
        cpu->handover_packets += fm_flow_packets(&entry->counters);
      }
    }
    word = fm_new_flow_id() << FM_LOCK_ID_SHIFT;
    __builtin_memset(&entry->counters, 0, sizeof(entry->counters));
    if (timing_in_kernel) {
      struct fm_timed_map_entry* timed = (struct fm_timed_map_entry*)entry;
      __builtin_memset(&timed->timing, 0, sizeof(timed->timing));
    }
    if (fm_with_sizes()) __builtin_memset(fm_entry_sizes(entry), 0, sizeof(struct fm_flow_sizes));
    entry->events_lost = 0;
    entry->payload_lost = 0;
  }
  fm_flow_counters_begin(&entry->counters, p, inherited);
  return word;
}

/* Not inlined, because its spills do not fit on the stack beside the parser's (512 bytes for a
 * chain of calls). Not static, so that it is verified once and clang keeps its result: without a
 * result, r0 may still be a pointer into the caller's stack, which the verifier (6.18) refuses. */
__attribute__((noinline)) int fm_update_timing(struct fm_flow_timing* timing,
                                               const struct fm_packet* p) {
  if (!timing || !p) return 0;
  fm_flow_timing_update(timing, p, fm_loaded_settings());
  return 1;
}

/* Not inlined and not static for the same reasons. */
__attribute__((noinline)) int fm_update_sizes(struct fm_map_entry* entry,
                                              struct fm_flow_sizes* sizes,
                                              const struct fm_packet* p) {
  if (!entry || !sizes || !p) return 0;
  fm_flow_sizes_update(sizes, &entry->counters, p);
  return 1;
}

/* Adds a parsed packet to its flow in the map and tells the daemon. */
FM_INLINE enum fm_packet_class fm_record_packet(fm_context* context, struct fm_packet* p,
                                                const struct fm_place* place, __u32 point) {
  const struct fm_settings* s = fm_loaded_settings();
  __u64 held = 0;
  struct fm_map_entry* entry = fm_lock_entry(&p->key, FM_FIND_OR_CREATE_ENTRY, &held);
  if (!entry) {
    p->time_ns = fm_context_time_ns(context);
    return fm_send_uncounted(p, place->ifindex, place->hook) ? FM_METERED : FM_UNRECORDED;
  }
  /* Under the lock, so that a flow's times are in the order of its updates on all CPUs, and no
   * earlier packet can follow once the closing program has found the flow idle. */
  p->time_ns = fm_context_time_ns(context);
  if (count_once && fm_seen_before(entry, p, point)) {
    /* An interface further on its path may lead to the other end. */
    fm_unlock(entry, held, attribute ? fm_tell_owners(context, p, held, place) : held);
    return FM_SEEN_BEFORE;
  }

  __u64 word = held;
  __u8 new_entry_bit = 0;
  enum fm_end_reason ended = FM_END_NONE;
  const int begun = entry->counters.begun;
  if (FM_LIKELY(begun)) ended = fm_flow_ended(&entry->counters, p, s);
  if (FM_UNLIKELY(!begun || ended != FM_END_NONE)) {
    word = fm_begin_flow(entry, p, word, ended);
    entry->ifindex = place->ifindex;
    entry->hook = place->hook;
    if (!begun) new_entry_bit = FM_RECORD_NEW_ENTRY;
  }
  /* Before the counters: the record that opens a flow has the state before its first packet. */
  if (!timing_in_kernel) {
    word = fm_send_packet(entry, p, word, new_entry_bit);
    if (fm_with_application()) fm_hand_over_payload(context, entry, p, word);
    if (fm_with_sizes()) fm_update_sizes(entry, fm_entry_sizes(entry), p);
    fm_flow_counters_update(&entry->counters, p);
  } else {
    const int was_closed = fm_flow_closed(&entry->counters);
    const int announced = (word & FM_LOCK_ANNOUNCED) != 0;
    if (!announced) word = fm_send_packet(entry, p, word, new_entry_bit);
    fm_update_timing(&((struct fm_timed_map_entry*)entry)->timing, p);
    if (fm_with_sizes()) fm_update_sizes(entry, fm_entry_sizes(entry), p);
    fm_flow_counters_update(&entry->counters, p);
    /* Only a close of the TCP connection makes a flow end earlier than the daemon expects. */
    if (FM_UNLIKELY(announced && !was_closed && fm_flow_closed(&entry->counters)))
      fm_send_packet(entry, p, word, 0);
  }
  if (attribute) word = fm_tell_owners(context, p, word, place);
  fm_unlock(entry, held, word);
  return FM_METERED;
}

FM_INLINE int fm_meter(fm_context* context, __u32 link_type, __u8 hook) {
  const __u32 ifindex = fm_context_ifindex(context);
  __u32 slot = 0;
  struct fm_interface* interface = fm_find_interface(ifindex, &slot);
  if (!interface) return FM_NEXT;
  struct fm_packet packet = {};
  struct fm_fragment_key fragment;
  enum fm_fragment_role role;
  link_type = fm_context_link_type(context, link_type);
  enum fm_packet_class packet_class =
      fm_parse(context, fm_frame(context), link_type, &packet, &fragment, &role);
  if (packet_class == FM_METERED && FM_UNLIKELY(role != FM_NOT_FRAGMENT))
    packet_class = fm_join_fragments(context, &packet, &fragment, role);
  __u32 packets;
  if (FM_LIKELY(packet_class == FM_METERED)) {
    packets = fm_packet_segments(&packet);
    if (per_interface) packet.key.interface = (__u16)(slot + 1);
    const struct fm_place place = {ifindex, slot, link_type, hook};
    packet_class = fm_record_packet(context, &packet, &place, fm_point(interface, hook));
  } else {
    packets = fm_context_segments(context);
  }
  /* Verifier (all versions): for it, the result of a function that is not inlined may be any
   * number. clang knows the range and would remove the check, so the barrier hides the value from
   * clang. */
  __u32 index = packet_class;
  barrier_var(index);
  if (index >= FM_PACKET_CLASS_COUNT) index = FM_MALFORMED;
  struct fm_hook_counters* counters = &interface->hook[hook];
  counters->seen += packets;
  counters->buffers += 1;
  counters->by_class[index] += packets;
  if (FM_UNLIKELY(fm_context_uncertain(context, interface, hook))) counters->uncertain += packets;
  return FM_NEXT;
}

#endif
