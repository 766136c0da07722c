// SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only
/* The kernel side: meter every packet of an interface (TC programs, attached by TCX), and close
 * flows when the daemon asks. Reading order: context_skb.bpf.h, flowmeter/parse.h, flow_map.bpf.h,
 * flowmeter/flow.h, event.bpf.h. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "context_skb.bpf.h"

#include "event.bpf.h"

/* "Next program, please": TCX_NEXT, and TC_ACT_UNSPEC for clsact. */
#define FM_NEXT (-1)

/* Joins fragments. Their time is taken here, before the flow's lock. */
FM_INLINE enum fm_reason fm_join_fragments(struct __sk_buff* skb, struct fm_packet* p,
                                           const struct fm_fragment_key* fragment,
                                           enum fm_fragment_role role) {
  p->time_ns = fm_skb_time_ns(skb);
  if (role == FM_LATER_FRAGMENT)
    return fm_fragment_join(p, bpf_map_lookup_elem(&fragments, fragment), fm_loaded_settings());
  struct fm_first_fragment first = fm_fragment_remember(p);
  bpf_map_update_elem(&fragments, fragment, &first, BPF_ANY);
  return FM_METERED;
}

/* Adds a parsed packet to its flow in the map and tells the daemon. */
FM_INLINE enum fm_reason fm_record_packet(struct __sk_buff* skb, struct fm_packet* p, __u8 hook,
                                          struct fm_cpu_counters* cpu) {
  const struct fm_settings* s = fm_loaded_settings();
  __u64 held_id = 0;
  struct fm_map_entry* entry = fm_lock_entry(&p->key, 1, &held_id);
  if (!entry) {
    p->time_ns = fm_skb_time_ns(skb);
    return fm_send_uncounted(p, skb->ifindex, hook, cpu) ? FM_METERED : FM_UNRECORDED;
  }
  /* Under the lock, so that the times of a flow are in the order of its updates, also over CPUs,
   * and a flow found idle by the closing program cannot have an earlier packet on its way. */
  p->time_ns = fm_skb_time_ns(skb);

  __u64 id = held_id;
  const int begun = fm_flow_packets(&entry->counters) > 0;
  enum fm_end ended = FM_END_COUNT;
  if (FM_LIKELY(begun)) ended = fm_flow_ended(&entry->counters, p, s);
  if (FM_UNLIKELY(!begun || ended != FM_END_COUNT)) {
    const struct fm_inheritance inherited = fm_flow_inheritance(&entry->counters, p, ended);
    if (begun) {
      if (!fm_send_closed(entry, held_id, ended)) {
        cpu->handover_flows += 1;
        cpu->handover_packets += fm_flow_packets(&entry->counters);
      }
      id = fm_new_flow_id(cpu);
      __builtin_memset(&entry->counters, 0, sizeof(entry->counters));
      entry->events_lost = 0;
      entry->announced = 0;
    }
    entry->ifindex = skb->ifindex;
    entry->hook = hook;
    fm_flow_counters_begin(&entry->counters, p, inherited);
  }
  /* Before the counters: the record that opens a flow carries the state that its first packet met.
   */
  fm_send_packet(entry, p, id, cpu);
  fm_flow_counters_update(&entry->counters, p);
  fm_unlock(entry, held_id, id);
  return FM_METERED;
}

FM_INLINE int fm_meter(struct __sk_buff* skb, __u32 link_type, __u8 hook) {
  const __u32 zero = 0;
  struct fm_cpu_counters* cpu = bpf_map_lookup_elem(&cpu_counters, &zero);
  if (!cpu) return FM_NEXT;
  struct fm_packet packet = {};
  struct fm_fragment_key fragment = {};
  enum fm_fragment_role role;
  enum fm_reason reason =
      fm_parse(skb, fm_skb_facts(skb), fm_skb_link_type(skb, link_type), &packet, &fragment, &role);
  if (reason == FM_METERED && FM_UNLIKELY(role != FM_NOT_FRAGMENT))
    reason = fm_join_fragments(skb, &packet, &fragment, role);
  if (reason == FM_METERED) reason = fm_record_packet(skb, &packet, hook, cpu);
  /* Wire packets, not buffers. Of a buffer that was not understood only the kernel's own count is
   * known. */
  __u32 packets = skb->gso_size && skb->gso_segs ? skb->gso_segs : 1;
  if (reason == FM_METERED) packets = fm_packet_segments(&packet);
  /* Verifier (all versions): what a function of its own returns is any number to it, while clang
   * knows the range and would remove the check; the barrier hides it from clang. */
  __u32 index = reason;
  barrier_var(index);
  if (index >= FM_REASON_COUNT) index = FM_MALFORMED;
  cpu->seen[hook] += packets;
  cpu->by_reason[hook][index] += packets;
  return FM_NEXT;
}

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

/* Ends the flow of request number index, if it is idle or must end. Returns 0 behind the last
 * request. The answer goes through the ring buffer, behind all packets of the flow; no answer means
 * that the flow lives on or that there was no room, and the daemon asks again. Not static: the
 * verifier then checks it once, not once a turn of the loop. */
__attribute__((noinline)) int fm_close(struct __sk_buff* skb, __u32 index) {
  const struct fm_settings* s = fm_loaded_settings();
  const __u32 zero = 0;
  struct fm_cpu_counters* cpu = bpf_map_lookup_elem(&cpu_counters, &zero);
  struct fm_close_request request;
  enum fm_end end = FM_END_IDLE;

  if (!cpu || index >= FM_CLOSE_BATCH) return 0;
  if (bpf_skb_load_bytes(skb, index * sizeof(request), &request, sizeof(request)) < 0) return 0;
  if (!bpf_map_lookup_elem(&flows, &request.key)) {
    fm_send_absent(&request.key, request.flow_id);
    return 1;
  }
  __u64 id = 0;
  struct fm_map_entry* entry = fm_lock_entry(&request.key, 0, &id);
  if (!entry) return 1;
  if (id != request.flow_id) {
    fm_unlock(entry, id, id);
    fm_send_absent(&request.key, request.flow_id);
    return 1;
  }
  if (request.force) {
    end = (enum fm_end)(request.force - 1);
  } else if (!fm_flow_is_idle(&entry->counters, request.key.protocol, bpf_ktime_get_ns(), s)) {
    fm_unlock(entry, id, id);
    return 1;
  }
  if (fm_flow_packets(&entry->counters) > 0 && !fm_send_closed(entry, id, end)) {
    fm_unlock(entry, id, id);
    return 1;
  }
  /* From here on whoever holds a pointer to this entry sees another key and looks again. The lock
   * is given back before the deletion: afterwards the memory may already be another flow's. */
  __builtin_memset(&entry->key, 0xff, sizeof(entry->key));
  fm_unlock(entry, id, id);
  if (bpf_map_delete_elem(&flows, &request.key) == 0) cpu->entries_deleted += 1;
  return 1;
}

/* Never attached: the daemon runs it by BPF_PROG_TEST_RUN, with close requests as the packet's
 * octets. A TC program and not a syscall program, because it must run with bottom halves disabled
 * (flow_map.bpf.h). */
SEC("tc")
int fm_close_flows(struct __sk_buff* skb) {
  for (__u32 i = 0; i < FM_CLOSE_BATCH; i++)
    if (!fm_close(skb, i)) break;
  return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
