// SPDX-License-Identifier: BSD-3-Clause
#include "containers/protobuf.h"

namespace flowmeter {
namespace {

enum WireType { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

}  // namespace

bool ProtobufReader::next() {
  bytes_ = {};
  if (rest_.empty() || is_malformed_) return false;
  uint64_t tag = 0, value = 0;
  bool is_whole = take_varint(tag);
  number_ = tag >> 3;
  if (is_whole) switch (tag & 7) {
      case kVarint:
        is_whole = take_varint(value);
        break;
      case kFixed64:
        is_whole = take_bytes(8);
        bytes_ = {};
        break;
      case kBytes:
        is_whole = take_varint(value) && take_bytes(value);
        break;
      case kFixed32:
        is_whole = take_bytes(4);
        bytes_ = {};
        break;
      default:  // groups, which CRI does not have
        is_whole = false;
    }
  is_malformed_ = !is_whole || number_ == 0;
  return !is_malformed_;
}

bool ProtobufReader::take_varint(uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool ProtobufReader::take_bytes(uint64_t size) {
  if (size > rest_.size()) return false;
  bytes_ = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return true;
}

}  // namespace flowmeter
