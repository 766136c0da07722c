// SPDX-License-Identifier: BSD-3-Clause
#include "compat/live_feed.h"

#include <cstdlib>

namespace flowmeter {

// All flows have one time origin, because a flow of the mode may have packets of several kernel
// flows. It follows steps of the wall clock, like the originals' times, but not the noise of
// reading the clock.
void LiveFeed::set_clock(ClockOrigin clock) {
  constexpr int64_t kStep = 1'000'000;
  const auto origin =
      static_cast<int64_t>(clock.unix_s * static_cast<int64_t>(FM_SECOND_NS)) + clock.unix_ns;
  if (std::abs(origin - origin_ns_) > kStep) origin_ns_ = origin;
}

void LiveFeed::observe(const fm_flow_key& key, const fm_packet& packet, uint8_t initiator) {
  LivePacket live{packet, (origin_ns_ + static_cast<int64_t>(packet.time_ns)) / 1000,
                  (packet.direction & 1) == initiator};
  fm_packet& one = live.packet;
  one.key = key;
  one.segment_bytes = 0;
  uint32_t left = fm_packet_segments(&packet);
  packets_ += left;
  if (left == 1 || engine_.takes_whole_buffers()) return engine_.add(live);

  // Like fm_add_segments_before_last: only the last segment has FIN and PSH, only the first has
  // CWR.
  const uint32_t last_payload = packet.payload_bytes - (left - 1) * packet.segment_bytes;
  const uint32_t around = packet.wire_length - packet.payload_bytes;
  uint8_t kept = packet.flags & static_cast<uint8_t>(~(FM_FIN | FM_PSH));
  one.payload_bytes = packet.segment_bytes;
  one.wire_length = around + packet.segment_bytes;
  for (; left > 1; left--) {
    one.flags = kept;
    engine_.add(live);
    kept &= static_cast<uint8_t>(~FM_CWR);
  }
  one.payload_bytes = last_payload;
  one.wire_length = around + last_payload;
  one.flags = packet.flags & static_cast<uint8_t>(~FM_CWR);
  engine_.add(live);
}

}  // namespace flowmeter
