/* SPDX-License-Identifier: BSD-3-Clause */
/* The one list of what can become of a packet, and the one list of why a flow ended.
 *
 * Every packet seen is in exactly one class: seen = FM_METERED + the sum of all others. Counters
 * (in the kernel and in replay), the account printed at exit and its documentation are made from
 * these lists. */
#ifndef FLOWMETER_REASON_H
#define FLOWMETER_REASON_H

/* X(constant, printed name, description) */
#define FM_REASON_LIST(X)                                                                       \
  X(FM_METERED, "metered", "added to a flow")                                                   \
  X(FM_NOT_IP, "not_ip",                                                                        \
    "unknown link type, EtherType or family; cut in its link header; more tags or labels than " \
    "opened")                                                                                   \
  X(FM_OTHER_PROTOCOL, "other_protocol", "IP, but not TCP, UDP, ICMP (IPv4) or ICMPv6 (IPv6)")  \
  X(FM_MALFORMED, "malformed", "announced as IP, but its headers or lengths do not hold")       \
  X(FM_UNATTRIBUTED_FRAGMENT, "unattributed_fragment",                                          \
    "a later fragment whose first fragment is not remembered")                                  \
  X(FM_SEEN_BEFORE, "seen_before",                                                              \
    "live only: counted where it passed another metered interface (not with --per-interface)")  \
  X(FM_UNRECORDED, "unrecorded",                                                                \
    "live only: neither the flow map nor the event stream could take it (a loss)")

enum fm_reason {
#define FM_REASON_ENUM(constant, name, description) constant,
  FM_REASON_LIST(FM_REASON_ENUM)
#undef FM_REASON_ENUM
      FM_REASON_COUNT
};

/* X(constant, printed name, description) */
#define FM_END_LIST(X)                                                                    \
  X(FM_END_IDLE, "idle", "no packet for longer than the flow's idle time-out")            \
  X(FM_END_REOPENED, "reopened", "closed TCP flow followed by a SYN on the same 5-tuple") \
  X(FM_END_ACTIVE, "active", "older than the active time-out; goes on in the next flow")  \
  X(FM_END_INPUT, "end", "end of the capture, or the meter was stopped")                  \
  X(FM_END_RESOURCES, "resources", "forced out because the flow table was full")          \
  X(FM_END_EVICTED, "evicted", "live only: the kernel's map (--flow-map lru) dropped its entry")

enum fm_end {
#define FM_END_ENUM(constant, name, description) constant,
  FM_END_LIST(FM_END_ENUM)
#undef FM_END_ENUM
      FM_END_COUNT
};

#endif
