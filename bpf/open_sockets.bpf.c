// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* Run once, at start: notes the owners of the IP sockets that are open already. An object of its
 * own, because it alone needs the kernel's type information (BTF). */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "kernel_structs.bpf.h"
#include "socket_owners.bpf.h"

/* Of several processes that have a socket open, the first that is visited is noted. Visits are in
 * the order of pids, so this is most likely the one that has made it. */
SEC("iter/task_file")
int fm_open_sockets(struct bpf_iter__task_file* visit) {
  struct task_struct* task = visit->task;
  struct file* file = visit->file;
  if (!task || !file) return 0;
  struct socket* socket = bpf_sock_from_file(file);
  if (!socket) return 0;
  struct sock* sk = socket->sk;
  if (!sk) return 0;
  const unsigned short family = sk->__sk_common.skc_family;
  if (family != FM_AF_INET && family != FM_AF_INET6) return 0;
  struct fm_socket_owner owner = {};
  owner.pid = (__u32)task->tgid;
  bpf_probe_read_kernel_str(owner.comm, sizeof(owner.comm), task->comm);
  bpf_sk_storage_get(&socket_owners, sk, &owner, BPF_SK_STORAGE_GET_F_CREATE);
  return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
