// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* Tells the daemon which cgroups are made and removed, so that one which lives for a moment only
 * has a name, too. */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "flowmeter/cgroup_event.h"

#include "kernel_structs.bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 18); /* thousands of events */
} cgroup_events SEC(".maps");

/* Events for which there was no room. */
__u64 lost;

/* Too large for the stack. One is enough: the kernel calls these programs under the lock of the
 * buffer that holds the path (trace_cgroup_path_lock). */
static struct fm_cgroup_event event;

FM_INLINE int fm_tell(const struct bpf_raw_tracepoint_args* arguments, __u32 removed) {
  const struct cgroup* cgroup = (const struct cgroup*)arguments->args[0];
  const char* path = (const char*)arguments->args[1];
  if (BPF_CORE_READ(cgroup, root, hierarchy_id) != 0) return 0; /* of cgroup v1 */
  event.id = BPF_CORE_READ(cgroup, kn, id);
  event.removed = removed;
  const long bytes = bpf_probe_read_kernel_str(event.path, sizeof(event.path), path);
  if (bytes <= 0) return 0;
  const __u64 path_bytes = (__u64)bytes & (2 * FM_CGROUP_PATH_BYTES - 1);
  if (path_bytes > FM_CGROUP_PATH_BYTES) return 0; /* never; for the verifier */
  event.path_bytes = (__u32)path_bytes;
  if (bpf_ringbuf_output(&cgroup_events, &event, FM_CGROUP_EVENT_HEAD + path_bytes,
                         BPF_RB_NO_WAKEUP) != 0)
    __sync_fetch_and_add(&lost, 1);
  return 0;
}

SEC("raw_tp/cgroup_mkdir")
int fm_cgroup_made(struct bpf_raw_tracepoint_args* arguments) {
  return fm_tell(arguments, 0);
}

SEC("raw_tp/cgroup_rmdir")
int fm_cgroup_removed(struct bpf_raw_tracepoint_args* arguments) {
  return fm_tell(arguments, 1);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
