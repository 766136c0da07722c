// SPDX-License-Identifier: BSD-3-Clause
// Runs the header walk of --compat java on arbitrary bytes, in a block of exactly the captured
// length so that a read beyond it is detected. The first four bytes are the length on the wire.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "compat/java_walk.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace flowmeter;
  uint32_t wire_length;
  if (size < sizeof(wire_length)) return 0;
  std::memcpy(&wire_length, data, sizeof(wire_length));
  size -= sizeof(wire_length);
  const auto frame = std::make_unique<uint8_t[]>(size);
  if (size > 0) std::memcpy(frame.get(), data + sizeof(wire_length), size);
  JavaPacket packet;
  if (java_walk(frame.get(), static_cast<uint32_t>(size), wire_length, &packet) ==
      JavaPacketClass::kNotIpv4)
    return 0;
  require(packet.protocol == 0 || packet.protocol == 6 || packet.protocol == 17);
  require(packet.header_bytes >= 0 && packet.payload_bytes >= 0);
  require(static_cast<size_t>(packet.header_bytes + packet.payload_bytes) <= size);
  require(packet.protocol != 0 || packet.header_bytes + packet.payload_bytes == 0);
  return 0;
}
