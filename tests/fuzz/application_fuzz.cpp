// SPDX-License-Identifier: BSD-3-Clause
// Runs the application layer on arbitrary packets of a few flows. There is little room for heads,
// so any of them may be dropped at any time. The first byte of the input chooses the room. Each
// packet is flow, direction and flags (one byte), offset (two bytes), length (two bytes) and
// payload.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include "application/application_layer.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace flowmeter;
  if (size < 1) return 0;
  const size_t room = size_t{4096} << (data[0] & 3);
  ApplicationLayer layer(4, room);
  std::array<ApplicationFlow, 4> flows{};
  size_t at = 1;
  while (at + 5 <= size) {
    const uint8_t what = data[at];
    const uint32_t offset = static_cast<uint32_t>(data[at + 1] << 8 | data[at + 2]);
    const uint32_t length = static_cast<uint32_t>((data[at + 3] << 8 | data[at + 4]) & 0x3fff);
    at += 5;
    const size_t captured = std::min<size_t>(length, size - at);
    const auto exact = std::make_unique<uint8_t[]>(captured);
    std::copy(data + at, data + at + captured, exact.get());
    at += captured;

    ApplicationFlow& flow = flows[what & 3];
    const bool syn = (what & 0x08) != 0, port_53 = (what & 2) != 0;
    const Payload payload{static_cast<uint8_t>(what >> 2 & 1),
                          0xfffff000 + offset,
                          length,
                          syn,
                          {exact.get(), captured}};
    switch (what >> 4) {
      case 0:
        layer.udp(flow, payload);
        break;
      case 2:
        layer.lost(flow);
        break;
      case 3: {
        const ApplicationSummary& s = layer.finish(flow);
        require(s.http_method.text().size() <= HttpMethod::kMaxLength && s.http_code < 1000);
        require(s.tls_messages > 0 || !s.tls_version_known);
        require(s.tls_cipher_suites <= 513 && s.tls_extensions <= 512);
        layer.release(flow);
        break;
      }
      default:
        layer.tcp(flow, port_53, payload);
        break;
    }
    require(layer.statistics().head_bytes <= room);
  }
  for (ApplicationFlow& flow : flows) {
    layer.finish(flow);
    layer.release(flow);
  }
  require(layer.statistics().heads == 0 && layer.statistics().head_bytes == 0);
  return 0;
}
