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

/* Tells the owner of one end: who has sent the packet (source FM_OWNER_SOCKET), or which interface
 * leads to the end behind it and to no other (FM_OWNER_INTERFACE). Returns whether it is told. */
static __attribute__((noinline)) int fm_tell(fm_context* context, const struct fm_packet* p,
                                             const struct fm_place* place, __u64 flow_id,
                                             __u8 source) {
  if (!p || !place) return 0;
  const __u32 slot = place->slot;
  const struct fm_interface_ends* ends = bpf_map_lookup_elem(&interface_ends, &slot);
  if (!ends) return 0;
  const int is_ingress = place->hook == FM_HOOK_INGRESS;
  struct bpf_sock* sender = 0;
  if (source == FM_OWNER_INTERFACE) {
    if (!ends->is_one_end) return 0;
  } else {
    if (is_ingress && !ends->senders_are_local) return 0;
    sender = fm_context_sender(context, p);
    if (!sender) return 0;
  }
  union fm_long_record* r = fm_long_record_for(FM_PACKET_WRITER);
  if (!r) return 0;
  struct fm_owner_record* const owner = &r->owner;
  __builtin_memset(owner, 0, sizeof(*owner));
  if (!sender) {
    owner->source = FM_OWNER_INTERFACE;
    owner->end = fm_end_behind(p, place->hook);
  } else {
    if (!fm_context_owner(context, p, sender, owner)) return 0;
    owner->end = p->direction & 1;
  }
  if (ends->is_one_end && (is_ingress || !sender)) {
    owner->ifindex = place->ifindex;
    owner->station = fm_station(context, place);
  }
  owner->time_ns = p->time_ns;
  owner->flow_id = flow_id;
  owner->hook = place->hook;
  owner->what = FM_RECORD_OWNER;
  return fm_send_long(r, FM_OWNER_UNITS, FM_PACKET_WRITER);
}

/* Tells what this packet says about the owners of its flow and was not told yet. Returns the
 * entry's new lock word. Requires: entry is locked, word is its lock word. */
FM_INLINE __u64 fm_tell_owners(fm_context* context, const struct fm_packet* p, __u64 word,
                               const struct fm_place* place) {
  if (!(word & FM_LOCK_ANNOUNCED)) return word; /* the daemon knows no flow of this id */
  const __u64 flow_id = word >> FM_LOCK_ID_SHIFT;
  const __u8 sender = p->direction & 1, behind = fm_end_behind(p, place->hook);
  if (!(word & FM_LOCK_SOCKET_TOLD(sender)) && fm_context_has_socket(context) &&
      fm_tell(context, p, place, flow_id, FM_OWNER_SOCKET))
    word |= FM_LOCK_SOCKET_TOLD(sender);
  if (!(word & (FM_LOCK_SOCKET_TOLD(behind) | FM_LOCK_INTERFACE_TOLD(behind))) &&
      fm_tell(context, p, place, flow_id, FM_OWNER_INTERFACE))
    word |= FM_LOCK_INTERFACE_TOLD(behind);
  return word;
}

#endif
