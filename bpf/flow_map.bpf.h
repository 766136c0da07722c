/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Finds, creates and locks entries of the flow map.
 *
 * bpf_spin_lock costs 44 ns and is refused in LRU maps; this lock is one compare-and-swap. It is
 * held for some 100 ns, but its holder may be interrupted (a virtual CPU is descheduled; before
 * Linux 6.3, a packet interrupts the closing program). So taking the lock can fail, and every
 * caller has a fallback that is counted. */
#ifndef FLOWMETER_FLOW_MAP_BPF_H
#define FLOWMETER_FLOW_MAP_BPF_H

#include "maps.bpf.h"
#include "settings.bpf.h"

#define FM_LOCK_TRIES 24
#define FM_LOCK_SPINS 256 /* reads of a held lock per attempt: together some 10 microseconds */

FM_INLINE struct fm_cpu_counters* fm_counters_of_this_cpu(void) {
  const __u32 zero = 0;
  return bpf_map_lookup_elem(&cpu_counters, &zero);
}

/* Returns 0 if there is none, which cannot happen. */
static __attribute__((noinline)) __u64 fm_new_flow_id(void) {
  struct fm_cpu_counters* cpu = fm_counters_of_this_cpu();
  if (!cpu) return 0;
  cpu->next_flow += 1;
  return cpu->next_flow * FM_CPUS_MAX + (bpf_get_smp_processor_id() & (FM_CPUS_MAX - 1));
}

/* Inserts an empty entry; its flow starts with the first packet that takes the lock. Returns 0 if
 * an entry exists afterwards, no matter who inserted it. */
static __attribute__((noinline)) int fm_insert_entry(const struct fm_flow_key* key) {
  const __u32 zero = 0;
  struct fm_cpu_counters* cpu = fm_counters_of_this_cpu();
  struct fm_timed_map_entry* timed = bpf_map_lookup_elem(&new_entry, &zero);
  if (!cpu || !timed || !key) return -1;
  timed->entry.tag = fm_key_tag(key, fm_loaded_tag_secret()); /* everything else is always zero */
  timed->entry.lock = fm_new_flow_id() << FM_LOCK_ID_SHIFT;
  const long error = bpf_map_update_elem(&flows, key, timed, BPF_NOEXIST);
  if (error == 0) cpu->entries_inserted += 1;
  return error == 0 || error == -17 /* EEXIST */ ? 0 : -1;
}

/* Releases the lock. held: the lock word as fm_lock_entry returned it. next: the entry's new word,
 * without FM_LOCK_HELD. If the map has given the entry to another flow meanwhile (an LRU map evicts
 * entries at any time), its lock word differs and is not changed. */
FM_INLINE void fm_unlock(struct fm_map_entry* entry, __u64 held, __u64 next) {
  __sync_val_compare_and_swap(&entry->lock, held | FM_LOCK_HELD, next);
}

/* Takes the lock of the key's entry. Returns the lock word if it was taken, 0 if it is held, -1 if
 * the entry was reused for another key. The tag is compared under the lock: otherwise the tag could
 * be that of one flow and the lock word that of the next one. */
FM_INLINE __s64 fm_try_lock(struct fm_map_entry* entry, __u64 tag) {
  const __u64 word = *(volatile __u64*)&entry->lock;
  if (word & FM_LOCK_HELD) return 0;
  if (__sync_val_compare_and_swap(&entry->lock, word, word | FM_LOCK_HELD) != word) return 0;
  if (FM_LIKELY(*(volatile __u64*)&entry->tag == tag)) return (__s64)word;
  fm_unlock(entry, word, word);
  return -1;
}

/* Waits briefly for a held lock. Not static, so that it is verified only once. */
__attribute__((noinline)) int fm_wait_for_lock(const __u64* lock) {
  if (!lock) return 0;
  for (int i = 0; i < FM_LOCK_SPINS; i++)
    if (!(*(const volatile __u64*)lock & FM_LOCK_HELD)) return 1;
  return 0;
}

enum fm_entry_wanted { FM_FIND_ENTRY, FM_FIND_OR_CREATE_ENTRY };

/* Returns the key's entry, locked, and its lock word (without FM_LOCK_HELD) in *word. Returns null
 * if the entry cannot be created or stays locked, and with FM_FIND_ENTRY also if there is none. */
FM_INLINE struct fm_map_entry* fm_lock_entry(const struct fm_flow_key* key,
                                             enum fm_entry_wanted wanted, __u64* word) {
  const __u64 tag = fm_key_tag(key, fm_loaded_tag_secret());
  struct fm_map_entry* entry = 0;
  for (int i = 0; i < FM_LOCK_TRIES; i++) {
    if (!entry) entry = bpf_map_lookup_elem(&flows, key);
    if (!entry) {
      if (wanted == FM_FIND_ENTRY || fm_insert_entry(key) != 0) return 0;
      continue;
    }
    const __s64 taken = fm_try_lock(entry, tag);
    if (taken > 0) {
      *word = (__u64)taken;
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
