/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Read-only data, set by the loader before the programs are verified. */
#ifndef FLOWMETER_SETTINGS_BPF_H
#define FLOWMETER_SETTINGS_BPF_H

#include "flowmeter/settings.h"

const volatile struct fm_settings settings;

/* As the core takes them. The barrier keeps clang from seeing through the cast: without volatile it
 * would take the zeros of this file for the settings' values. (The verifier knows the real ones and
 * folds them.) */
FM_INLINE const struct fm_settings* fm_loaded_settings(void) {
  const struct fm_settings* s = (const struct fm_settings*)&settings;
  barrier_var(s);
  return s;
}

/* Tests only: take a packet's time, wire length and link type from the context of BPF_PROG_TEST_RUN
 * (tstamp, cb). While it is 0 the verifier removes what it switches. */
const volatile __u8 test_input;
#define FM_TEST_CB_WIRE_LENGTH 0
#define FM_TEST_CB_LINK_TYPE 1

#endif
