// SPDX-License-Identifier: BSD-3-Clause
#include "application/stream_head.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

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

// What is in holes was never written, and is not copied.
void StreamHead::save(uint32_t end, ValueBytes& to) const {
  append(to, *this);
  visit_pieces(base_, base_ + uint32_t{capacity_}, end,
               [&](uint32_t piece, uint32_t piece_end, bool there) {
                 const uint32_t size = piece_end - piece;
                 if (there)
                   append_array(to, data_ + (piece - base_), size);
                 else
                   to.resize(to.size() + size);
               });
  for (unsigned i = 0; i < parked_count_; i++)
    if (parked_[i].own) append_array(to, parked_[i].own, parked_[i].start_length());
}

bool StreamHead::restore(ValueReader& from) {
  if (!from.read(*this) || parked_count_ > parked_.size()) return false;
  const auto take = [&from](uint8_t*& to, size_t capacity, size_t size) {
    to = static_cast<uint8_t*>(std::malloc(capacity));
    return to != nullptr && from.read_array(to, size);
  };
  data_ = nullptr;
  bool whole = capacity_ == 0 || take(data_, capacity_, capacity_);
  own_count_ = 0;
  for (unsigned i = 0; i < parked_count_; i++) {
    const bool follows = std::exchange(parked_[i].own, nullptr) != nullptr;
    own_count_ = static_cast<uint8_t>(own_count_ + follows);
    if (whole && follows) whole = take(parked_[i].own, FM_START_BYTES, parked_[i].start_length());
  }
  if (!whole) release();
  return whole;
}

bool StreamHead::parked_after(uint32_t end) const {
  for (unsigned i = 0; i < parked_count_; i++)
    if (parked_[i].offset > end) return true;
  return false;
}

}  // namespace flowmeter
