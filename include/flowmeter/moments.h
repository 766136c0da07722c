/* SPDX-License-Identifier: BSD-3-Clause */
/* Count, sum, sum of squares, minimum and maximum of a list of samples, as integers: exact,
 * independent of order, and mergeable. Mean and deviation are computed from them once, in user
 * space (user/features/statistics.h). */
#ifndef FLOWMETER_MOMENTS_H
#define FLOWMETER_MOMENTS_H

#include "flowmeter/base.h"

struct fm_u128 {
  __u64 low;
  __u64 high;
};

struct fm_moments {
  __u64 count;
  __u64 sum;
  struct fm_u128 sum_of_squares;
  __u64 min; /* 0 while count is 0 */
  __u64 max;
};

FM_INLINE void fm_u128_add(struct fm_u128* total, __u64 low, __u64 high) {
  total->low += low;
  total->high += high + (total->low < low);
}

/* Adds x * x. BPF has no 64 x 64 -> 128 multiply, so there the product is computed from 32-bit
 * halves. */
FM_INLINE void fm_u128_add_square(struct fm_u128* total, __u64 x) {
#if defined(__SIZEOF_INT128__) && !defined(__bpf__)
  __extension__ typedef unsigned __int128 fm_uint128;
  const fm_uint128 square = (fm_uint128)x * x;
  fm_u128_add(total, (__u64)square, (__u64)(square >> 64));
#else
  const __u64 a = x >> 32, b = x & 0xffffffffu;
  /* (a 2^32 + b)^2 = a^2 2^64 + 2 a b 2^32 + b^2 */
  fm_u128_add(total, b * b, a * a);
  if (a) {
    const __u64 ab = a * b;
    fm_u128_add(total, ab << 33, ab >> 31);
  }
#endif
}

FM_INLINE void fm_moments_add(struct fm_moments* m, __u64 x) {
  if (m->count == 0 || x < m->min) m->min = x;
  if (x > m->max) m->max = x;
  m->count += 1;
  m->sum += x;
  fm_u128_add_square(&m->sum_of_squares, x);
}

/* Adds n samples of the value x. Requires: n * x * x below 2^64. */
FM_INLINE void fm_moments_add_many(struct fm_moments* m, __u64 x, __u64 n) {
  if (n == 0) return;
  if (m->count == 0 || x < m->min) m->min = x;
  if (x > m->max) m->max = x;
  m->count += n;
  m->sum += n * x;
  fm_u128_add(&m->sum_of_squares, n * x * x, 0);
}

/* Adds all samples of other. */
FM_INLINE void fm_moments_merge(struct fm_moments* m, const struct fm_moments* other) {
  if (other->count == 0) return;
  if (m->count == 0 || other->min < m->min) m->min = other->min;
  if (other->max > m->max) m->max = other->max;
  m->count += other->count;
  m->sum += other->sum;
  fm_u128_add(&m->sum_of_squares, other->sum_of_squares.low, other->sum_of_squares.high);
}

#endif
