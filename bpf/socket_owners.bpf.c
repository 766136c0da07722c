// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* Notes in each IP socket the process that made it, and later the last one that has bound or
 * connected it, or has sent with it to an address that the call gives. Lets every call pass. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "socket_owners.bpf.h"

#define FM_ALLOW 1

FM_INLINE void fm_describe_current(struct fm_socket_owner* owner, __u32 pid) {
  owner->pid = pid;
  bpf_get_current_comm(owner->comm, sizeof(owner->comm));
}

FM_INLINE __u32 fm_current_pid(void) {
  return (__u32)(bpf_get_current_pid_tgid() >> 32);
}

FM_INLINE int fm_note_user(struct bpf_sock* sk) {
  if (!sk) return FM_ALLOW;
  const __u32 pid = fm_current_pid();
  const struct fm_socket_owner* known = bpf_sk_storage_get(&socket_owners, sk, 0, 0);
  if (known && known->pid == pid) return FM_ALLOW;
  if (known) bpf_sk_storage_delete(&socket_owners, sk);
  struct fm_socket_owner owner;
  fm_describe_current(&owner, pid);
  bpf_sk_storage_get(&socket_owners, sk, &owner, BPF_SK_STORAGE_GET_F_CREATE);
  return FM_ALLOW;
}

SEC("cgroup/sock_create")
int fm_sock_create(struct bpf_sock* sk) {
  struct fm_socket_owner owner;
  fm_describe_current(&owner, fm_current_pid());
  bpf_sk_storage_get(&socket_owners, sk, &owner, BPF_SK_STORAGE_GET_F_CREATE);
  return FM_ALLOW;
}

/* Not post_bind4 and post_bind6: these cannot replace a note (no bpf_sk_storage_delete). */
SEC("cgroup/bind4")
int fm_bind4(struct bpf_sock_addr* call) {
  return fm_note_user(call->sk);
}

SEC("cgroup/bind6")
int fm_bind6(struct bpf_sock_addr* call) {
  return fm_note_user(call->sk);
}

SEC("cgroup/connect4")
int fm_connect4(struct bpf_sock_addr* call) {
  return fm_note_user(call->sk);
}

SEC("cgroup/connect6")
int fm_connect6(struct bpf_sock_addr* call) {
  return fm_note_user(call->sk);
}

SEC("cgroup/sendmsg4")
int fm_sendmsg4(struct bpf_sock_addr* call) {
  return fm_note_user(call->sk);
}

SEC("cgroup/sendmsg6")
int fm_sendmsg6(struct bpf_sock_addr* call) {
  return fm_note_user(call->sk);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
