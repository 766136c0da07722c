/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of packet classes, which say what became of a packet.
 *
 * Every packet seen is in exactly one class: seen = FM_METERED + the sum of all others. Counters
 * (in the kernel and in replay), the account printed at exit and its documentation are made from
 * this list. */
#ifndef FLOWMETER_PACKET_CLASS_H
#define FLOWMETER_PACKET_CLASS_H

/* X(constant, printed name, description) */
#define FM_PACKET_CLASS_LIST(X)                                                                \
  X(FM_METERED, "metered", "added to a flow")                                                  \
  X(FM_NOT_IP, "not_ip",                                                                       \
    "unknown link type, EtherType or family; incomplete link header; too many tags or labels") \
  X(FM_OTHER_PROTOCOL, "other_protocol", "IP, but not TCP, UDP, ICMP (IPv4) or ICMPv6 (IPv6)") \
  X(FM_MALFORMED, "malformed", "announced as IP, but its headers or lengths are invalid")      \
  X(FM_UNATTRIBUTED_FRAGMENT, "unattributed_fragment",                                         \
    "a later fragment whose first fragment is not known")                                      \
  X(FM_SEEN_BEFORE, "seen_before",                                                             \
    "live only: already counted at another metered interface (not with --per-interface)")      \
  X(FM_UNRECORDED, "unrecorded",                                                               \
    "live only: neither the flow map nor the event stream had room for it (a loss)")

enum fm_packet_class {
#define FM_CLASS_ENUM(constant, name, description) constant,
  FM_PACKET_CLASS_LIST(FM_CLASS_ENUM)
#undef FM_CLASS_ENUM
      FM_PACKET_CLASS_COUNT
};

#endif
