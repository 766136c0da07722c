// SPDX-License-Identifier: BSD-3-Clause
/* The XDP program that BPF_PROG_TEST_RUN runs on live frames. It gives each frame its flow and
 * sends it out of an interface, or drops it if the next packet is not due yet. It runs on one CPU
 * at a time. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

const volatile __u32 interface;
const volatile __u32 source_offset; /* of the last 4 bytes of the source address */
const volatile __u32 flow_mask;     /* number of flows, a power of two, less 1 */
const volatile __u64 interval_ns;   /* between packets; 0: as fast as it goes */
const volatile __u64 packets_max;

__u64 packets; /* sent */
__u64 next_ns;
__u32 state;

/* The generator catches up if a packet is late by no more than this. After a longer delay it does
 * not, because that would send a burst. */
#define LATE_NS 10000000ull

SEC("xdp")
int live_frame(struct xdp_md* context) {
  __u8* data = (__u8*)(long)context->data;
  const __u8* end = (const __u8*)(long)context->data_end;
  const __u32 offset = source_offset;
  if (packets >= packets_max || offset > 64 || data + offset + 4 > end) return XDP_DROP;
  if (interval_ns) {
    const __u64 now = bpf_ktime_get_ns();
    if (now < next_ns) return XDP_DROP;
    next_ns = now - next_ns > LATE_NS ? now + interval_ns : next_ns + interval_ns;
  }
  /* A linear congruential generator: modulo a power of two its low bits have the full period (Hull
   * and Dobell 1962), in an order that no hardware prefetcher guesses. */
  state = state * 1664525u + 1013904223u;
  const __u32 flow = state & flow_mask;
  data[offset] = flow_mask >> 24 ? (__u8)(flow >> 24) : 10;
  data[offset + 1] = (__u8)(flow >> 16);
  data[offset + 2] = (__u8)(flow >> 8);
  data[offset + 3] = (__u8)flow;
  packets += 1;
  return (int)bpf_redirect(interface, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
