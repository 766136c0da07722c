/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* A frame as an XDP program gets it: before the kernel has an skb (native), or as the skb's bytes
 * (generic). There are no segments here: packets that were merged before are one frame.
 *
 * Defines the same names as context_skb.bpf.h. */
#ifndef FLOWMETER_CONTEXT_XDP_BPF_H
#define FLOWMETER_CONTEXT_XDP_BPF_H

#include "settings.bpf.h"

typedef struct xdp_md fm_context;

#define FM_NEXT XDP_PASS

#define FM_HEADER_OFFSET_MAX 0x7fff /* as in context_skb.bpf.h */

/* Requires: size is a constant, scratch is 8-aligned. A frame of several buffers nearly always has
 * its headers in the first one. */
FM_INLINE const void* fm_peek(fm_context* xdp, __u32 offset, __u32 size, void* scratch) {
  const __u8* data = (const __u8*)(long)xdp->data;
  const __u8* end = (const __u8*)(long)xdp->data_end;
  if (offset > FM_HEADER_OFFSET_MAX) return 0;
  if (data + offset + size <= end) return data + offset;
  if (bpf_xdp_load_bytes(xdp, offset, scratch, size) < 0) return 0;
  return scratch;
}

#define FM_PARSE_PAYLOAD fm_with_application()
#include "flowmeter/parse.h"

FM_INLINE __u32 fm_context_length(fm_context* xdp) {
  return (__u32)bpf_xdp_get_buff_len(xdp);
}

/* Copies size bytes of the frame. Returns 0, or an error if it does not have them. */
FM_INLINE long fm_context_load(fm_context* xdp, __u32 offset, void* to, __u32 size) {
  return bpf_xdp_load_bytes(xdp, offset, to, size);
}

FM_INLINE struct fm_frame_facts fm_frame(fm_context* xdp) {
  struct fm_frame_facts facts = {};
  facts.wire_length = (__u32)bpf_xdp_get_buff_len(xdp);
  return facts;
}

FM_INLINE __u64 fm_context_time_ns(fm_context* xdp) {
  (void)xdp;
  return bpf_ktime_get_ns();
}

FM_INLINE __u32 fm_context_link_type(fm_context* xdp, __u32 link_type) {
  (void)xdp;
  return link_type;
}

FM_INLINE __u32 fm_context_ifindex(fm_context* xdp) {
  return xdp->ingress_ifindex;
}

FM_INLINE __u32 fm_context_segments(fm_context* xdp) {
  (void)xdp;
  return 1;
}

/* Whether this frame's form on the wire is a guess: it is longer than the link allows, so the
 * device or the sender's offload has merged packets. */
FM_INLINE int fm_context_uncertain(fm_context* xdp, const struct fm_interface* interface,
                                   __u8 hook) {
  (void)hook;
  return interface->frame_limit && bpf_xdp_get_buff_len(xdp) > interface->frame_limit;
}

/* A frame that has just arrived has no socket. */
FM_INLINE int fm_context_has_socket(fm_context* xdp) {
  (void)xdp;
  return 0;
}

FM_INLINE struct bpf_sock* fm_context_sender(fm_context* xdp, const struct fm_packet* p) {
  (void)xdp, (void)p;
  return 0;
}

FM_INLINE int fm_context_owner(fm_context* xdp, const struct fm_packet* p, struct bpf_sock* socket,
                               struct fm_owner_record* owner) {
  (void)xdp, (void)p, (void)socket, (void)owner;
  return 0;
}

#endif
