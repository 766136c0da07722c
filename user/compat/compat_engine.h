// SPDX-License-Identifier: BSD-3-Clause
// A compatibility mode: a meter that does what another program does, cell for cell, quirks
// included. Each is an engine of its own beside the correct one, over the same capture source, in
// two classes: one walks a frame's headers as the original's libraries do and gives a packet of the
// mode (live, the kernel's records give it, too), the other makes flows and rows of packets. All
// quirks stay in this room.
#pragma once

#include "capture/capture_consumer.h"
#include "compat/live_packet.h"

namespace flowmeter {

class CompatEngine : public CaptureConsumer {
 public:
  // A live run has no captures: it never calls begin(), and its packets come here, in the order of
  // their times.
  using CaptureConsumer::add;
  virtual void add(const LivePacket& packet) = 0;
  // Live, whether a buffer of several segments is one packet, as a packet socket shows it, or as
  // many as are on the wire.
  virtual bool takes_whole_buffers() const = 0;
  // Hands what is due to the operating system (a pipe that waits for rows, a tail -f).
  virtual Status flush() = 0;

  // Whether seen = taken + all other named classes, and no packet was lost between flows and rows.
  virtual bool balanced() const = 0;
  std::string imbalance() const final { return balanced() ? "" : "the account does not balance"; }
};

}  // namespace flowmeter
