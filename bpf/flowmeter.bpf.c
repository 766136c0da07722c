// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* The kernel side: meters every packet of an interface (TC programs, attached by TCX or clsact),
 * and closes flows when the daemon asks. Reading order: context_skb.bpf.h, flowmeter/parse.h,
 * meter.bpf.h, flow_map.bpf.h, flowmeter/flow.h, event.bpf.h. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "context_skb.bpf.h"

#include "meter.bpf.h"

SEC("tc")
int fm_ingress(struct __sk_buff* skb) {
  return fm_meter(skb, FM_LINK_ETHERNET, FM_HOOK_INGRESS);
}

SEC("tc")
int fm_egress(struct __sk_buff* skb) {
  return fm_meter(skb, FM_LINK_ETHERNET, FM_HOOK_EGRESS);
}

/* Interfaces without a link header (tun, WireGuard). */
SEC("tc")
int fm_ingress_ip(struct __sk_buff* skb) {
  return fm_meter(skb, FM_LINK_RAW, FM_HOOK_INGRESS);
}

SEC("tc")
int fm_egress_ip(struct __sk_buff* skb) {
  return fm_meter(skb, FM_LINK_RAW, FM_HOOK_EGRESS);
}

/* Answers a request for a flow that the map does not have. If there is no room for the answer, the
 * daemon asks again. */
static __attribute__((noinline)) int fm_send_absent(const struct fm_flow_key* key, __u64 now_ns,
                                                    __u64 id) {
  union fm_long_record* r = fm_long_record_for(FM_ANSWER_WRITER);
  if (!r || !key) return 0;
  __builtin_memset(&r->state, 0, sizeof(r->state));
  r->state.head.time_ns = now_ns;
  r->state.head.flow_id = id;
  r->state.head.what = FM_RECORD_CLOSED;
  r->state.key = *key;
  r->state.end = FM_END_EVICTED;
  return fm_send_long(r, fm_state_units(timing_in_kernel, fm_with_sizes()), FM_ANSWER_WRITER);
}

/* Serves request number index: ends its flow if it is idle or must end, or reports its state.
 * Returns 0 after the last request. The answer goes through an event stream, after all packets of
 * the flow. There is no answer if there was no room (the daemon asks again), if a state was
 * requested and the flow does not exist, or, with datapath "events", if the flow is not idle. Not
 * static, so that the verifier checks it once and not once per iteration. */
__attribute__((noinline)) int fm_serve(struct __sk_buff* skb, __u32 index) {
  const struct fm_settings* s = fm_loaded_settings();
  struct fm_cpu_counters* cpu = fm_counters_of_this_cpu();
  struct fm_close_request request;

  if (!cpu || index >= FM_CLOSE_BATCH) return 0;
  if (bpf_skb_load_bytes(skb, index * sizeof(request), &request, sizeof(request)) < 0) return 0;
  if (!bpf_map_lookup_elem(&flows, &request.key)) {
    if (request.action != FM_REPORT_STATE)
      fm_send_absent(&request.key, bpf_ktime_get_ns(), request.flow_id);
    return 1;
  }
  __u64 word = 0;
  struct fm_map_entry* entry = fm_lock_entry(&request.key, FM_FIND_ENTRY, &word);
  if (!entry) return 1;
  const __u64 now_ns = bpf_ktime_get_ns();
  if (request.flow_id && word >> FM_LOCK_ID_SHIFT != request.flow_id) {
    fm_unlock(entry, word, word);
    if (request.action != FM_REPORT_STATE) fm_send_absent(&request.key, now_ns, request.flow_id);
    return 1;
  }
  const int idle = fm_flow_is_idle(&entry->counters, request.key.protocol, now_ns, s);
  if (request.action == FM_REPORT_STATE || (request.action == FM_CLOSE_IF_IDLE && !idle)) {
    __u64 next = word;
    if ((request.action != FM_CLOSE_IF_IDLE || timing_in_kernel) && entry->counters.begun &&
        fm_send_state(entry, &request.key, now_ns, word, FM_END_NONE | FM_STATE_ANSWER))
      next |= FM_LOCK_ANNOUNCED;
    /* Who asks for a state may not know what was told to another daemon. */
    if (request.action == FM_REPORT_STATE) next &= ~FM_LOCK_OWNERS_TOLD;
    fm_unlock(entry, word, next);
    return 1;
  }
  const __u32 end = fm_close_end(request.action);
  if (entry->counters.begun &&
      !fm_send_state(entry, &request.key, now_ns, word, end | FM_STATE_ANSWER)) {
    fm_unlock(entry, word, word);
    return 1;
  }
  /* From now on, a program that holds a pointer to this entry sees another key and looks up again.
   * The lock is released before the deletion: after it the memory may belong to another flow. */
  entry->tag = 0;
  fm_unlock(entry, word, word);
  if (bpf_map_delete_elem(&flows, &request.key) == 0) cpu->entries_deleted += 1;
  return 1;
}

/* Never attached. The daemon runs it by BPF_PROG_TEST_RUN; the bytes of the packet are close
 * requests. */
SEC("tc")
int fm_close_flows(struct __sk_buff* skb) {
  for (__u32 i = 0; i < FM_CLOSE_BATCH; i++)
    if (!fm_serve(skb, i)) break;
  return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
