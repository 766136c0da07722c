/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of reasons why a flow ended. The column end_reason and its documentation are made from
 * it. */
#ifndef FLOWMETER_END_REASON_H
#define FLOWMETER_END_REASON_H

/* X(constant, printed name, description) */
#define FM_END_REASON_LIST(X)                                                                    \
  X(FM_END_IDLE, "idle", "no packet for longer than the flow's idle time-out")                   \
  X(FM_END_REOPENED, "reopened", "closed TCP flow followed by a SYN on the same 5-tuple")        \
  X(FM_END_ACTIVE, "active", "older than the active time-out; continued by the next flow")       \
  X(FM_END_INPUT, "end", "end of the capture, or the meter was stopped")                         \
  X(FM_END_RESOURCES, "resources", "forced out because the flow table was full")                 \
  X(FM_END_EVICTED, "evicted", "live only: the kernel's map (--flow-map lru) dropped its entry") \
  X(FM_END_UPGRADE, "upgrade", "live only: another version of the meter has taken over")

enum fm_end_reason {
#define FM_END_ENUM(constant, name, description) constant,
  FM_END_REASON_LIST(FM_END_ENUM)
#undef FM_END_ENUM
      FM_END_COUNT,
  FM_END_NONE = FM_END_COUNT, /* it has not ended */
};

#endif
