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

#define FM_LOCK_TRIES 16
#define FM_LOCK_SPINS 256 /* looks at a held lock per try: together some 10 microseconds */
#define FM_LOCK_HELD 1ull

FM_INLINE __u64 fm_new_flow_id(struct fm_cpu_counters* cpu) {
  cpu->next_flow += 1;
  return cpu->next_flow * FM_CPUS_MAX + (bpf_get_smp_processor_id() & (FM_CPUS_MAX - 1));
}

FM_INLINE __u64 fm_entry_id(const struct fm_map_entry* entry) {
  return entry->lock >> 1;
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

/* Takes the lock of the key's entry, if it still is the key's. Returns 1 if taken, 0 if it is held,
 * -1 if the entry was recycled for another key. */
FM_INLINE int fm_try_lock(struct fm_map_entry* entry, const struct fm_flow_key* key) {
  const __u64 word = *(volatile __u64*)&entry->lock;
  if (word & FM_LOCK_HELD) return 0;
  if (!fm_key_equal(&entry->key, key)) return -1;
  /* Ids are unique, so if the word is unchanged the entry is the one whose key was compared. */
  return __sync_val_compare_and_swap(&entry->lock, word, word | FM_LOCK_HELD) == word;
}

/* Waits a while for a held lock. Not static: verified once, not once a try. */
__attribute__((noinline)) int fm_wait_for_lock(const __u64* lock) {
  if (!lock) return 0;
  for (int i = 0; i < FM_LOCK_SPINS; i++)
    if (!(*(const volatile __u64*)lock & FM_LOCK_HELD)) return 1;
  return 0;
}

/* id: 0 keeps the flow's id. */
FM_INLINE void fm_unlock(struct fm_map_entry* entry, __u64 id) {
  const __u64 word = id ? id << 1 : entry->lock & ~FM_LOCK_HELD;
  /* An exchange, not a store: it orders the updates before it on every architecture. */
  __sync_lock_test_and_set(&entry->lock, word);
}

/* Returns the key's entry, locked; null if it is not there (and create is 0), cannot be made, or
 * stays locked. */
FM_INLINE struct fm_map_entry* fm_lock_entry(const struct fm_flow_key* key, int create) {
  struct fm_map_entry* entry = 0;
  for (int i = 0; i < FM_LOCK_TRIES; i++) {
    if (!entry) entry = bpf_map_lookup_elem(&flows, key);
    if (!entry) {
      if (!create || fm_insert_entry(key) != 0) return 0;
      continue;
    }
    const int taken = fm_try_lock(entry, key);
    if (taken > 0) return entry;
    if (taken < 0)
      entry = 0;
    else
      fm_wait_for_lock(&entry->lock);
  }
  return 0;
}

#endif
