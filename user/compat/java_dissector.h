// SPDX-License-Identifier: BSD-3-Clause
// From a captured frame to a packet of the Java CICFlowMeter: the record as libpcap reads it (time,
// lengths), then the header walk. The original ignores the link type.
#pragma once

#include <cstdint>

#include "capture/capture_reader.h"
#include "compat/java_walk.h"
#include "compat/live_packet.h"

namespace flowmeter {

class JavaDissector {
 public:
  // The next frames are from this capture. Without a capture, their times and lengths are correct.
  void begin(const CaptureReader& capture) { capture_ = &capture; }

  // Whether libpcap ends the reading before this frame, the last one read.
  bool ends_before(const CapturedFrame& frame) const;

  // Fills packet if the frame is one. Requires: the frame is the last one read.
  JavaPacketClass dissect(const CapturedFrame& frame, JavaPacket* packet) const;
  // The same for a packet of a live run.
  static JavaPacketClass dissect(const LivePacket& live, JavaPacket* packet);

 private:
  int64_t time_us(const CapturedFrame& frame) const;

  const CaptureReader* capture_ = nullptr;
};

}  // namespace flowmeter
