// SPDX-License-Identifier: BSD-3-Clause
/* The smallest program that does the product's work: datapath_bench compares the product with it.
 * It reads an IPv4 TCP or UDP header, makes a canonical 40-byte key, reads the clock, looks the
 * flow up, takes a lock of its own, updates the plain counters of a 136-byte value, and writes one
 * 24-byte ring-buffer record without a wake-up. It ignores VLAN tags, IPv6, fragments,
 * segmentation, flow ends, evictions and losses. The loader sets the sizes of ring buffer and map.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define INLINE static inline __attribute__((always_inline))

struct prototype_key {
  __u64 address[2][2];
  __u16 port[2];
  __u8 protocol, version, zero[2];
};

struct prototype_direction {
  __u64 packets, bytes, payload_bytes, sum_of_squares;
  __u32 min, max;
};

struct prototype_value {
  __u32 lock, slot;
  __u64 first_ns, last_ns;
  struct prototype_direction direction[2];
  __u32 flags[8];
};
_Static_assert(sizeof(struct prototype_value) == 136, "docs/benchmarks.md names this size");

struct prototype_record {
  __u64 time_ns;
  __u32 slot, payload_bytes;
  __u16 segments, window;
  __u8 header_bytes, flags, direction, protocol;
};
_Static_assert(sizeof(struct prototype_record) == 24, "docs/benchmarks.md names this size");

/* LRU like the product's map. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1024);
  __type(key, struct prototype_key);
  __type(value, struct prototype_value);
} prototype_flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 20);
} prototype_events SEC(".maps");

/* The caller compares these with what it sent. */
__u64 counted, slots, lost;

struct headers {
  __u8 ethernet[12];
  __u16 ethertype;
  __u8 version_ihl, tos;
  __u16 total_length, identification, fragment;
  __u8 ttl, protocol;
  __u16 checksum;
  __u32 source, destination;
  __u16 source_port, destination_port;
} __attribute__((packed, aligned(2)));

struct tcp_rest {
  __u32 sequence, acknowledgement;
  __u8 data_offset, flags;
  __u16 window;
} __attribute__((packed, aligned(2)));

struct packet {
  struct prototype_key key;
  __u32 wire_length, payload_bytes;
  __u16 window;
  __u8 flags, direction, header_bytes;
};

INLINE int parse(struct __sk_buff* skb, struct packet* p) {
  const void* data = (const void*)(long)skb->data;
  const void* end = (const void*)(long)skb->data_end;
  const struct headers* h = data;
  if ((const void*)(h + 1) > end || h->ethertype != __builtin_bswap16(0x0800) ||
      h->version_ihl != 0x45)
    return 0;
  __u32 header_bytes = 20 + 8;
  if (h->protocol == 6) {
    const struct tcp_rest* tcp = (const void*)(h + 1);
    if ((const void*)(tcp + 1) > end) return 0;
    p->flags = tcp->flags;
    p->window = __builtin_bswap16(tcp->window);
    header_bytes = 20 + (tcp->data_offset >> 4) * 4u;
  } else if (h->protocol != 17) {
    return 0;
  }
  const __u32 total_length = __builtin_bswap16(h->total_length);
  if (total_length < header_bytes) return 0;
  const int swap = h->source > h->destination ||
                   (h->source == h->destination && h->source_port > h->destination_port);
  p->direction = (__u8)swap;
  p->key.address[0][0] = swap ? h->destination : h->source;
  p->key.address[1][0] = swap ? h->source : h->destination;
  p->key.port[0] = swap ? h->destination_port : h->source_port;
  p->key.port[1] = swap ? h->source_port : h->destination_port;
  p->key.protocol = h->protocol;
  p->key.version = 4;
  p->wire_length = skb->len;
  p->header_bytes = (__u8)header_bytes;
  p->payload_bytes = total_length - header_bytes;
  return 1;
}

INLINE int try_lock(__u32* lock) {
  for (int i = 0; i < 64; i++)
    if (__sync_val_compare_and_swap(lock, 0, 1) == 0) return 1;
  return 0;
}

INLINE void count(struct prototype_value* v, const struct packet* p, __u64 now_ns) {
  struct prototype_direction* d = &v->direction[p->direction & 1];
  if (!v->first_ns) v->first_ns = now_ns;
  v->last_ns = now_ns;
  d->packets += 1;
  d->bytes += p->wire_length;
  d->payload_bytes += p->payload_bytes;
  d->sum_of_squares += (__u64)p->wire_length * p->wire_length;
  if (d->packets == 1 || p->wire_length < d->min) d->min = p->wire_length;
  if (p->wire_length > d->max) d->max = p->wire_length;
  for (int i = 0; i < 8; i++) v->flags[i] += (p->flags >> i) & 1u;
}

INLINE void send(const struct prototype_value* v, const struct packet* p, __u64 now_ns) {
  struct prototype_record* r = bpf_ringbuf_reserve(&prototype_events, sizeof(*r), 0);
  if (!r) {
    lost += 1;
    return;
  }
  r->time_ns = now_ns;
  r->slot = v->slot;
  r->payload_bytes = p->payload_bytes;
  r->segments = 1;
  r->window = p->window;
  r->header_bytes = p->header_bytes;
  r->flags = p->flags;
  r->direction = p->direction;
  r->protocol = p->key.protocol;
  bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
}

SEC("tc")
int prototype(struct __sk_buff* skb) {
  struct packet p = {};
  if (!parse(skb, &p)) return -1;
  struct prototype_value* v = bpf_map_lookup_elem(&prototype_flows, &p.key);
  if (!v) {
    struct prototype_value empty = {};
    empty.slot = (__u32)__sync_fetch_and_add(&slots, 1);
    bpf_map_update_elem(&prototype_flows, &p.key, &empty, BPF_NOEXIST);
    v = bpf_map_lookup_elem(&prototype_flows, &p.key);
    if (!v) return -1;
  }
  if (!try_lock(&v->lock)) return -1;
  const __u64 now_ns = bpf_ktime_get_ns();
  count(v, &p, now_ns);
  send(v, &p, now_ns);
  __sync_lock_test_and_set(&v->lock, 0);
  counted += 1;
  return -1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
