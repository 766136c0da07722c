/* SPDX-License-Identifier: BSD-3-Clause */
/* What bpf/cgroup_events.bpf.c tells the daemon about the cgroup v2 tree. */
#ifndef FLOWMETER_CGROUP_EVENT_H
#define FLOWMETER_CGROUP_EVENT_H

#include "flowmeter/base.h"

/* TRACE_CGROUP_PATH_LEN: the kernel cuts longer paths in its trace events. */
#define FM_CGROUP_PATH_BYTES 1024

struct fm_cgroup_event {
  __u64 id;
  __u32 removed;    /* 0: the cgroup was made */
  __u32 path_bytes; /* with the zero at its end; the record is only as long as that */
  char path[FM_CGROUP_PATH_BYTES];
};
#define FM_CGROUP_EVENT_HEAD 16
FM_STATIC_ASSERT(__builtin_offsetof(struct fm_cgroup_event, path) == FM_CGROUP_EVENT_HEAD,
                 "no hidden padding");

#endif
