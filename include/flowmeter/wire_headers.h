/* SPDX-License-Identifier: BSD-3-Clause */
/* Headers as they are on the wire, and the numbers that identify the next header. Fields of type
 * __be16 and __be32 are in network order. */
#ifndef FLOWMETER_WIRE_HEADERS_H
#define FLOWMETER_WIRE_HEADERS_H

#include "flowmeter/base.h"

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

/* IPv6 extension headers, by IP protocol number (RFC 8200, 4; RFC 7045). */
enum fm_extension_header {
  FM_IPPROTO_HOP_BY_HOP = 0,
  FM_IPPROTO_ROUTING = 43,
  FM_IPPROTO_FRAGMENT = 44,
  FM_IPPROTO_AUTHENTICATION = 51,
  FM_IPPROTO_DESTINATION = 60,
  FM_IPPROTO_MOBILITY = 135,
  FM_IPPROTO_HOST_IDENTITY = 139,
  FM_IPPROTO_SHIM6 = 140,
};

#define FM_PPPOE_HEADER 6 /* version and type, code, session, length (RFC 2516) */

enum fm_ppp_protocol { FM_PPP_IPV4 = 0x0021, FM_PPP_IPV6 = 0x0057 };
#define FM_PPP_HDLC 0xff03 /* HDLC's address and control bytes (RFC 1662) */

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
#define FM_IPV4_OFFSET_MASK 0x1fff
#define FM_IPV4_MORE_FRAGMENTS 0x2000

struct fm_ipv6_header {
  __be32 version_class_label;
  __be16 payload_length;
  __u8 next_header;
  __u8 hop_limit;
  __u64 source[2];
  __u64 destination[2];
} FM_WIRE;
FM_STATIC_ASSERT(sizeof(struct fm_ipv6_header) == 40, "wire layout");

/* The first 8 bytes of an IPv6 extension header. The last four have this meaning in a fragment
 * header only. */
struct fm_ext_header {
  __u8 next_header;
  __u8 length; /* in units of 8 bytes, without the first 8; AH: in units of 4, minus 2 (RFC 4302);
                  fragment: reserved */
  __be16 fragment; /* offset in units of 8 (13 bits), reserved (2), more fragments (1) */
  __be32 identification;
} FM_WIRE;
FM_STATIC_ASSERT(sizeof(struct fm_ext_header) == 8, "wire layout");
#define FM_IPV6_OFFSET_MASK 0xfff8
#define FM_IPV6_MORE_FRAGMENTS 0x0001
#define FM_JUMBO_OPTION 0xc2 /* RFC 2675 */

struct fm_tcp_header {
  __be16 source_port;
  __be16 destination_port;
  __be32 sequence;
  __be32 acknowledgement;
  __u8 data_offset; /* high nibble, in units of 4 bytes */
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

enum fm_icmp_type {
  FM_ICMP_ECHO_REPLY = 0,
  FM_ICMP_ECHO_REQUEST = 8,
  FM_ICMPV6_ECHO_REQUEST = 128,
  FM_ICMPV6_ECHO_REPLY = 129,
};

/* ICMP and ICMPv6. The identifier has a meaning in echoes only. */
struct fm_icmp_header {
  __u8 type;
  __u8 code;
  __be16 checksum;
  __be16 identifier;
  __be16 sequence;
} FM_WIRE;
FM_STATIC_ASSERT(sizeof(struct fm_icmp_header) == 8, "wire layout");

#endif
