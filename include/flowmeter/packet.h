/* SPDX-License-Identifier: BSD-3-Clause */
/* One packet, as the engine sees it: everything that flow_counters.h and flow_timing.h need, and
 * nothing else of the frame. */
#ifndef FLOWMETER_PACKET_H
#define FLOWMETER_PACKET_H

#include "flowmeter/flow_key.h"

/* TCP's flags (RFC 9293, 3.1). */
enum fm_tcp_flag_bit {
  FM_FIN_BIT,
  FM_SYN_BIT,
  FM_RST_BIT,
  FM_PSH_BIT,
  FM_ACK_BIT,
  FM_URG_BIT,
  FM_ECE_BIT,
  FM_CWR_BIT,
};

enum fm_tcp_flag {
  FM_FIN = 1 << FM_FIN_BIT,
  FM_SYN = 1 << FM_SYN_BIT,
  FM_RST = 1 << FM_RST_BIT,
  FM_PSH = 1 << FM_PSH_BIT,
  FM_ACK = 1 << FM_ACK_BIT,
  FM_URG = 1 << FM_URG_BIT,
  FM_ECE = 1 << FM_ECE_BIT,
  FM_CWR = 1 << FM_CWR_BIT,
};

enum fm_protocol {
  FM_ICMP = 1,
  FM_TCP = 6,
  FM_UDP = 17,
  FM_ICMPV6 = 58,
};

struct fm_packet {
  struct fm_flow_key key;
  __u64 time_ns; /* by the source's clock: since the epoch in captures, monotonic live */
  /* The length of the frame on the wire, with link header and padding, without FCS. */
  __u32 wire_length;
  __u32 payload_bytes; /* after the transport header, by the IP length; padding never counts */
  __u16 header_bytes;  /* IP header with options or extension headers, and transport header */
  __u16 window;        /* TCP window as sent, not scaled; of ICMP its type << 8 | code */
  __u8 flags;          /* enum fm_tcp_flag; 0 for other protocols and later fragments */
  __u8 direction;      /* end of the key that sent it: 0 or 1 */
  __u8 has_shims;      /* tags, labels or a session header are between link header and IP header */
  /* TCP 20 to 60, UDP and ICMP 8, later fragments 0: a multiple of 4 */
  __u8 transport_header_bytes;
  __u16 segment_bytes; /* payload of a segment, if this stands for several packets on the wire; else
                          0 */
  /* Where the payload starts in the frame, and a TCP segment's sequence number; both are 0 if the
   * payload is not needed (FM_PARSE_PAYLOAD). */
  __u16 payload_offset;
  __u32 sequence;
};
FM_STATIC_ASSERT(sizeof(struct fm_packet) == 72, "zeroed and copied as nine words");

FM_INLINE int fm_packet_has_tcp_header(const struct fm_packet* p) {
  return p->transport_header_bytes >= 20;
}

/* The number of packets on the wire. Segmentation offload: a buffer that the kernel splits after
 * the hook (GSO), or has merged before it (GRO), is several packets on the wire. All but the last
 * have segment_bytes of payload, and all have the same headers. The kernel's own count (gso_segs)
 * is not used: for buffers from virtual machines and packet sockets it may be 0 or wrong, and the
 * kernel then computes it by this formula. */
FM_INLINE __u32 fm_packet_segments(const struct fm_packet* p) {
  if (FM_LIKELY(p->segment_bytes == 0 || p->payload_bytes <= p->segment_bytes)) return 1;
  return (p->payload_bytes + p->segment_bytes - 1) / p->segment_bytes;
}

#endif
