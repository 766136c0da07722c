// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* Metering by XDP what an interface receives; what it sends is metered by flowmeter.bpf.c, whose
 * maps the loader gives to this object. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "context_xdp.bpf.h"

#include "meter.bpf.h"

/* Whether they take frames of several buffers is the loader's choice (xdp_takes_frags). */
SEC("xdp")
int fm_xdp(struct xdp_md* xdp) {
  return fm_meter(xdp, FM_LINK_ETHERNET, FM_HOOK_INGRESS);
}

SEC("xdp")
int fm_xdp_ip(struct xdp_md* xdp) {
  return fm_meter(xdp, FM_LINK_RAW, FM_HOOK_INGRESS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
