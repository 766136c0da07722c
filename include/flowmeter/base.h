/* SPDX-License-Identifier: BSD-3-Clause */
/* Types, byte order and compiler attributes that the whole core uses.
 *
 * The core (this directory) is written in the common subset of C and C++, without libc, BPF
 * helpers, maps or clocks. clang compiles it for BPF and g++ for user space, so both treat a packet
 * in the same way. */
#ifndef FLOWMETER_BASE_H
#define FLOWMETER_BASE_H

#include <linux/types.h>

/* The verifier tracks pointer bounds through inlined code only. User space inlines for speed. */
#define FM_INLINE static inline __attribute__((always_inline))

#ifdef __cplusplus
#define FM_STATIC_ASSERT(condition, why) static_assert(condition, why)
#else
#define FM_STATIC_ASSERT(condition, why) _Static_assert(condition, why)
#endif

/* A word that may overlay fields of other types: map keys are compared and hashed as words. */
typedef __u64 __attribute__((may_alias)) fm_word;

/* Keeps a computed pointer in a register; clang for BPF would compute it again for each field. */
#ifdef __bpf__
#define FM_KEEP(pointer) __asm__("" : "+r"(pointer))
#else
#define FM_KEEP(pointer) (void)(pointer)
#endif

#define FM_LIKELY(x) __builtin_expect(!!(x), 1)
#define FM_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Marks structs that overlay the bytes of a frame, whose headers have any alignment. User space
 * reads them through packed types. BPF must not: there, packing turns each field into single-byte
 * loads, while the verifier and every JIT of the supported kernels accept unaligned loads from
 * packets. Every FM_WIRE struct is naturally aligned within itself, so its layout is the same
 * either way (asserted where it is defined). */
#ifdef __bpf__
#define FM_WIRE
#else
#define FM_WIRE __attribute__((packed))
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FM_BIG_ENDIAN 0
FM_INLINE __u16 fm_be16(__be16 x) {
  return __builtin_bswap16((__u16)x);
}
FM_INLINE __u32 fm_be32(__be32 x) {
  return __builtin_bswap32((__u32)x);
}
#else
#define FM_BIG_ENDIAN 1
FM_INLINE __u16 fm_be16(__be16 x) {
  return (__u16)x;
}
FM_INLINE __u32 fm_be32(__be32 x) {
  return (__u32)x;
}
#endif

#endif
