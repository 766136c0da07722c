// SPDX-License-Identifier: BSD-3-Clause
// The payload that is kept of one direction's head: bytes that a parser has seen but not finished,
// and segments that arrived too early.
//
// Positions are offsets from the stream's origin. From base() to the stream's end nothing is
// missing; segments after a hole are parked. The first copy of a byte wins. A parked segment may
// have to be read by itself at the end, so its first FM_START_BYTES are kept even if they are
// beyond the head or differ from the copy that arrived first. The owner limits the memory of a
// flow.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "application/verdict.h"
#include "base/value_bytes.h"
#include "flowmeter/application.h"

namespace flowmeter {

struct ApplicationFlow;

// A position where a segment started, and so a message may start.
struct Candidate {
  uint64_t order;  // position among all events of the flow
  uint16_t offset;
  uint8_t segment;  // of the direction, with which the stream reached the position
};

// The candidates that are not decided yet, in the order in which they will be decided.
class Candidates {
 public:
  bool empty() const { return count_ == 0; }
  const Candidate& front() const { return queue_[0]; }
  uint32_t least_offset() const;
  void push(Candidate candidate);
  void pop();

 private:
  // Each of the head's segments adds at most one.
  std::array<Candidate, FM_HEAD_SEGMENTS> queue_;
  uint8_t count_ = 0;
};

class StreamHead {
 public:
  // Trivial, so that it can be kept in a pool: begin() before and release() after use.
  void begin(uint32_t base);
  void release();

  uint32_t base() const { return base_; }
  // Bytes from base() to end.
  Bytes from_base(uint32_t end) const { return {data_, end - base_}; }

  // Keeps a segment that starts at offset, which is at least base(). Updates *end, the position of
  // the stream's first hole. False if there is no memory.
  bool add(uint32_t offset, Bytes bytes, uint32_t* end);
  // Whether a segment is parked after a hole at end.
  bool parked_after(uint32_t end) const;
  // Calls visit(offset, first bytes) for each of those, in the order of their arrival.
  template <typename Visit>
  void visit_parked(uint32_t end, Visit&& visit) const {
    for (unsigned i = 0; i < parked_count_; i++) {
      const Parked& p = parked_[i];
      if (p.offset <= end) continue;
      visit(p.offset, Bytes(p.own ? p.own : data_ + (p.offset - base_), p.start_length()));
    }
  }

  // Appends the head; end: where the stream's first hole is.
  void save(uint32_t end, ValueBytes& to) const;
  // In place of begin(): as it was saved, without what the owner sets. False if that is incomplete
  // or there is no memory; then nothing has to be released.
  bool restore(ValueReader& from);

  // Memory held for payload; and with this object.
  size_t buffered() const { return capacity_ + size_t{own_count_} * FM_START_BYTES; }
  size_t bytes() const { return sizeof(*this) + buffered(); }

  Candidates candidates;
  // Set by the owner: the flow of this head, how many heads were opened before it, and its
  // neighbours in the list by age.
  ApplicationFlow* flow;
  uint64_t opened;
  uint32_t older, newer;
  uint8_t direction;

 private:
  struct Parked {
    uint8_t* own;  // its first bytes if they differ from the stream's, else null
    uint16_t offset, length;
    uint32_t start_length() const { return length < FM_START_BYTES ? length : FM_START_BYTES; }
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
