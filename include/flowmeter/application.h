/* SPDX-License-Identifier: BSD-3-Clause */
/* How much of a flow's payload the application layer (HTTP/1.x, TLS, DNS) looks at, and the cheap
 * test that says which TCP segments behind a direction's first ones are worth a look.
 *
 * Shared by the kernel, which hands over just that, and by user space, which parses just that: so a
 * replay and a live run see the same octets. */
#ifndef FLOWMETER_APPLICATION_H
#define FLOWMETER_APPLICATION_H

#include "flowmeter/base.h"

/* The head of a direction: its first payload segments, and of its stream at most so many octets. A
 * server's TLS 1.2 flight with its certificates ends within them. */
#define FM_HEAD_SEGMENTS 8
#define FM_HEAD_OCTETS 8192
/* What is looked at of a later segment, and of a datagram on port 53. */
#define FM_START_OCTETS 1460
#define FM_DATAGRAM_OCTETS 512

#define FM_DNS_PORT 53

/* What fm_application_starts reads. */
#define FM_START_TEST_OCTETS 8

FM_INLINE int fm_is_method_octet(__u8 c) {
  return (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/* The first octet of a request target. */
FM_INLINE int fm_is_target_octet(__u8 c) {
  return c != ' ' && c != '\r' && c != '\n';
}

/* A method of three octets or more, one space, a target; the method may be longer than what is
 * seen. Octets behind the n that are there are 0 and so end a method. */
FM_INLINE int fm_starts_request(const __u8* first, unsigned int n) {
  if (first[0] < 'A' || first[0] > 'Z') return 0;
  if (!fm_is_method_octet(first[1]) || !fm_is_method_octet(first[2])) return 0;
  if (first[3] == ' ') return n > 4 && fm_is_target_octet(first[4]);
  if (!fm_is_method_octet(first[3])) return 0;
  if (first[4] == ' ') return n > 5 && fm_is_target_octet(first[5]);
  if (!fm_is_method_octet(first[4])) return 0;
  if (first[5] == ' ') return n > 6 && fm_is_target_octet(first[6]);
  if (!fm_is_method_octet(first[5])) return 0;
  if (first[6] == ' ') return n > 7 && fm_is_target_octet(first[7]);
  if (!fm_is_method_octet(first[6])) return 0;
  return first[7] == ' ' || fm_is_method_octet(first[7]);
}

FM_INLINE int fm_starts_response(const __u8* first) {
  return first[0] == 'H' && first[1] == 'T' && first[2] == 'T' && first[3] == 'P' &&
         first[4] == '/' && first[5] == '1' && first[6] == '.';
}

/* Whether a segment that begins with these octets may begin an HTTP message, a TLS ClientHello
 * record or, on port 53, a DNS message with one question (behind two octets of length). Never says
 * no where the parsers say yes. n is what the segment has; first has FM_START_TEST_OCTETS readable
 * octets, those behind the nth are 0. */
FM_INLINE int fm_application_starts(const __u8* first, unsigned int n, int port_53) {
  if (first[0] == 0x16) {
    if (first[1] == 3 && first[2] <= 4 && first[5] == 1) return 1;
  } else if (fm_starts_request(first, n) || fm_starts_response(first)) {
    return 1;
  }
  return port_53 && first[6] == 0 && first[7] == 1;
}

#endif
