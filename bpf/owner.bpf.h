/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Tells the daemon who owns the ends of a flow (--attribute): the socket that has sent a packet, or
 * the interface that leads to an end. Each is told once, and bits of the lock word remember it, so
 * that the later packets of a flow cost two tests. */
#ifndef FLOWMETER_OWNER_BPF_H
#define FLOWMETER_OWNER_BPF_H

#include "event.bpf.h"

/* Where a packet is: its interface's slot and the hook. */
struct fm_place {
  __u32 ifindex;
  __u32 slot;
  __u32 link_type;
  __u8 hook;
};

/* The end that the packet comes from or goes to through this interface. */
FM_INLINE __u8 fm_end_behind(const struct fm_packet* p, __u8 hook) {
  return (__u8)((p->direction ^ hook) & 1);
}
FM_STATIC_ASSERT(FM_HOOK_INGRESS == 0 && FM_HOOK_EGRESS == 1, "a packet comes in from its sender");

/* The hardware address of that end, or of the router before it. A bridge sends some packets to all
 * of its ports: for groups, and for addresses that it has not learned. So the interface alone does
 * not tell whose a packet is. 0: such links have no addresses. */
FM_INLINE __u64 fm_station(fm_context* context, const struct fm_place* place) {
  enum { kBytes = 6 };
  __u64 scratch = 0, station = 0;
  if (place->link_type != FM_LINK_ETHERNET) return 0;
  const void* address =
      fm_peek(context, place->hook == FM_HOOK_INGRESS ? kBytes : 0, kBytes, &scratch);
  if (address) __builtin_memcpy(&station, address, kBytes);
  return station;
}

/* Sends the record about this end. Returns 0 if there is no room. */
FM_INLINE int fm_send_owner(union fm_long_record* r, const struct fm_packet* p, __u64 word,
                            const struct fm_place* place, __u8 end) {
  r->owner.time_ns = p->time_ns;
  r->owner.flow_id = word >> FM_LOCK_ID_SHIFT;
  r->owner.end = end;
  r->owner.hook = place->hook;
  r->owner.what = FM_RECORD_OWNER;
  return fm_send_long(r, FM_OWNER_UNITS, FM_PACKET_WRITER);
}

/* Tells who has sent the packet, if that is known. Returns the entry's new lock word. */
static __attribute__((noinline)) __u64 fm_tell_socket(fm_context* context,
                                                      const struct fm_packet* p, __u64 word,
                                                      const struct fm_place* place) {
  if (!p || !place) return word;
  const __u32 slot = place->slot;
  const struct fm_interface_ends* ends = bpf_map_lookup_elem(&interface_ends, &slot);
  if (!ends || (place->hook == FM_HOOK_INGRESS && !ends->senders_are_local)) return word;
  union fm_long_record* r = fm_long_record_for(FM_PACKET_WRITER);
  if (!r) return word;
  const __u8 sender = p->direction & 1;
  __builtin_memset(&r->owner, 0, sizeof(r->owner));
  if (!fm_context_owner(context, p, &r->owner)) return word;
  if (ends->is_one_end && place->hook == FM_HOOK_INGRESS) {
    r->owner.ifindex = place->ifindex;
    r->owner.station = fm_station(context, place);
  }
  return fm_send_owner(r, p, word, place, sender) ? word | FM_LOCK_SOCKET_TOLD(sender) : word;
}

/* Tells which interface leads to an end, if it does to this one alone. The same. */
static __attribute__((noinline)) __u64 fm_tell_interface(fm_context* context,
                                                         const struct fm_packet* p, __u64 word,
                                                         const struct fm_place* place) {
  if (!p || !place) return word;
  const __u32 slot = place->slot;
  const struct fm_interface_ends* ends = bpf_map_lookup_elem(&interface_ends, &slot);
  if (!ends || !ends->is_one_end) return word;
  union fm_long_record* r = fm_long_record_for(FM_PACKET_WRITER);
  if (!r) return word;
  const __u8 end = fm_end_behind(p, place->hook);
  __builtin_memset(&r->owner, 0, sizeof(r->owner));
  r->owner.source = FM_OWNER_INTERFACE;
  r->owner.ifindex = place->ifindex;
  r->owner.station = fm_station(context, place);
  return fm_send_owner(r, p, word, place, end) ? word | FM_LOCK_INTERFACE_TOLD(end) : word;
}

/* Tells what this packet says about the owners of its flow and was not told yet. Returns the
 * entry's new lock word. Requires: entry is locked, word is its lock word. */
FM_INLINE __u64 fm_tell_owners(fm_context* context, const struct fm_packet* p, __u64 word,
                               const struct fm_place* place) {
  if (!(word & FM_LOCK_ANNOUNCED)) return word; /* the daemon knows no flow of this id */
  if (!(word & FM_LOCK_SOCKET_TOLD(p->direction & 1)) && fm_context_has_socket(context))
    word = fm_tell_socket(context, p, word, place);
  const __u8 behind = fm_end_behind(p, place->hook);
  if (!(word & (FM_LOCK_SOCKET_TOLD(behind) | FM_LOCK_INTERFACE_TOLD(behind))))
    word = fm_tell_interface(context, p, word, place);
  return word;
}

#endif
