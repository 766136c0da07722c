/* SPDX-License-Identifier: BSD-3-Clause */
/* From the first byte of a frame to its IP header: link types, VLAN tags, MPLS labels, PPP and
 * PPPoE sessions. Tunnels are not opened. */
#ifndef FLOWMETER_PARSE_LINK_H
#define FLOWMETER_PARSE_LINK_H

#include "flowmeter/packet_class.h"
#include "flowmeter/walk.h"

/* Values of the LINKTYPE registry (tcpdump.org/linktypes.html). 12, 14 and 101 are all raw IP. */
enum fm_link_type {
  FM_LINK_NULL = 0,
  FM_LINK_ETHERNET = 1,
  FM_LINK_PPP = 9,
  FM_LINK_RAW_12 = 12,
  FM_LINK_RAW_14 = 14,
  FM_LINK_RAW = 101,
  FM_LINK_LOOP = 108,
  FM_LINK_SLL = 113,
  FM_LINK_IPV4 = 228,
  FM_LINK_IPV6 = 229,
  FM_LINK_SLL2 = 276,
};

/* Whether frames of this link type are parsed; packets of all other types are not_ip. */
FM_INLINE int fm_link_known(__u32 link_type) {
  switch (link_type) {
    case FM_LINK_NULL:
    case FM_LINK_ETHERNET:
    case FM_LINK_PPP:
    case FM_LINK_RAW_12:
    case FM_LINK_RAW_14:
    case FM_LINK_RAW:
    case FM_LINK_LOOP:
    case FM_LINK_SLL:
    case FM_LINK_IPV4:
    case FM_LINK_IPV6:
    case FM_LINK_SLL2:
      return 1;
    default:
      return 0;
  }
}

/* Ends a walk at w->offset, where the IP header starts. */
FM_INLINE enum fm_packet_class fm_found_ip(struct fm_walk* w, __u8 version) {
  w->ip_version = version;
  return FM_METERED;
}

FM_INLINE enum fm_packet_class fm_walk_version_nibble(fm_context* frame, struct fm_walk* w) {
  union fm_scratch scratch;
  const __u8* first = (const __u8*)fm_peek(frame, w->offset, 1, &scratch);
  if (!first) return FM_NOT_IP;
  w->ip_version = *first >> 4;
  return w->ip_version == 4 || w->ip_version == 6 ? FM_METERED : FM_NOT_IP;
}

FM_INLINE enum fm_packet_class fm_walk_mpls(fm_context* frame, struct fm_walk* w) {
  union fm_scratch scratch;
  for (int i = 0; i < FM_MPLS_LABELS_MAX; i++) {
    const struct fm_be32_header* label =
        (const struct fm_be32_header*)fm_peek(frame, w->offset, sizeof(*label), &scratch);
    if (!label) return FM_NOT_IP;
    w->offset += sizeof(*label);
    if (fm_be32(label->value) & 0x100)
      return fm_walk_version_nibble(frame, w); /* bottom of stack */
  }
  return FM_NOT_IP;
}

FM_INLINE enum fm_packet_class fm_walk_ppp(fm_context* frame, struct fm_walk* w) {
  union fm_scratch scratch;
  const struct fm_be16_header* protocol =
      (const struct fm_be16_header*)fm_peek(frame, w->offset, sizeof(*protocol), &scratch);
  if (!protocol) return FM_NOT_IP;
  w->offset += sizeof(*protocol);
  switch (fm_be16(protocol->value)) {
    case FM_PPP_IPV4:
      return fm_found_ip(w, 4);
    case FM_PPP_IPV6:
      return fm_found_ip(w, 6);
    default:
      return FM_NOT_IP;
  }
}

FM_INLINE int fm_is_vlan(__u16 ethertype) {
  return ethertype == FM_ETH_VLAN || ethertype == FM_ETH_QINQ || ethertype == FM_ETH_QINQ_OLD;
}

/* Walks past VLAN tags, MPLS labels and PPPoE. Requires: the header that w->ethertype announces
 * starts at w->offset. */
FM_SLOW_PATH enum fm_packet_class fm_walk_shims(fm_context* frame, struct fm_walk* w) {
  union fm_scratch scratch;
  if (!w) return FM_NOT_IP; /* for the verifier */
  w->shims = 1;
  for (int i = 0; i < FM_VLAN_TAGS_MAX && fm_is_vlan(w->ethertype); i++) {
    if (w->tags >= FM_VLAN_TAGS_MAX) return FM_NOT_IP;
    const struct fm_vlan_tag* tag =
        (const struct fm_vlan_tag*)fm_peek(frame, w->offset, sizeof(*tag), &scratch);
    if (!tag) return FM_NOT_IP;
    w->tags += 1;
    w->offset += sizeof(*tag);
    w->ethertype = fm_be16(tag->ethertype);
  }
  switch (w->ethertype) {
    case FM_ETH_IPV4:
      return fm_found_ip(w, 4);
    case FM_ETH_IPV6:
      return fm_found_ip(w, 6);
    case FM_ETH_MPLS:
    case FM_ETH_MPLS_MULTICAST:
      return fm_walk_mpls(frame, w);
    case FM_ETH_PPPOE_SESSION:
      w->offset += FM_PPPOE_HEADER;
      return fm_walk_ppp(frame, w);
    default:
      return FM_NOT_IP;
  }
}

/* Reads the 2-byte protocol at protocol_offset as an EtherType. The header that it announces starts
 * at payload_offset. */
FM_INLINE enum fm_packet_class fm_walk_link_header(fm_context* frame, struct fm_walk* w,
                                                   __u32 protocol_offset, __u32 payload_offset) {
  union fm_scratch scratch;
  const struct fm_be16_header* protocol =
      (const struct fm_be16_header*)fm_peek(frame, protocol_offset, sizeof(*protocol), &scratch);
  if (!protocol) return FM_NOT_IP;
  w->offset = payload_offset;
  w->ethertype = fm_be16(protocol->value);
  if (FM_UNLIKELY(w->ethertype != FM_ETH_IPV4 && w->ethertype != FM_ETH_IPV6))
    return fm_walk_shims(frame, w);
  return fm_found_ip(w, w->ethertype == FM_ETH_IPV4 ? 4 : 6);
}

/* Values of AF_INET and AF_INET6 on the systems that write captures. */
enum fm_address_family {
  FM_FAMILY_IPV4 = 2,
  FM_FAMILY_IPV6_LINUX = 10,
  FM_FAMILY_IPV6_OPENBSD = 24, /* and NetBSD */
  FM_FAMILY_IPV6_FREEBSD = 28,
  FM_FAMILY_IPV6_MACOS = 30,
};

/* BSD null and loop: a 4-byte address family in the byte order of the machine that wrote it. */
FM_INLINE enum fm_packet_class fm_walk_family(fm_context* frame, struct fm_walk* w) {
  union fm_scratch scratch;
  const struct fm_be32_header* header =
      (const struct fm_be32_header*)fm_peek(frame, 0, sizeof(*header), &scratch);
  if (!header) return FM_NOT_IP;
  const __u32 big = fm_be32(header->value);
  w->offset = sizeof(*header);
  switch (big > 0xffffff ? __builtin_bswap32(big) : big) {
    case FM_FAMILY_IPV4:
      return fm_found_ip(w, 4);
    case FM_FAMILY_IPV6_LINUX:
    case FM_FAMILY_IPV6_OPENBSD:
    case FM_FAMILY_IPV6_FREEBSD:
    case FM_FAMILY_IPV6_MACOS:
      return fm_found_ip(w, 6);
    default:
      return FM_NOT_IP;
  }
}

/* Walks from the first byte of the frame to the IP header. */
FM_INLINE enum fm_packet_class fm_walk_link(fm_context* frame, __u32 link_type, struct fm_walk* w) {
  union fm_scratch scratch;
  w->offset = 0;
  switch (link_type) {
    case FM_LINK_ETHERNET:
      return fm_walk_link_header(frame, w, 12, 14);
    case FM_LINK_SLL:
      return fm_walk_link_header(frame, w, 14, 16);
    case FM_LINK_SLL2: /* the protocol comes first, so the rest of the header is checked here */
      if (!fm_peek(frame, 19, 1, &scratch)) return FM_NOT_IP;
      return fm_walk_link_header(frame, w, 0, 20);
    case FM_LINK_RAW_12:
    case FM_LINK_RAW_14:
    case FM_LINK_RAW:
      return fm_walk_version_nibble(frame, w);
    case FM_LINK_IPV4:
      return fm_found_ip(w, 4);
    case FM_LINK_IPV6:
      return fm_found_ip(w, 6);
    case FM_LINK_NULL:
    case FM_LINK_LOOP:
      return fm_walk_family(frame, w);
    case FM_LINK_PPP: {
      const struct fm_be16_header* hdlc =
          (const struct fm_be16_header*)fm_peek(frame, 0, sizeof(*hdlc), &scratch);
      if (hdlc && fm_be16(hdlc->value) == FM_PPP_HDLC) w->offset = sizeof(*hdlc);
      return fm_walk_ppp(frame, w);
    }
    default:
      return FM_NOT_IP;
  }
}

#endif
