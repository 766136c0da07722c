/* SPDX-License-Identifier: BSD-3-Clause */
/* Joins later fragments, which have no ports, to the flow of their datagram's first fragment.
 *
 * Each placement has its own table of first fragments (an LRU map in the kernel,
 * user/flows/fragment_table.h in user space). This file decides what identifies a datagram and how
 * long it is remembered. Nothing is reassembled. */
#ifndef FLOWMETER_FRAGMENT_H
#define FLOWMETER_FRAGMENT_H

#include "flowmeter/packet.h"
#include "flowmeter/packet_class.h"
#include "flowmeter/settings.h"

enum fm_fragment_role {
  FM_NOT_FRAGMENT = 0,
  FM_FIRST_FRAGMENT = 1,
  FM_LATER_FRAGMENT = 2,
};

/* Identity of a datagram: IPv4 by addresses, protocol and identification (RFC 791), IPv6 by
 * addresses and identification only (RFC 8200, 4.5). The addresses are in the direction of travel.
 */
struct fm_fragment_key {
  struct fm_address source;
  struct fm_address destination;
  __u32 identification;
  __u8 ip_version;
  __u8 protocol; /* IPv4 only, else 0 */
  __u8 zero[2];
};
FM_STATIC_ASSERT(sizeof(struct fm_fragment_key) == 40, "map key: no hidden padding");

/* What the table remembers about a first fragment. */
struct fm_first_fragment {
  struct fm_flow_key key;
  __u64 time_ns;
  __u8 direction;
  __u8 zero;
  __u16 window; /* as in fm_packet */
  __u8 zero_too[4];
};
FM_STATIC_ASSERT(sizeof(struct fm_first_fragment) == 56, "map value: no hidden padding");

FM_INLINE struct fm_first_fragment fm_fragment_remember(const struct fm_packet* first) {
  struct fm_first_fragment f = {};
  f.key = first->key;
  f.time_ns = first->time_ns;
  f.direction = first->direction;
  f.window = first->window;
  return f;
}

/* Gives a later fragment the key of its first fragment, or refuses it. first: the table's entry for
 * its datagram, or null. An entry expires a fixed time after the first fragment's time stamp. */
FM_INLINE enum fm_packet_class fm_fragment_join(struct fm_packet* later,
                                                const struct fm_first_fragment* first,
                                                const struct fm_settings* s) {
  if (!first) return FM_UNATTRIBUTED_FRAGMENT;
  if (later->time_ns > first->time_ns && later->time_ns - first->time_ns > s->fragment_memory_ns)
    return FM_UNATTRIBUTED_FRAGMENT;
  later->key = first->key;
  later->direction = first->direction;
  later->window = first->window;
  return FM_METERED;
}

#endif
