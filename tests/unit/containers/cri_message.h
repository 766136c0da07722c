// SPDX-License-Identifier: BSD-3-Clause
// Makes messages of CRI.
#pragma once

#include <string>

namespace flowmeter::testing {

inline std::string varint(uint64_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7) text.push_back(static_cast<char>(value | 0x80));
  return text + static_cast<char>(value);
}

// A field of a text or of a message.
inline std::string field(unsigned number, const std::string& bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}
inline std::string field(unsigned number, uint64_t value) {
  return varint(number << 3) + varint(value);
}

inline std::string cri_sandbox(const std::string& id, const std::string& pod,
                               const std::string& uid, const std::string& pod_namespace) {
  return field(1, field(1, id) + field(2, field(1, pod) + field(2, uid) + field(3, pod_namespace)) +
                      field(4, 1'700'000'000) + field(5, field(1, "app") + field(2, "x")));
}

inline std::string cri_container(const std::string& id, const std::string& sandbox,
                                 const std::string& name) {
  return field(
      1, field(1, id) + field(2, sandbox) + field(3, field(1, name) + field(2, 1)) + field(6, 1));
}

}  // namespace flowmeter::testing
