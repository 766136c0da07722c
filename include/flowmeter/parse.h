/* SPDX-License-Identifier: BSD-3-Clause */
/* From the bytes of a frame to a struct fm_packet, or to the class that says why it is not metered.
 *
 * Checks go from the outside in: link (parse_link.h), IP header and lengths, protocol, fragment,
 * transport. Bytes are read only through fm_peek (walk.h). Only headers need to be captured:
 * lengths come from the IP header and from the wire length. Tags, labels and PPPoE sessions are
 * skipped and are not part of the key. */
#ifndef FLOWMETER_PARSE_H
#define FLOWMETER_PARSE_H

#include "flowmeter/fragment.h"
#include "flowmeter/parse_link.h"

FM_INLINE enum fm_packet_class fm_walk_set_end(struct fm_walk* w, __u32 ip_length) {
  w->packet_end = w->ip_start + ip_length;
  return w->packet_end <= w->wire_length ? FM_METERED : FM_MALFORMED;
}

FM_INLINE enum fm_packet_class fm_walk_ipv4(fm_context* frame, struct fm_walk* w,
                                            struct fm_flow_key* key) {
  union fm_scratch scratch;
  const struct fm_ipv4_header* ip =
      (const struct fm_ipv4_header*)fm_peek(frame, w->offset, sizeof(*ip), &scratch);
  if (!ip || ip->version_ihl >> 4 != 4) return FM_MALFORMED;
  const __u32 header_length = (ip->version_ihl & 0xfu) * 4u;
  if (header_length < sizeof(*ip)) return FM_MALFORMED;
  __u32 total_length = fm_be16(ip->total_length);
  const __u16 flags_offset = fm_be16(ip->fragment);
  const __u16 identification = fm_be16(ip->identification);
  w->next_protocol = ip->protocol;
  key->address[0] = fm_address_ipv4(ip->source);
  key->address[1] = fm_address_ipv4(ip->destination);
  /* ip is not used below, because the check of the options may overwrite scratch */
  if (header_length > sizeof(*ip) && !fm_peek(frame, w->offset + header_length - 4, 4, &scratch))
    return FM_MALFORMED;

  w->ip_start = w->offset;
  /* 0: captured before segmentation; the packet ends with the frame */
  if (total_length == 0) total_length = w->wire_length - w->ip_start;
  if (total_length < header_length) return FM_MALFORMED;
  if (fm_walk_set_end(w, total_length) != FM_METERED) return FM_MALFORMED;
  w->offset += header_length;

  if (w->next_protocol != FM_TCP && w->next_protocol != FM_UDP && w->next_protocol != FM_ICMP)
    return FM_OTHER_PROTOCOL;

  if (FM_UNLIKELY(flags_offset & (FM_IPV4_OFFSET_MASK | FM_IPV4_MORE_FRAGMENTS))) {
    w->fragment_role = flags_offset & FM_IPV4_OFFSET_MASK ? FM_LATER_FRAGMENT : FM_FIRST_FRAGMENT;
    w->identification = identification;
  }
  return FM_METERED;
}

FM_INLINE int fm_is_ext_header(__u8 next_header) {
  switch (next_header) {
    case FM_IPPROTO_HOP_BY_HOP:
    case FM_IPPROTO_ROUTING:
    case FM_IPPROTO_FRAGMENT:
    case FM_IPPROTO_AUTHENTICATION:
    case FM_IPPROTO_DESTINATION:
    case FM_IPPROTO_MOBILITY:
    case FM_IPPROTO_HOST_IDENTITY:
    case FM_IPPROTO_SHIM6:
      return 1;
    default:
      return 0;
  }
}

/* Moves w past one extension header. */
FM_INLINE enum fm_packet_class fm_walk_ext_header(fm_context* frame, struct fm_walk* w) {
  union fm_scratch scratch;
  const struct fm_ext_header* ext =
      (const struct fm_ext_header*)fm_peek(frame, w->offset, sizeof(*ext), &scratch);
  if (!ext) return FM_MALFORMED;
  __u32 length = (ext->length + 1u) * 8u;
  if (w->next_protocol == FM_IPPROTO_FRAGMENT) {
    const __u16 offset_more = fm_be16(ext->fragment);
    length = sizeof(*ext);
    /* Without either it is an atomic fragment, which is the whole datagram (RFC 6946). */
    if (offset_more & (FM_IPV6_OFFSET_MASK | FM_IPV6_MORE_FRAGMENTS)) {
      w->fragment_role = offset_more & FM_IPV6_OFFSET_MASK ? FM_LATER_FRAGMENT : FM_FIRST_FRAGMENT;
      w->identification = fm_be32(ext->identification);
    }
  } else if (w->next_protocol == FM_IPPROTO_AUTHENTICATION) {
    length = (ext->length + 2u) * 4u;
  } else if (w->next_protocol == FM_IPPROTO_HOP_BY_HOP && length == FM_JUMBO_HEADER) {
    w->jumbo_option = fm_be16(ext->fragment) >> 8 == FM_JUMBO_OPTION;
  }
  w->next_protocol = ext->next_header;
  w->offset += length;
  return w->offset <= w->packet_end ? FM_METERED : FM_MALFORMED;
}

/* Moves w past all extension headers, or past the fragment header of a later fragment. */
FM_SLOW_PATH enum fm_packet_class fm_walk_ext_headers(fm_context* frame, struct fm_walk* w) {
  if (!w) return FM_MALFORMED;
  for (int i = 0; i < FM_IPV6_EXT_HEADERS_MAX && fm_is_ext_header(w->next_protocol); i++) {
    if (fm_walk_ext_header(frame, w) != FM_METERED) return FM_MALFORMED;
    if (w->fragment_role == FM_LATER_FRAGMENT) break;
  }
  return FM_METERED;
}

FM_INLINE enum fm_packet_class fm_walk_ipv6(fm_context* frame, struct fm_walk* w,
                                            struct fm_flow_key* key) {
  union fm_scratch scratch;
  const struct fm_ipv6_header* ip =
      (const struct fm_ipv6_header*)fm_peek(frame, w->offset, sizeof(*ip), &scratch);
  if (!ip || fm_be32(ip->version_class_label) >> 28 != 6) return FM_MALFORMED;
  __u32 ip_length = fm_be16(ip->payload_length);
  w->ip_start = w->offset;
  w->offset += sizeof(*ip);
  /* 0: a jumbogram, or captured before segmentation; the packet ends with the frame */
  ip_length = ip_length ? ip_length + (__u32)sizeof(*ip) : w->wire_length - w->ip_start;
  if (fm_walk_set_end(w, ip_length) != FM_METERED) return FM_MALFORMED;
  w->next_protocol = ip->next_header;
  key->address[0].words[0] = ip->source[0];
  key->address[0].words[1] = ip->source[1];
  key->address[1].words[0] = ip->destination[0];
  key->address[1].words[1] = ip->destination[1];

  const __u8 protocol = w->next_protocol;
  if (FM_UNLIKELY(protocol != FM_TCP && protocol != FM_UDP && protocol != FM_ICMPV6)) {
    if (fm_walk_ext_headers(frame, w) != FM_METERED) return FM_MALFORMED;
    /* A later fragment may start inside a chain of extension headers. Only the datagram's first
     * fragment has the protocol. */
    if (w->fragment_role == FM_LATER_FRAGMENT && fm_is_ext_header(w->next_protocol))
      return FM_METERED;
  }
  return w->next_protocol == FM_TCP || w->next_protocol == FM_UDP || w->next_protocol == FM_ICMPV6
             ? FM_METERED
             : FM_OTHER_PROTOCOL;
}

/* Reads the transport header at w->offset and completes the key. Returns the header's length, or 0
 * if it is malformed. */
FM_INLINE __u32 fm_walk_transport(fm_context* frame, const struct fm_walk* w, struct fm_packet* p) {
  union fm_scratch scratch;
  const __u32 room = w->packet_end - w->offset;

  if (w->next_protocol == FM_TCP) {
    const struct fm_tcp_header* tcp =
        (const struct fm_tcp_header*)fm_peek(frame, w->offset, sizeof(*tcp), &scratch);
    if (!tcp) return 0;
    const __u32 length = (tcp->data_offset >> 4) * 4u;
    if (length < sizeof(*tcp) || length > room) return 0;
    p->direction =
        fm_key_set_ports(&p->key, fm_be16(tcp->source_port), fm_be16(tcp->destination_port),
                         w->next_protocol, w->ip_version);
    p->flags = tcp->flags;
    p->window = fm_be16(tcp->window);
    if (FM_PARSE_PAYLOAD) p->sequence = fm_be32(tcp->sequence);
    return length;
  }
  if (w->next_protocol == FM_UDP) {
    const struct fm_udp_header* udp =
        (const struct fm_udp_header*)fm_peek(frame, w->offset, sizeof(*udp), &scratch);
    if (!udp || room < sizeof(*udp)) return 0;
    p->direction =
        fm_key_set_ports(&p->key, fm_be16(udp->source_port), fm_be16(udp->destination_port),
                         w->next_protocol, w->ip_version);
    return sizeof(*udp);
  }
  const struct fm_icmp_header* icmp =
      (const struct fm_icmp_header*)fm_peek(frame, w->offset, sizeof(*icmp), &scratch);
  if (!icmp || room < sizeof(*icmp)) return 0;
  const __u8 type = icmp->type;
  const __u8 code = icmp->code;
  const int echo = w->ip_version == 4
                       ? type == FM_ICMP_ECHO_REQUEST || type == FM_ICMP_ECHO_REPLY
                       : type == FM_ICMPV6_ECHO_REQUEST || type == FM_ICMPV6_ECHO_REPLY;
  p->direction =
      fm_key_set_icmp(&p->key, echo ? FM_KEY_ICMP_ECHO : FM_KEY_ICMP_TYPE,
                      echo ? fm_be16(icmp->identifier) : type, w->next_protocol, w->ip_version);
  p->window = (__u16)(type << 8 | code);
  return sizeof(*icmp);
}

/* Fills in the identity of the datagram for the table of first fragments. */
FM_INLINE void fm_walk_fragment(const struct fm_walk* w, const struct fm_flow_key* key,
                                struct fm_fragment_key* fragment) {
  __builtin_memset(fragment, 0, sizeof(*fragment));
  fragment->source = key->address[0];
  fragment->destination = key->address[1];
  fragment->identification = w->identification;
  fragment->ip_version = w->ip_version;
  fragment->protocol = w->ip_version == 4 ? w->next_protocol : 0;
}

/* What is known about a frame besides its bytes. */
struct fm_frame_facts {
  __u32 wire_length;   /* at least what is captured */
  __u16 segment_bytes; /* gso_size of the kernel's buffer; 0: one packet */
  __u8 tags_beside;    /* VLAN tags kept outside of the frame; counted in wire_length */
};

/* Fills p from a frame and returns FM_METERED, or returns the class that says why the packet is not
 * metered. If *role becomes FM_FIRST_FRAGMENT and the packet is metered, the caller must remember
 * it under *fragment. If *role becomes FM_LATER_FRAGMENT, p->key is not set yet and the caller must
 * call fm_fragment_join. Requires: all of p but time_ns is zero. */
FM_INLINE enum fm_packet_class fm_parse(fm_context* frame, struct fm_frame_facts facts,
                                        __u32 link_type, struct fm_packet* p,
                                        struct fm_fragment_key* fragment,
                                        enum fm_fragment_role* role) {
  /* Verifier (all versions): zeroed, because clang may spill values that are undefined on a path
   * that ends in a refusal, and the verifier rejects any read of an unset register. */
  struct fm_walk w = {};
  enum fm_packet_class packet_class;
  __u32 transport_length = 0;

  *role = FM_NOT_FRAGMENT;
  w.wire_length = facts.wire_length;
  w.tags = facts.tags_beside;
  packet_class = fm_walk_link(frame, link_type, &w);
  if (packet_class != FM_METERED) return packet_class;
  packet_class =
      w.ip_version == 4 ? fm_walk_ipv4(frame, &w, &p->key) : fm_walk_ipv6(frame, &w, &p->key);
  if (packet_class != FM_METERED) return packet_class;

  if (FM_UNLIKELY(w.fragment_role != FM_NOT_FRAGMENT)) {
    *role = (enum fm_fragment_role)w.fragment_role;
    fm_walk_fragment(&w, &p->key, fragment);
  }
  if (w.fragment_role != FM_LATER_FRAGMENT) {
    transport_length = fm_walk_transport(frame, &w, p);
    if (transport_length == 0) return FM_MALFORMED;
  }
  p->wire_length = facts.wire_length;
  p->header_bytes = (__u16)(w.offset + transport_length - w.ip_start);
  p->transport_header_bytes = (__u8)transport_length;
  p->payload_bytes = w.packet_end - (w.offset + transport_length);
  if (FM_PARSE_PAYLOAD) p->payload_offset = (__u16)(w.offset + transport_length);
  p->segment_bytes = facts.segment_bytes;
  p->has_shims = w.shims | facts.tags_beside;
  if (FM_UNLIKELY(w.jumbo_option && facts.segment_bytes)) {
    /* The kernel puts it before a "big TCP" buffer, and segmentation removes it. */
    p->wire_length -= FM_JUMBO_HEADER;
    p->header_bytes -= FM_JUMBO_HEADER;
  }
  return FM_METERED;
}

#endif
