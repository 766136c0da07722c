// SPDX-License-Identifier: BSD-3-Clause
// A compatibility mode: a meter that does what another program does, cell for cell, quirks
// included. Each is an engine of its own beside the correct one, over the same capture source, in
// two classes: one walks a frame's headers as the original's libraries do and gives a packet of the
// mode (in a live run the kernel's records give it), the other makes flows and rows from packets.
// All quirks stay in this room.
#pragma once

#include "capture/capture_consumer.h"
#include "compat/live_packet.h"

namespace flowmeter {

class CompatEngine : public CaptureConsumer {
 public:
  // A live run has no captures. It never calls begin(), and passes its packets here in the order of
  // their times.
  using CaptureConsumer::add;
  virtual void add(const LivePacket& packet) = 0;
  // In a live run: whether a buffer of several segments counts as one packet, as on a packet
  // socket, or as its packets on the wire.
  virtual bool takes_whole_buffers() const = 0;
  // Hands the finished rows to the operating system, for a pipe that waits for rows or a tail -f.
  virtual Status flush() = 0;

  // Whether seen = taken + all other named classes, and no packet was lost between flows and rows.
  virtual bool balanced() const = 0;
  std::string imbalance() const final { return balanced() ? "" : "the account does not balance"; }
};

}  // namespace flowmeter
