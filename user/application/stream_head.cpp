// SPDX-License-Identifier: BSD-3-Clause
#include "application/stream_head.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace flowmeter {

uint32_t Candidates::least_offset() const {
  uint32_t least = FM_HEAD_BYTES;
  for (unsigned i = 0; i < count_; i++) least = std::min<uint32_t>(least, queue_[i].offset);
  return least;
}

void Candidates::push(Candidate candidate) {
  if (count_ < queue_.size()) queue_[count_++] = candidate;
}

void Candidates::pop() {
  count_--;
  std::copy(queue_.begin() + 1, queue_.begin() + 1 + count_, queue_.begin());
}

void StreamHead::begin(uint32_t base) {
  candidates = {};
  data_ = nullptr;
  base_ = static_cast<uint16_t>(base);
  capacity_ = 0;
  parked_count_ = 0;
  own_count_ = 0;
}

void StreamHead::release() {
  for (unsigned i = 0; i < parked_count_; i++) std::free(parked_[i].own);
  std::free(data_);
}

bool StreamHead::reserve(uint32_t end) {
  constexpr uint32_t kStep = 512;
  const uint32_t size = end - base_;
  if (size <= capacity_) return true;
  const uint32_t capacity = (size + kStep - 1) / kStep * kStep;
  void* data = std::realloc(data_, capacity);
  if (data == nullptr) return false;
  data_ = static_cast<uint8_t*>(data);
  capacity_ = static_cast<uint16_t>(capacity);
  return true;
}

// Calls visit for each piece between from and to, present or missing. end: where the stream's first
// hole is.
template <typename Visit>
void StreamHead::visit_pieces(uint32_t from, uint32_t to, uint32_t end, Visit&& visit) const {
  while (from < to) {
    uint32_t there_to = from < end ? end : from, next = to;
    for (unsigned i = 0; i < parked_count_; i++) {
      const uint32_t begin = parked_[i].offset, after = begin + parked_[i].length;
      if (begin <= from) {
        there_to = std::max(there_to, after);
      } else {
        next = std::min(next, begin);
      }
    }
    const bool there = there_to > from;
    const uint32_t piece_end = there ? std::min(there_to, to) : next;
    visit(from, piece_end, there);
    from = piece_end;
  }
}

bool StreamHead::add(uint32_t offset, Bytes bytes, uint32_t* end) {
  const bool in_order = offset <= *end;
  // Beyond the head, only those bytes are kept that are needed to read a parked segment by itself.
  const uint32_t in_head = FM_HEAD_BYTES - offset;
  bytes = bytes.first(std::min<size_t>(
      bytes.size(), in_order ? in_head : std::max<uint32_t>(in_head, FM_START_BYTES)));
  const uint32_t to = offset + static_cast<uint32_t>(bytes.size());
  if (!reserve(std::max(to, *end))) return false;

  bool differs = false;
  visit_pieces(offset, to, *end, [&](uint32_t piece, uint32_t piece_end, bool there) {
    uint8_t* stream = data_ + (piece - base_);
    const uint8_t* copy = bytes.data() + (piece - offset);
    if (!there) {
      std::memcpy(stream, copy, piece_end - piece);
    } else if (!in_order && piece < offset + FM_START_BYTES) {
      differs |=
          std::memcmp(stream, copy, std::min(piece_end, offset + FM_START_BYTES) - piece) != 0;
    }
  });
  if (in_order) {
    *end = std::max(*end, to);
  } else {
    uint8_t* own = nullptr;
    if (differs) {
      own = static_cast<uint8_t*>(std::malloc(FM_START_BYTES));
      if (own == nullptr) return false;
      std::memcpy(own, bytes.data(), std::min<size_t>(bytes.size(), FM_START_BYTES));
      own_count_++;
    }
    parked_[parked_count_++] = {own, static_cast<uint16_t>(offset),
                                static_cast<uint16_t>(bytes.size())};
  }
  for (unsigned i = 0; i < parked_count_;) {
    const uint32_t after = std::min<uint32_t>(parked_[i].offset + parked_[i].length, FM_HEAD_BYTES);
    if (parked_[i].offset <= *end && after > *end) {
      *end = after;
      i = 0;
    } else {
      i++;
    }
  }
  return true;
}

bool StreamHead::parked_after(uint32_t end) const {
  for (unsigned i = 0; i < parked_count_; i++)
    if (parked_[i].offset > end) return true;
  return false;
}

}  // namespace flowmeter
