/* SPDX-License-Identifier: BSD-3-Clause */
/* How much of a flow's payload the application layer (HTTP/1.x, TLS, DNS) reads, and a cheap test
 * that finds the later TCP segments of a direction that are worth reading.
 *
 * The kernel hands over exactly this payload and user space parses exactly this payload, so a
 * replay and a live run see the same. */
#ifndef FLOWMETER_APPLICATION_H
#define FLOWMETER_APPLICATION_H

#include "flowmeter/base.h"

/* Limits of the head of a direction: payload segments, and bytes of its stream. They are large
 * enough for a server's TLS 1.2 flight with its certificates. */
#define FM_HEAD_SEGMENTS 8
#define FM_HEAD_BYTES 8192
/* How much is read of a later segment, and of a datagram on port 53. */
#define FM_START_BYTES 1460
#define FM_DATAGRAM_BYTES 512

#define FM_DNS_PORT 53

/* How much fm_application_starts reads. */
#define FM_START_TEST_BYTES 8

FM_INLINE int fm_is_method_byte(__u8 c) {
  return (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/* Whether a request target may start with this character. */
FM_INLINE int fm_is_target_byte(__u8 c) {
  return c != ' ' && c != '\r' && c != '\n';
}

/* Whether a method of at least three letters, one space and a target start here. The method may be
 * longer than the bytes given. Bytes after the first n are 0 and so end a method. */
FM_INLINE int fm_starts_request(const __u8* first, unsigned int n) {
  if (first[0] < 'A' || first[0] > 'Z') return 0;
  if (!fm_is_method_byte(first[1]) || !fm_is_method_byte(first[2])) return 0;
  if (first[3] == ' ') return n > 4 && fm_is_target_byte(first[4]);
  if (!fm_is_method_byte(first[3])) return 0;
  if (first[4] == ' ') return n > 5 && fm_is_target_byte(first[5]);
  if (!fm_is_method_byte(first[4])) return 0;
  if (first[5] == ' ') return n > 6 && fm_is_target_byte(first[6]);
  if (!fm_is_method_byte(first[5])) return 0;
  if (first[6] == ' ') return n > 7 && fm_is_target_byte(first[7]);
  if (!fm_is_method_byte(first[6])) return 0;
  return first[7] == ' ' || fm_is_method_byte(first[7]);
}

FM_INLINE int fm_starts_response(const __u8* first) {
  return first[0] == 'H' && first[1] == 'T' && first[2] == 'T' && first[3] == 'P' &&
         first[4] == '/' && first[5] == '1' && first[6] == '.';
}

/* Whether a segment that starts with these bytes may start an HTTP message, a TLS ClientHello
 * record or, on port 53, a DNS message with one question (after two bytes of length). Never returns
 * 0 for a message that the parsers would accept. n: the segment's length. first:
 * FM_START_TEST_BYTES readable bytes, of which those after the nth are 0. */
FM_INLINE int fm_application_starts(const __u8* first, unsigned int n, int port_53) {
  if (first[0] == 0x16) {
    if (first[1] == 3 && first[2] <= 4 && first[5] == 1) return 1;
  } else if (fm_starts_request(first, n) || fm_starts_response(first)) {
    return 1;
  }
  return port_53 && first[6] == 0 && first[7] == 1;
}

#endif
