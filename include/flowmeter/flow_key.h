/* SPDX-License-Identifier: BSD-3-Clause */
/* The flow key, which is the same in both directions of a flow. It is the key of the kernel's map
 * and of the tables in user space.
 *
 * The two ends are in a fixed order (the end that compares as less is end 0), so the key has no
 * direction; a packet's direction is the number of the end that sent it. */
#ifndef FLOWMETER_FLOW_KEY_H
#define FLOWMETER_FLOW_KEY_H

#include "flowmeter/base.h"

/* 16 bytes in network order. An IPv4 address is its 4 bytes and 12 zeros. */
struct fm_address {
  __u64 words[2];
};

enum fm_key_kind {
  FM_KEY_PORTS = 0,     /* TCP, UDP: port[] are the ports of the two ends */
  FM_KEY_ICMP_ECHO = 1, /* echo request and reply: port[0] is the identifier */
  FM_KEY_ICMP_TYPE = 2, /* any other ICMP or ICMPv6: port[0] is the type */
};

struct fm_flow_key {
  struct fm_address address[2];
  __u16 port[2];       /* host order */
  __u8 protocol;       /* IP protocol number */
  __u8 ip_version : 4; /* 4 or 6 */
  __u8 kind : 4;       /* enum fm_key_kind */
  __u16 interface;     /* with --per-interface its slot (abi.h) + 1, else 0 */
};
FM_STATIC_ASSERT(sizeof(struct fm_flow_key) == 40,
                 "map key: hidden padding gives equal flows different keys");

FM_INLINE struct fm_address fm_address_ipv4(__be32 address) {
  struct fm_address a;
  a.words[0] = FM_BIG_ENDIAN ? (__u64)address << 32 : (__u64)address;
  a.words[1] = 0;
  return a;
}

FM_INLINE int fm_address_equal(const struct fm_address* a, const struct fm_address* b) {
  return a->words[0] == b->words[0] && a->words[1] == b->words[1];
}

/* Any total order works if it is the same everywhere on one machine. This one compares native
 * words. */
FM_INLINE int fm_address_less(const struct fm_address* a, const struct fm_address* b) {
  return a->words[0] != b->words[0] ? a->words[0] < b->words[0] : a->words[1] < b->words[1];
}

/* Writes ports, protocol, version and kind in one store. The map's hash reads them as words, and a
 * load that spans several narrower stores waits until they have left the store buffer. */
FM_INLINE void fm_key_set_rest(struct fm_flow_key* key, __u16 port0, __u16 port1, __u8 protocol,
                               __u8 ip_version, __u8 kind) {
  fm_word* rest = (fm_word*)key->port;
  if (FM_BIG_ENDIAN)
    *rest = (__u64)port0 << 48 | (__u64)port1 << 32 | (__u64)protocol << 24 |
            (__u64)ip_version << 20 | (__u64)kind << 16;
  else
    *rest = port0 | (__u64)port1 << 16 | (__u64)protocol << 32 | (__u64)ip_version << 40 |
            (__u64)kind << 44;
}

/* Exchanges the two ends' addresses. */
FM_INLINE void fm_key_swap_addresses(struct fm_flow_key* key) {
  const struct fm_address source = key->address[0];
  key->address[0] = key->address[1];
  key->address[1] = source;
}

/* Completes a key and puts it into canonical order; returns the sender's end (0 or 1). If both ends
 * are the same, every packet is from end 0. Requires: the addresses are in the order of the packet
 * (source, destination). */
FM_INLINE __u8 fm_key_set_ports(struct fm_flow_key* key, __u16 source_port, __u16 destination_port,
                                __u8 protocol, __u8 ip_version) {
  const struct fm_address* source = &key->address[0];
  const struct fm_address* destination = &key->address[1];
  if (fm_address_less(destination, source) ||
      (fm_address_equal(destination, source) && destination_port < source_port)) {
    fm_key_swap_addresses(key);
    fm_key_set_rest(key, destination_port, source_port, protocol, ip_version, FM_KEY_PORTS);
    return 1;
  }
  fm_key_set_rest(key, source_port, destination_port, protocol, ip_version, FM_KEY_PORTS);
  return 0;
}

/* The same for ICMP, where only the addresses are ordered. discriminator: the identifier of an
 * echo, else the type. */
FM_INLINE __u8 fm_key_set_icmp(struct fm_flow_key* key, __u8 kind, __u16 discriminator,
                               __u8 protocol, __u8 ip_version) {
  const int swap = fm_address_less(&key->address[1], &key->address[0]);
  if (swap) fm_key_swap_addresses(key);
  fm_key_set_rest(key, discriminator, 0, protocol, ip_version, kind);
  return (__u8)swap;
}

FM_INLINE int fm_key_equal(const struct fm_flow_key* a, const struct fm_flow_key* b) {
  const fm_word* x = (const fm_word*)a;
  const fm_word* y = (const fm_word*)b;
  return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

#endif
