/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* All maps. Sizes given here are placeholders; the loader sets them from the command line. */
#ifndef FLOWMETER_MAPS_BPF_H
#define FLOWMETER_MAPS_BPF_H

#include "flowmeter/abi.h"

/* The flows. LRU: a flood of new flows pushes out the cold ones and keeps the hot. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1024);
  __type(key, struct fm_flow_key);
  __type(value, struct fm_map_entry);
} flows SEC(".maps");

/* First fragments. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1024);
  __type(key, struct fm_fragment_key);
  __type(value, struct fm_first_fragment);
} fragments SEC(".maps");

/* Records for the daemon: abi.h. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct fm_cpu_counters);
} cpu_counters SEC(".maps");

/* A new entry is put together here: it is too large for the stack. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct fm_map_entry);
} new_entry SEC(".maps");

#endif
