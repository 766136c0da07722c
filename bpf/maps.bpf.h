/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* All maps. The sizes here are placeholders; the loader sets them from the command line. */
#ifndef FLOWMETER_MAPS_BPF_H
#define FLOWMETER_MAPS_BPF_H

#include "flowmeter/abi.h"
#include "socket_owners.bpf.h"

/* The flow map. When it is full it refuses new flows; the loader makes it an LRU map on request.
 * Only with datapath "kernel", its values are fm_timed_map_entry. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __uint(key_size, sizeof(struct fm_flow_key));
  __uint(value_size, sizeof(struct fm_timed_map_entry));
} flows SEC(".maps");

/* First fragments. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1024);
  __type(key, struct fm_fragment_key);
  __type(value, struct fm_first_fragment);
} fragments SEC(".maps");

/* The interfaces that are metered. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, FM_INTERFACE_SLOTS);
  __type(key, __u32);
  __type(value, struct fm_interface);
} interfaces SEC(".maps");

/* What these interfaces say about the ends of flows. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FM_INTERFACE_SLOTS);
  __type(key, __u32);
  __type(value, struct fm_interface_ends);
} interface_ends SEC(".maps");

/* The ends of the event streams: one stream per CPU, and one for answers. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct fm_stream);
} streams SEC(".maps");

/* The event streams, one after the other. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct fm_packet_record);
} stream_units SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct fm_cpu_counters);
} cpu_counters SEC(".maps");

/* For the daemon only; no BPF program reads it. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct fm_journal);
} journal SEC(".maps");

/* New entries, long records ([enum fm_writer]) and payload records are assembled here, because they
 * are too large for the stack. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct fm_timed_map_entry);
} new_entry SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, union fm_long_record);
} long_record SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, union fm_long_payload_record);
} payload_record SEC(".maps");

#endif
