/* SPDX-License-Identifier: BSD-3-Clause OR GPL-2.0-only */
/* Read-only data that the loader sets before the programs are verified. The verifier knows the
 * values and removes the code that they switch off. */
#ifndef FLOWMETER_SETTINGS_BPF_H
#define FLOWMETER_SETTINGS_BPF_H

#include "flowmeter/settings.h"

#include "flowmeter/abi.h"

const volatile struct fm_settings settings;

/* The settings without volatile, as the core expects them. The barrier keeps clang from using the
 * zeros of this file as their values. (The verifier knows the real values and folds them.) */
FM_INLINE const struct fm_settings* fm_loaded_settings(void) {
  const struct fm_settings* s = (const struct fm_settings*)&settings;
  barrier_var(s);
  return s;
}

FM_INLINE int fm_with_sizes(void) {
  return settings.with_sizes != 0;
}

FM_INLINE int fm_with_application(void) {
  return settings.with_application != 0;
}

const volatile struct fm_tag_secret tag_secret;

FM_INLINE const struct fm_tag_secret* fm_loaded_tag_secret(void) {
  const struct fm_tag_secret* s = (const struct fm_tag_secret*)&tag_secret;
  barrier_var(s);
  return s;
}

/* 1 for datapath "kernel": entries are fm_timed_map_entry, and only two packets of a flow are sent
 * to the daemon: the first one, and the one that closes a TCP connection. */
const volatile __u8 timing_in_kernel;

/* The units of one CPU's event stream and of the stream of answers (powers of two). The stream of
 * answers follows the others, so its number is the number of CPUs. */
const volatile __u32 units_per_stream;
const volatile __u32 answer_units;
const volatile __u32 answer_stream;

/* 1 if all CPUs see stores in program order (x86). A plain store then publishes a record. */
const volatile __u8 stores_in_order;

/* How a packet that passes several metered interfaces is counted. At most one of these is 1; if
 * neither is, there is only one interface. */
const volatile __u8 count_once;
const volatile __u8 per_interface;

/* enum fm_attribute */
const volatile __u8 attribute;

/* Tests only: 1 takes a packet's time, wire length and link type from the context of
 * BPF_PROG_TEST_RUN (tstamp, cb). */
const volatile __u8 test_input;
#define FM_TEST_CB_WIRE_LENGTH 0
#define FM_TEST_CB_LINK_TYPE 1

#endif
