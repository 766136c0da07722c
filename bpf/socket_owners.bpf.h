/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* The processes that own sockets (--attribute process): socket_owners.bpf.c notes them, the
 * metering programs read them. Only created if processes are attributed. */
#ifndef FLOWMETER_SOCKET_OWNERS_BPF_H
#define FLOWMETER_SOCKET_OWNERS_BPF_H

#include "flowmeter/abi.h"

/* Of the kernel's interface, whose headers for user space a BPF program cannot include. */
#define FM_AF_INET 2
#define FM_AF_INET6 10
#define FM_SOCK_RAW 3

/* A note is never changed, only replaced, so who reads one sees all of it. A connection that is
 * accepted has its listener's (BPF_F_CLONE). */
struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
  __type(key, int);
  __type(value, struct fm_socket_owner);
} socket_owners SEC(".maps");

#endif
