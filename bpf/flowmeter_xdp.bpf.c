// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* Meters the packets that an interface receives, by XDP. flowmeter.bpf.c meters those that it
 * sends; both objects use the same maps, which the loader passes on. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "context_xdp.bpf.h"

#include "meter.bpf.h"

/* The loader decides whether they accept frames of several buffers (xdp_takes_frags). */
SEC("xdp")
int fm_xdp(struct xdp_md* xdp) {
  return fm_meter(xdp, FM_LINK_ETHERNET, FM_HOOK_INGRESS);
}

SEC("xdp")
int fm_xdp_ip(struct xdp_md* xdp) {
  return fm_meter(xdp, FM_LINK_RAW, FM_HOOK_INGRESS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
