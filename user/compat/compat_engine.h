// SPDX-License-Identifier: BSD-3-Clause
// A compatibility mode: a meter that writes the rows of another program, cell by cell, quirks
// included. Each mode is a separate engine that reads the same capture source as the correct one.
// It has two classes: one walks a frame's headers like the original's libraries and makes a packet
// of the mode (in a live run, from the kernel's records); the other makes flows and rows from
// packets. All quirks are in this room.
#pragma once

#include "capture/capture_consumer.h"
#include "compat/live_packet.h"

namespace flowmeter {

class CompatEngine : public CaptureConsumer {
 public:
  // Adds a packet of a live run, in the order of time. A live run has no captures and never calls
  // begin().
  using CaptureConsumer::add;
  virtual void add(const LivePacket& packet) = 0;
  // In a live run: whether a buffer of several segments counts as one packet, as on a packet
  // socket, or as its packets on the wire.
  virtual bool takes_whole_buffers() const = 0;
  // Hands the finished rows to the operating system, for the reader of a pipe or tail -f.
  virtual Status flush() = 0;

  // Whether seen = taken + all other named classes, and no packet was lost between flows and rows.
  virtual bool balanced() const = 0;
  std::string imbalance() const final { return balanced() ? "" : "the account does not balance"; }
};

}  // namespace flowmeter
