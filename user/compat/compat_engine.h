// SPDX-License-Identifier: BSD-3-Clause
// A compatibility mode: a meter that does what another program does, cell for cell, quirks
// included. Each is an engine of its own beside the correct one, over the same capture source, in
// two classes: one walks a frame's headers as the original's libraries do and gives a packet of the
// mode (what the kernel's records can give live, too), the other makes flows and rows of packets.
// What is quirk stays in this room.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "capture/capture_reader.h"
#include "compat/live_packet.h"

namespace flowmeter {

class CompatEngine {
 public:
  virtual ~CompatEngine() = default;

  // A capture begins; `capture` is where the next frames come from, and has what of the file itself
  // the original's reading depends on. Live, this is never called.
  virtual void begin(const CaptureReader& capture) = 0;
  // Frames in capture order, each right after capture.next(). False: the original's reading of this
  // capture ended before this frame, which is not counted.
  virtual bool add(const CapturedFrame& frame) = 0;
  // Packets of a live run, in the order of their times.
  virtual void add(const LivePacket& packet) = 0;
  // Live, whether a buffer of several segments is one packet, as a packet socket shows it, or as
  // many as are on the wire.
  virtual bool takes_whole_buffers() const = 0;
  // Writes what is left. Fails if the output could not take all rows.
  virtual Status finish() = 0;

  // Whether the output has failed: go on to finish().
  virtual bool failed() const = 0;
  // Hands what is due to the operating system (a pipe that waits for rows, a tail -f).
  virtual Status flush() = 0;

  virtual uint64_t seen() const = 0;
  // Whether seen = taken + all named reasons why not, and no packet was lost between flows and
  // rows.
  virtual bool balanced() const = 0;
  // "seen=5 taken=3 not_ip=2 … flows=1": the account line.
  virtual std::string account() const = 0;
  // What the user must know at the end, a line each: rows left out where the original fails, flows
  // forced out.
  virtual std::vector<std::string> warnings() const = 0;
};

}  // namespace flowmeter
