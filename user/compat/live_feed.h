// SPDX-License-Identifier: BSD-3-Clause
// Feeds a compatibility mode with the packets of a live run. The correct flows are kept as well:
// they manage the kernel's map and know which flow a record belongs to. This class receives their
// rows and discards them.
#pragma once

#include <string>
#include <vector>

#include "compat/compat_engine.h"
#include "flows/live_flows.h"

namespace flowmeter {

class LiveFeed final : public PacketObserver, public RecordSink {
 public:
  explicit LiveFeed(CompatEngine& engine) : engine_(engine) {}

  void set_clock(ClockOrigin clock) override;
  void observe(const fm_flow_key& key, const fm_packet& packet, uint8_t initiator) override;

  void write(const FlowRecord&) override {}
  bool failed() const override { return engine_.failed(); }
  Status flush() override { return engine_.flush(); }
  uint64_t rows_unwritten() const override { return engine_.rows_unwritten(); }
  std::vector<OutputAccount> accounts() const override { return engine_.output_accounts(); }

  // Packets on the wire that were observed.
  uint64_t packets() const { return packets_; }

 private:
  CompatEngine& engine_;
  int64_t origin_ns_ = 0;
  uint64_t packets_ = 0;
};

}  // namespace flowmeter
