/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Structs of the kernel, as far as programs here read them. libbpf finds where a member is in the
 * running kernel, by the names. */
#ifndef FLOWMETER_KERNEL_STRUCTS_BPF_H
#define FLOWMETER_KERNEL_STRUCTS_BPF_H

#include "flowmeter/abi.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
  __u64 id;
};
struct cgroup_root {
  int hierarchy_id;
};
struct cgroup {
  struct kernfs_node* kn;
  struct cgroup_root* root;
};

struct sock_common {
  unsigned short skc_family;
};
struct sock {
  struct sock_common __sk_common;
};
struct socket {
  struct sock* sk;
};
struct task_struct {
  int tgid;
  char comm[FM_COMM_BYTES];
};
struct file;
struct bpf_iter__task_file {
  struct task_struct* task;
  struct file* file;
};

#pragma clang attribute pop

#endif
