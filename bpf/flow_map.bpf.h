/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Finding, creating and locking entries of the flow map.
 *
 * bpf_spin_lock is refused in LRU maps and costs 44 ns; this lock is one compare-and-swap. It is
 * held for some 100 ns, by programs that run with bottom halves disabled and so cannot be
 * interrupted by another holder on the same CPU. A holder's virtual CPU may still be descheduled:
 * taking the lock can fail, and every caller has a counted way out. */
#ifndef FLOWMETER_FLOW_MAP_BPF_H
#define FLOWMETER_FLOW_MAP_BPF_H

#include "maps.bpf.h"

#define FM_LOCK_TRIES 24
#define FM_LOCK_SPINS 256 /* looks at a held lock per try: together some 10 microseconds */
#define FM_LOCK_HELD 1ull

FM_INLINE __u64 fm_new_flow_id(struct fm_cpu_counters* cpu) {
  cpu->next_flow += 1;
  return cpu->next_flow * FM_CPUS_MAX + (bpf_get_smp_processor_id() & (FM_CPUS_MAX - 1));
}

/* Inserts an empty entry (its flow begins with the first packet that gets the lock). Returns 0 if
 * there is one now, whoever made it. */
static __attribute__((noinline)) int fm_insert_entry(const struct fm_flow_key* key) {
  const __u32 zero = 0;
  struct fm_cpu_counters* cpu = bpf_map_lookup_elem(&cpu_counters, &zero);
  struct fm_map_entry* entry = bpf_map_lookup_elem(&new_entry, &zero);
  if (!cpu || !entry || !key) return -1;
  entry->key = *key; /* all else stays zero for ever */
  entry->lock = fm_new_flow_id(cpu) << 1;
  const long error = bpf_map_update_elem(&flows, key, entry, BPF_NOEXIST);
  if (error == 0) cpu->entries_inserted += 1;
  return error == 0 || error == -17 /* EEXIST */ ? 0 : -1;
}

/* new_id: held_id, unless the entry goes on with another flow. If the map has given the entry to
 * another flow meanwhile (the LRU evicts without asking), its lock word is another one and is left
 * alone. */
FM_INLINE void fm_unlock(struct fm_map_entry* entry, __u64 held_id, __u64 new_id) {
  __sync_val_compare_and_swap(&entry->lock, held_id << 1 | FM_LOCK_HELD, new_id << 1);
}

/* Takes the lock of the key's entry, if it still is the key's. Returns the flow's id if it was
 * taken, 0 if it is held, -1 if the entry was recycled for another key. */
FM_INLINE __s64 fm_try_lock(struct fm_map_entry* entry, const struct fm_flow_key* key) {
  const __u64 word = *(volatile __u64*)&entry->lock;
  if (word & FM_LOCK_HELD) return 0;
  if (!fm_key_equal(&entry->key, key)) return -1;
  if (__sync_val_compare_and_swap(&entry->lock, word, word | FM_LOCK_HELD) != word) return 0;
  /* Ids are unique, so the entry is the one whose key was compared, but for one case: the map was
   * just writing another flow's value over it and had got as far as the lock word. */
  if (fm_key_equal(&entry->key, key)) return (__s64)(word >> 1);
  fm_unlock(entry, word >> 1, word >> 1);
  return -1;
}

/* Waits a while for a held lock. Not static: verified once, not once a try. */
__attribute__((noinline)) int fm_wait_for_lock(const __u64* lock) {
  if (!lock) return 0;
  for (int i = 0; i < FM_LOCK_SPINS; i++)
    if (!(*(const volatile __u64*)lock & FM_LOCK_HELD)) return 1;
  return 0;
}

/* Returns the key's entry, locked, and its flow's id in *id; null if it is not there (and create is
 * 0), cannot be made, or stays locked. */
FM_INLINE struct fm_map_entry* fm_lock_entry(const struct fm_flow_key* key, int create, __u64* id) {
  struct fm_map_entry* entry = 0;
  for (int i = 0; i < FM_LOCK_TRIES; i++) {
    if (!entry) entry = bpf_map_lookup_elem(&flows, key);
    if (!entry) {
      if (!create || fm_insert_entry(key) != 0) return 0;
      continue;
    }
    const __s64 taken = fm_try_lock(entry, key);
    if (taken > 0) {
      *id = (__u64)taken;
      return entry;
    }
    if (taken < 0)
      entry = 0;
    else
      fm_wait_for_lock(&entry->lock);
  }
  return 0;
}

#endif
