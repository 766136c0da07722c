/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* A frame as a TC program gets it: an skb. Its headers may be outside of its linear part, and it
 * may stand for several packets on the wire.
 *
 * Defines what parse.h reads frames through (fm_context, fm_peek) and what meter.bpf.h asks of the
 * context (fm_frame, fm_context_…). context_xdp.bpf.h has the same names. */
#ifndef FLOWMETER_CONTEXT_SKB_BPF_H
#define FLOWMETER_CONTEXT_SKB_BPF_H

#include "maps.bpf.h"
#include "settings.bpf.h"

typedef struct __sk_buff fm_context;

/* Continues with the next program: TCX_NEXT, and TC_ACT_UNSPEC for clsact. */
#define FM_NEXT (-1)

/* No header is further from the frame's start: 8 extension headers of at most 2048 bytes, 8 labels,
 * 4 tags and the link header together are shorter. The verifier needs this bound because it refuses
 * packet offsets above 65535. */
#define FM_HEADER_OFFSET_MAX 0x7fff

/* Requires: size is a constant, scratch is 8-aligned. Nearly all TCP skbs are non-linear, but their
 * headers are mostly in the linear part, so the copy is the exception. */
FM_INLINE const void* fm_peek(fm_context* skb, __u32 offset, __u32 size, void* scratch) {
  const __u8* data = (const __u8*)(long)skb->data;
  const __u8* end = (const __u8*)(long)skb->data_end;
  if (offset > FM_HEADER_OFFSET_MAX) return 0;
  if (data + offset + size <= end) return data + offset;
  if (bpf_skb_load_bytes(skb, offset, scratch, size) < 0) return 0;
  return scratch;
}

#define FM_PARSE_PAYLOAD fm_with_application()
#include "flowmeter/parse.h"

/* The number of bytes that can be read; less than on the wire if a test has cut the frame. */
FM_INLINE __u32 fm_context_length(fm_context* skb) {
  return skb->len;
}

/* Copies size bytes of the frame. Returns 0, or an error if it does not have them. */
FM_INLINE long fm_context_load(fm_context* skb, __u32 offset, void* to, __u32 size) {
  return bpf_skb_load_bytes(skb, offset, to, size);
}

/* A VLAN tag that the kernel keeps outside of the frame counts, because it is on the wire. */
FM_INLINE struct fm_frame_facts fm_frame(fm_context* skb) {
  struct fm_frame_facts facts = {};
  facts.tags_beside = skb->vlan_present != 0;
  facts.wire_length = skb->len + 4u * facts.tags_beside;
  facts.segment_bytes = (__u16)skb->gso_size;
  if (test_input) facts.wire_length = skb->cb[FM_TEST_CB_WIRE_LENGTH];
  return facts;
}

FM_INLINE __u64 fm_context_time_ns(fm_context* skb) {
  return test_input ? skb->tstamp : bpf_ktime_get_ns();
}

FM_INLINE __u32 fm_context_link_type(fm_context* skb, __u32 link_type) {
  return test_input ? skb->cb[FM_TEST_CB_LINK_TYPE] : link_type;
}

FM_INLINE __u32 fm_context_ifindex(fm_context* skb) {
  return skb->ifindex;
}

/* The packets on the wire of a buffer that was not parsed, for which only the kernel's own count is
 * known. */
FM_INLINE __u32 fm_context_segments(fm_context* skb) {
  return skb->gso_size && skb->gso_segs ? skb->gso_segs : 1;
}

/* Whether this buffer's form on the wire is a guess: the device has merged packets (LRO). Unlike
 * those that GRO merges, they may have had different lengths and flags. */
FM_INLINE int fm_context_uncertain(fm_context* skb, const struct fm_interface* interface,
                                   __u8 hook) {
  return hook == FM_HOOK_INGRESS && interface->merges && skb->gso_size;
}

/* Whether the buffer still belongs to the socket that has sent it. */
FM_INLINE int fm_context_has_socket(fm_context* skb) {
  return skb->sk != 0;
}

/* Whether this socket has sent this packet: it is none of a tunnel whose own packet carries what
 * the socket has sent, nor the one that a program has chosen to receive it. */
FM_INLINE int fm_socket_sends(const struct bpf_sock* socket, const struct fm_packet* p) {
  const __u8 protocol = p->key.protocol;
  if (socket->family != FM_AF_INET && socket->family != FM_AF_INET6) return 0;
  if (socket->protocol != protocol) return 0;
  /* By such a socket the kernel sends neighbour discovery and reports of groups, never an echo
   * request. Each network namespace has its own, and it has the cgroup of whoever made the
   * namespace: the engine's. */
  if (protocol == FM_ICMPV6 && socket->type == FM_SOCK_RAW)
    return p->window >> 8 == FM_ICMPV6_ECHO_REQUEST;
  if ((protocol != FM_TCP && protocol != FM_UDP) || socket->type == FM_SOCK_RAW) return 1;
  return socket->src_port == p->key.port[p->direction & 1];
}

/* The socket that has sent the packet, or 0. One in TIME_WAIT is not known. */
FM_INLINE struct bpf_sock* fm_context_sender(fm_context* skb, const struct fm_packet* p) {
  struct bpf_sock* const sender = skb->sk;
  if (!sender) return 0;
  struct bpf_sock* socket = bpf_sk_fullsock(sender);
  if (!socket) socket = bpf_get_listener_sock(sender); /* of a request that it answers */
  return socket && fm_socket_sends(socket, p) ? socket : 0;
}

/* Sets who that is. Returns 0 if it is not known (yet): what the kernel sends for itself has the
 * root cgroup, as have processes of a host without systemd. */
FM_INLINE int fm_context_owner(fm_context* skb, const struct fm_packet* p, struct bpf_sock* socket,
                               struct fm_owner_record* owner) {
  const struct fm_socket_owner* process = 0;
  if (attribute == FM_ATTRIBUTE_PROCESS) process = bpf_sk_storage_get(&socket_owners, socket, 0, 0);
  const __u64 cgroup = bpf_skb_cgroup_id(skb);
  if (cgroup == 0 || (cgroup == bpf_skb_ancestor_cgroup_id(skb, 0) && !process)) return 0;
  owner->cgroup = cgroup;
  owner->source = p->key.protocol == FM_TCP && socket->state == BPF_TCP_LISTEN ? FM_OWNER_LISTENER
                                                                               : FM_OWNER_SOCKET;
  if (process) {
    owner->pid = process->pid;
    __builtin_memcpy(owner->comm, process->comm, sizeof(owner->comm));
  }
  return 1;
}

#endif
