// SPDX-License-Identifier: BSD-3-Clause
// Reads the fields of a message in the wire format of Protocol Buffers, without a copy.
#pragma once

#include <cstdint>
#include <string_view>

namespace flowmeter {

class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view message) : rest_(message) {}

  // Goes to the next field. false: the message ends, or what follows is no field.
  bool next();
  bool is_malformed() const { return is_malformed_; }

  uint64_t number() const { return number_; }
  // Of a string, bytes or a message; empty for other types.
  std::string_view bytes() const { return bytes_; }

 private:
  bool take_varint(uint64_t& value);
  bool take_bytes(uint64_t size);

  std::string_view rest_;
  uint64_t number_ = 0;
  std::string_view bytes_;
  bool is_malformed_ = false;
};

}  // namespace flowmeter
