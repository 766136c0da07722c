// SPDX-License-Identifier: BSD-3-Clause
// The consumer of a replay's frames: our own flows, or a compatibility mode. The loop over captures
// (run/replay.cpp) is a template, so add() is a virtual call only where the consumer is not known
// at compile time.
#pragma once

#include <string>
#include <vector>

#include "base/host.h"
#include "base/output_account.h"
#include "capture/capture_reader.h"

namespace flowmeter {

class CaptureConsumer : public Unfinished {
 public:
  virtual ~CaptureConsumer() = default;

  // A capture starts: the next frames come from it.
  virtual void begin(CaptureReader& capture) = 0;
  // Frames come in capture order, each right after capture.next(). Returns false if the program
  // that is imitated stops reading this capture before this frame, which is then not counted.
  virtual bool add(const CapturedFrame& frame) = 0;
  // The capture's frames are about to become invalid: no reference to them may remain.
  virtual void end() {}
  // Writes the remaining rows. Fails if the output could not take all rows.
  virtual Status finish() = 0;

  // Whether the output has failed. If so, continue with finish().
  virtual bool failed() const = 0;
  // The account line: "seen=5 metered=3 not_ip=2 … flows=1".
  virtual std::string account() const = 0;
  // The accounts of the outputs.
  virtual std::vector<OutputAccount> output_accounts() const { return {}; }
  // Describes why the account does not balance, or is empty. It balances if seen = taken + all
  // named classes, and no packet was lost between flows and rows.
  virtual std::string imbalance() const = 0;
  // Logs what the user must know at the end.
  virtual void report(Host& host) const = 0;
};

}  // namespace flowmeter
