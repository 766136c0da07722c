// SPDX-License-Identifier: BSD-3-Clause
// What has to be kept of the first octets of one direction of a TCP stream: those that a parser has
// seen but not finished with, and segments that came before what lies between.
//
// Positions are offsets from the stream's origin. Octets from base() to end() are there; segments
// behind a hole are parked. The first copy of an octet wins. A parked segment may have to be looked
// at by itself in the end, so its first kStartOctets are kept also where they lie beyond the head
// or differ from the copy that came first. A flow may hold kMaxFlowOctets; the owner enforces it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "application/verdict.h"
#include "flowmeter/application.h"

namespace flowmeter {

struct ApplicationFlow;

// A position at which a segment began, so that a message may begin there.
struct Candidate {
  uint64_t order;  // among all that happened to the flow
  uint16_t offset;
  uint8_t segment;  // of the direction, with which the stream reached the position
};

// Those not yet decided, in the order in which they are.
class Candidates {
 public:
  bool empty() const { return count_ == 0; }
  const Candidate& front() const { return queue_[0]; }
  uint32_t least_offset() const;
  void push(Candidate candidate);
  void pop();

 private:
  // A segment adds one at most; of the eight, one at a time is new.
  std::array<Candidate, FM_HEAD_SEGMENTS> queue_;
  uint8_t count_ = 0;
};

class StreamHead {
 public:
  // Trivial, so that a pool may hold it: begin() before and release() after use.
  void begin(uint32_t base);
  void release();

  uint32_t base() const { return base_; }
  // Octets from base() to end.
  Octets from_base(uint32_t end) const { return {data_, end - base_}; }

  // Keeps a segment that begins at offset, at base() or behind it, and returns the end of what is
  // there without a hole from `end` on. False if there is no memory.
  bool add(uint32_t offset, Octets octets, uint32_t* end);
  // Whether a segment lies behind a hole at end.
  bool parked_behind(uint32_t end) const;
  // Calls visit(offset, first octets) for those, in the order of their arrival.
  template <typename Visit>
  void visit_parked(uint32_t end, Visit&& visit) const {
    for (unsigned i = 0; i < parked_count_; i++) {
      const Parked& p = parked_[i];
      if (p.offset <= end) continue;
      const uint32_t length = p.length < FM_START_OCTETS ? p.length : FM_START_OCTETS;
      visit(p.offset, Octets(p.own ? p.own : data_ + (p.offset - base_), length));
    }
  }

  // Memory held for octets; and with this included.
  size_t octets() const { return capacity_ + size_t{own_count_} * FM_START_OCTETS; }
  size_t bytes() const { return sizeof(*this) + octets(); }

  Candidates candidates;
  // Of the owner: whose head this is, and its neighbours in the list by age.
  ApplicationFlow* flow;
  uint32_t older, newer;
  uint8_t direction;

 private:
  struct Parked {
    uint8_t* own;  // its first octets, where they differ from the stream's
    uint16_t offset, length;
  };
  bool reserve(uint32_t end);
  template <typename Visit>
  void visit_pieces(uint32_t from, uint32_t to, uint32_t end, Visit&& visit) const;

  uint8_t* data_;
  uint16_t base_;
  uint16_t capacity_;
  uint8_t parked_count_;
  uint8_t own_count_;
  std::array<Parked, FM_HEAD_SEGMENTS> parked_;
};

}  // namespace flowmeter
