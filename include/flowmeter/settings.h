/* SPDX-License-Identifier: BSD-3-Clause */
/* The parameters of the flow state: time-outs, gaps and what is kept. They are set once at the
 * start. In the kernel they are read-only data of the loaded programs; in user space they are
 * passed as an argument. All times are in nanoseconds. Limits are strict: a value equal to a limit
 * does not exceed it. */
#ifndef FLOWMETER_SETTINGS_H
#define FLOWMETER_SETTINGS_H

#include "flowmeter/base.h"

struct fm_settings {
  __u64 idle_timeout_ns;      /* TCP and UDP: a longer silence ends the flow */
  __u64 icmp_idle_timeout_ns; /* the same for ICMP and ICMPv6 */
  __u64 tcp_linger_ns;        /* the same for a closed TCP flow */
  __u64 active_timeout_ns;    /* from the flow's first packet */
  __u64 activity_gap_ns;      /* a longer gap ends an active period and is an idle period */
  __u64 subflow_gap_ns;       /* a longer gap starts a new subflow */
  __u64 bulk_max_gap_ns;      /* a longer gap between payload packets ends a bulk */
  __u64 bulk_min_packets;     /* this many payload packets in a row are a bulk */
  __u64 fragment_memory_ns;   /* how long a first fragment is remembered */
  __u64 with_sizes;           /* 1: struct fm_flow_sizes is kept */
  __u64 with_application;     /* 1: payload is parsed, and bulks are kept by direction */
};

#define FM_SECOND_NS 1000000000ull

/* The defaults of the 82-feature set. user/features/feature_sets.cpp has those of other sets. */
FM_INLINE struct fm_settings fm_default_settings(void) {
  struct fm_settings s;
  s.idle_timeout_ns = 240 * FM_SECOND_NS;
  s.icmp_idle_timeout_ns = 60 * FM_SECOND_NS;
  s.tcp_linger_ns = 5 * FM_SECOND_NS;
  s.active_timeout_ns = 1800 * FM_SECOND_NS;
  s.activity_gap_ns = 5 * FM_SECOND_NS;
  s.subflow_gap_ns = 1 * FM_SECOND_NS;
  s.bulk_max_gap_ns = 1 * FM_SECOND_NS;
  s.bulk_min_packets = 4;
  s.fragment_memory_ns = 30 * FM_SECOND_NS;
  s.with_sizes = 0;
  s.with_application = 0;
  return s;
}

#endif
