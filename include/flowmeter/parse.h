/* SPDX-License-Identifier: BSD-3-Clause */
/* From the octets of a frame to a struct fm_packet, or to the class that says why it is not
 * metered.
 *
 * Checks go from the outside in: link, IP header and lengths, protocol, fragment, transport. Octets
 * are read only through fm_peek, which BPF defines over its context before it includes this file;
 * in user space it is defined here, over memory. Only headers need to be captured: lengths come
 * from the IP header and from the wire length. Tunnels are not opened; tags, labels and PPPoE
 * sessions are skipped and are not part of the key. */
#ifndef FLOWMETER_PARSE_H
#define FLOWMETER_PARSE_H

#include "flowmeter/fragment.h"

/* fm_context is where the octets come from: the program's own context in BPF, memory in user space.
 * Functions of the core that are marked FM_SLOW_PATH are verified once and by themselves in BPF,
 * where inlining loops into each other would multiply the states to check beyond the verifier's
 * limit; so their arguments are a context and plain memory. */
#ifndef __bpf__
struct fm_captured {
  const __u8* data;
  __u32 captured_length;
};
typedef const struct fm_captured fm_context;

/* size octets at offset, or null if they are not captured. scratch (8-aligned, size octets) is
 * where a placement may put them if they do not lie in one piece. */
FM_INLINE const void* fm_peek(fm_context* f, __u32 offset, __u32 size, void* scratch) {
  (void)scratch;
  if (offset > f->captured_length || size > f->captured_length - offset) return 0;
  return f->data + offset;
}
#define FM_SLOW_PATH static inline __attribute__((noinline))
/* Whether to note where payload begins; BPF asks its settings. */
#define FM_PARSE_PAYLOAD 1
#else
#define FM_SLOW_PATH __attribute__((noinline))
#endif

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

/* Whether frames of this type are opened; packets of any other are not_ip. */
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

/* How deep a header stack is followed. What lies deeper is not_ip (tags, labels) or has its next
 * header as protocol (IPv6). The bounds make parsing time bounded; 4 tags and 8 labels are beyond
 * real networks. */
#define FM_VLAN_TAGS_MAX 4
#define FM_MPLS_LABELS_MAX 8
#define FM_IPV6_EXT_HEADERS_MAX 8

#define FM_JUMBO_HEADER 8 /* a hop-by-hop header with nothing but a jumbo payload option */

enum fm_ethertype {
  FM_ETH_IPV4 = 0x0800,
  FM_ETH_VLAN = 0x8100,
  FM_ETH_IPV6 = 0x86dd,
  FM_ETH_MPLS = 0x8847,
  FM_ETH_MPLS_MULTICAST = 0x8848,
  FM_ETH_PPPOE_SESSION = 0x8864,
  FM_ETH_QINQ = 0x88a8,
  FM_ETH_QINQ_OLD = 0x9100,
};

enum fm_ppp_protocol { FM_PPP_IPV4 = 0x0021, FM_PPP_IPV6 = 0x0057 };

struct fm_be16_header {
  __be16 value;
} FM_WIRE;

struct fm_be32_header {
  __be32 value;
} FM_WIRE;

struct fm_vlan_tag {
  __be16 tci;
  __be16 ethertype; /* of what follows */
} FM_WIRE;

struct fm_ipv4_header {
  __u8 version_ihl;
  __u8 tos;
  __be16 total_length;
  __be16 identification;
  __be16 fragment; /* flags (3 bits), offset in units of 8 (13 bits) */
  __u8 ttl;
  __u8 protocol;
  __be16 checksum;
  __be32 source;
  __be32 destination;
} FM_WIRE;
FM_STATIC_ASSERT(sizeof(struct fm_ipv4_header) == 20, "wire layout");

struct fm_ipv6_header {
  __be32 version_class_label;
  __be16 payload_length;
  __u8 next_header;
  __u8 hop_limit;
  __u64 source[2];
  __u64 destination[2];
} FM_WIRE;
FM_STATIC_ASSERT(sizeof(struct fm_ipv6_header) == 40, "wire layout");

/* First 8 octets of any IPv6 extension header that is followed; the last four are the fragment
 * header's. */
struct fm_ext_header {
  __u8 next_header;
  __u8 length;     /* in 8 octets behind the first 8; AH: in 4 octets, minus 2 (RFC 4302); fragment:
                      reserved */
  __be16 fragment; /* offset in units of 8 (13 bits), reserved (2), more fragments (1) */
  __be32 identification;
} FM_WIRE;
FM_STATIC_ASSERT(sizeof(struct fm_ext_header) == 8, "wire layout");

struct fm_tcp_header {
  __be16 source_port;
  __be16 destination_port;
  __be32 sequence;
  __be32 acknowledgement;
  __u8 data_offset; /* high nibble, in 4 octets */
  __u8 flags;
  __be16 window;
  __be16 checksum;
  __be16 urgent;
} FM_WIRE;
FM_STATIC_ASSERT(sizeof(struct fm_tcp_header) == 20, "wire layout");

struct fm_udp_header {
  __be16 source_port;
  __be16 destination_port;
  __be16 length;
  __be16 checksum;
} FM_WIRE;
FM_STATIC_ASSERT(sizeof(struct fm_udp_header) == 8, "wire layout");

/* ICMP and ICMPv6; the identifier has a meaning for echoes only. */
struct fm_icmp_header {
  __u8 type;
  __u8 code;
  __be16 checksum;
  __be16 identifier;
  __be16 sequence;
} FM_WIRE;
FM_STATIC_ASSERT(sizeof(struct fm_icmp_header) == 8, "wire layout");

/* Room for the largest header that is read in one piece. */
union fm_scratch {
  __u64 words[sizeof(struct fm_ipv6_header) / 8];
};

/* Where the parser is: all offsets from the first octet of the frame. */
struct fm_walk {
  __u32 wire_length;    /* of the frame; at least what is captured */
  __u32 offset;         /* of the next header */
  __u32 ip_start;       /* of the IP header */
  __u32 packet_end;     /* by the IP length */
  __u32 identification; /* of the datagram, if it is fragmented */
  __u16 ethertype;
  __u8 ip_version;
  __u8 next_protocol;
  __u8 fragment_role; /* enum fm_fragment_role */
  __u8 tags;          /* VLAN tags opened */
  __u8 jumbo_option;  /* there is a hop-by-hop header of just a jumbo payload option */
  __u8 shims;         /* there may be something between link header and IP header */
};

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
      w->ip_version = 4;
      return FM_METERED;
    case FM_PPP_IPV6:
      w->ip_version = 6;
      return FM_METERED;
    default:
      return FM_NOT_IP;
  }
}

FM_INLINE int fm_is_vlan(__u16 ethertype) {
  return ethertype == FM_ETH_VLAN || ethertype == FM_ETH_QINQ || ethertype == FM_ETH_QINQ_OLD;
}

/* Opens VLAN tags, MPLS labels and PPPoE. w->offset: behind the EtherType w->ethertype. */
FM_SLOW_PATH enum fm_packet_class fm_walk_shims(fm_context* frame, struct fm_walk* w) {
  union fm_scratch scratch;
  if (!w) return FM_NOT_IP; /* the verifier does not know better */
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
      w->ip_version = 4;
      return FM_METERED;
    case FM_ETH_IPV6:
      w->ip_version = 6;
      return FM_METERED;
    case FM_ETH_MPLS:
    case FM_ETH_MPLS_MULTICAST:
      return fm_walk_mpls(frame, w);
    case FM_ETH_PPPOE_SESSION:
      w->offset += 6; /* version, type, code, session, length (RFC 2516) */
      return fm_walk_ppp(frame, w);
    default:
      return FM_NOT_IP;
  }
}

/* Reads the 2-octet protocol at protocol_offset as an EtherType; what it announces begins at
 * payload_offset. */
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
  w->ip_version = w->ethertype == FM_ETH_IPV4 ? 4 : 6;
  return FM_METERED;
}

/* BSD null and loop: a 4-octet address family, whose byte order is the writer's. */
FM_INLINE enum fm_packet_class fm_walk_family(fm_context* frame, struct fm_walk* w) {
  union fm_scratch scratch;
  const struct fm_be32_header* header =
      (const struct fm_be32_header*)fm_peek(frame, 0, sizeof(*header), &scratch);
  if (!header) return FM_NOT_IP;
  const __u32 big = fm_be32(header->value);
  w->offset = sizeof(*header);
  switch (big > 0xffffff ? __builtin_bswap32(big) : big) {
    case 2:
      w->ip_version = 4;
      return FM_METERED;
    case 10: /* Linux */
    case 24: /* NetBSD, OpenBSD */
    case 28: /* FreeBSD */
    case 30: /* macOS */
      w->ip_version = 6;
      return FM_METERED;
    default:
      return FM_NOT_IP;
  }
}

/* From the first octet of the frame to the IP header. */
FM_INLINE enum fm_packet_class fm_walk_link(fm_context* frame, __u32 link_type, struct fm_walk* w) {
  union fm_scratch scratch;
  w->offset = 0;
  switch (link_type) {
    case FM_LINK_ETHERNET:
      return fm_walk_link_header(frame, w, 12, 14);
    case FM_LINK_SLL:
      return fm_walk_link_header(frame, w, 14, 16);
    case FM_LINK_SLL2: /* the protocol comes first: that all of the header is there must be seen */
      if (!fm_peek(frame, 19, 1, &scratch)) return FM_NOT_IP;
      return fm_walk_link_header(frame, w, 0, 20);
    case FM_LINK_RAW_12:
    case FM_LINK_RAW_14:
    case FM_LINK_RAW:
      return fm_walk_version_nibble(frame, w);
    case FM_LINK_IPV4:
      w->ip_version = 4;
      return FM_METERED;
    case FM_LINK_IPV6:
      w->ip_version = 6;
      return FM_METERED;
    case FM_LINK_NULL:
    case FM_LINK_LOOP:
      return fm_walk_family(frame, w);
    case FM_LINK_PPP: {
      const struct fm_be16_header* hdlc =
          (const struct fm_be16_header*)fm_peek(frame, 0, sizeof(*hdlc), &scratch);
      if (hdlc && fm_be16(hdlc->value) == 0xff03) w->offset = sizeof(*hdlc); /* RFC 1662 */
      return fm_walk_ppp(frame, w);
    }
    default:
      return FM_NOT_IP;
  }
}

/* A length of 0 (captured before segmentation, or IPv6 jumbo) means "up to the frame end". */
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
  /* ip is not used below: the options' check may move scratch */
  if (header_length > sizeof(*ip) && !fm_peek(frame, w->offset + header_length - 4, 4, &scratch))
    return FM_MALFORMED;

  w->ip_start = w->offset;
  if (total_length == 0) {
    total_length = w->wire_length - w->ip_start;
  }
  if (total_length < header_length) return FM_MALFORMED;
  if (fm_walk_set_end(w, total_length) != FM_METERED) return FM_MALFORMED;
  w->offset += header_length;

  if (w->next_protocol != FM_TCP && w->next_protocol != FM_UDP && w->next_protocol != FM_ICMP)
    return FM_OTHER_PROTOCOL;

  if (FM_UNLIKELY(flags_offset & 0x3fff)) { /* offset or "more fragments" */
    w->fragment_role = flags_offset & 0x1fff ? FM_LATER_FRAGMENT : FM_FIRST_FRAGMENT;
    w->identification = identification;
  }
  return FM_METERED;
}

FM_INLINE int fm_is_ext_header(__u8 next_header) {
  switch (next_header) {
    case 0:   /* hop-by-hop options */
    case 43:  /* routing */
    case 44:  /* fragment */
    case 51:  /* authentication */
    case 60:  /* destination options */
    case 135: /* mobility */
    case 139: /* host identity */
    case 140: /* shim6 */
      return 1;
    default:
      return 0;
  }
}

/* Moves w behind one extension header. */
FM_INLINE enum fm_packet_class fm_walk_ext_header(fm_context* frame, struct fm_walk* w) {
  union fm_scratch scratch;
  const struct fm_ext_header* ext =
      (const struct fm_ext_header*)fm_peek(frame, w->offset, sizeof(*ext), &scratch);
  if (!ext) return FM_MALFORMED;
  __u32 length = (ext->length + 1u) * 8u;
  if (w->next_protocol == 44) {
    const __u16 offset_more = fm_be16(ext->fragment);
    length = sizeof(*ext);
    if (offset_more & 0xfff9) { /* neither offset nor M: an atomic fragment, RFC 6946 */
      w->fragment_role = offset_more & 0xfff8 ? FM_LATER_FRAGMENT : FM_FIRST_FRAGMENT;
      w->identification = fm_be32(ext->identification);
    }
  } else if (w->next_protocol == 51) {
    length = (ext->length + 2u) * 4u;
  } else if (w->next_protocol == 0 && length == FM_JUMBO_HEADER) {
    w->jumbo_option = fm_be16(ext->fragment) >> 8 == 0xc2; /* RFC 2675 */
  }
  w->next_protocol = ext->next_header;
  w->offset += length;
  return w->offset <= w->packet_end ? FM_METERED : FM_MALFORMED;
}

/* Moves w behind all extension headers, or behind the fragment header of a later fragment. */
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
    /* A later fragment may begin inside a chain of extension headers; its first one tells the
     * protocol. */
    if (w->fragment_role == FM_LATER_FRAGMENT && fm_is_ext_header(w->next_protocol))
      return FM_METERED;
  }
  return w->next_protocol == FM_TCP || w->next_protocol == FM_UDP || w->next_protocol == FM_ICMPV6
             ? FM_METERED
             : FM_OTHER_PROTOCOL;
}

/* Reads the transport header at w->offset and completes the key. Returns the header's octets, 0 if
 * malformed. */
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
  const int echo = w->ip_version == 4 ? icmp->type == 8 || icmp->type == 0
                                      : icmp->type == 128 || icmp->type == 129;
  p->direction = fm_key_set_icmp(&p->key, echo ? FM_KEY_ICMP_ECHO : FM_KEY_ICMP_TYPE,
                                 echo ? fm_be16(icmp->identifier) : icmp->type, w->next_protocol,
                                 w->ip_version);
  return sizeof(*icmp);
}

/* Identity of the datagram, for the table of first fragments. */
FM_INLINE void fm_walk_fragment(const struct fm_walk* w, const struct fm_flow_key* key,
                                struct fm_fragment_key* fragment) {
  __builtin_memset(fragment, 0, sizeof(*fragment));
  fragment->source = key->address[0];
  fragment->destination = key->address[1];
  fragment->identification = w->identification;
  fragment->ip_version = w->ip_version;
  fragment->protocol = w->ip_version == 4 ? w->next_protocol : 0;
}

/* What is known of a frame beside its octets. */
struct fm_frame_facts {
  __u32 wire_length;   /* at least what is captured */
  __u16 segment_bytes; /* gso_size of the kernel's buffer; 0: one packet */
  __u8 tags_beside;    /* VLAN tags that the kernel keeps beside the frame; in wire_length */
};

/* Fills p (zeroed by the caller, but for time_ns) from a frame and returns FM_METERED, or returns
 * why it is not metered. If *role becomes FM_FIRST_FRAGMENT and the packet is metered, the caller
 * must remember it under *fragment; if it becomes FM_LATER_FRAGMENT, p->key
 * is not yet one and the caller must have fm_fragment_join set it. */
FM_INLINE enum fm_packet_class fm_parse(fm_context* frame, struct fm_frame_facts facts,
                                        __u32 link_type, struct fm_packet* p,
                                        struct fm_fragment_key* fragment,
                                        enum fm_fragment_role* role) {
  /* Verifier (all versions): zeroed, because clang may spill what is undefined on a path that ends
   * in a refusal, and reading an unset register is refused whatever becomes of it. */
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
    /* The kernel's own, before a "big TCP" buffer; segmentation takes it out again. */
    p->wire_length -= FM_JUMBO_HEADER;
    p->header_bytes -= FM_JUMBO_HEADER;
  }
  return FM_METERED;
}

#endif
