// SPDX-License-Identifier: BSD-3-Clause
// The rows that a live run writes: those of our own flows, or those of a compatibility mode, which
// sees each packet in addition to the flows.
#pragma once

#include <string>

#include "base/host.h"
#include "compat/live_feed.h"
#include "flows/live_flows.h"
#include "run/config.h"

namespace flowmeter {

struct LiveReport;

class LiveRows {
 public:
  virtual ~LiveRows() = default;

  // The sink of the flows.
  virtual RecordSink& sink() = 0;
  // The observer of each packet; null: none.
  virtual PacketObserver* observer() { return nullptr; }
  // Makes the last rows. Requires: all packets have been added.
  virtual Status finish() { return Done{}; }

  // Packets in rows or in open flows. rows_before: those in rows of earlier daemons.
  virtual uint64_t packets(const LiveFlows& flows, uint64_t rows_before) const = 0;
  virtual bool balanced() const { return true; }
  // The end of the account line, after the packet classes.
  virtual std::string account(const LiveFlows&, uint64_t /*rows_before*/) const { return ""; }
  // Logs their own account line, if they have one.
  virtual void log_account(Host&) const {}
  // Logs what the user must know at the end. kernel_only: metered packets that are in no row and in
  // no open flow.
  virtual void report(const LiveReport& run, uint64_t kernel_only) const = 0;
};

class FlowRows final : public LiveRows {
 public:
  explicit FlowRows(RecordSink& sink) : sink_(sink) {}

  RecordSink& sink() override { return sink_; }
  uint64_t packets(const LiveFlows& flows, uint64_t rows_before) const override;
  std::string account(const LiveFlows& flows, uint64_t rows_before) const override;
  void report(const LiveReport& run, uint64_t kernel_only) const override;

 private:
  RecordSink& sink_;
};

class CompatRows final : public LiveRows {
 public:
  explicit CompatRows(CompatEngine& engine) : engine_(engine), feed_(engine) {}

  RecordSink& sink() override { return feed_; }
  PacketObserver* observer() override { return &feed_; }
  Status finish() override { return engine_.finish(); }
  uint64_t packets(const LiveFlows&, uint64_t) const override { return feed_.packets(); }
  bool balanced() const override { return engine_.balanced(); }
  void log_account(Host& host) const override { host.log_account(engine_.account()); }
  void report(const LiveReport& run, uint64_t kernel_only) const override;

 private:
  CompatEngine& engine_;
  LiveFeed feed_;
};

}  // namespace flowmeter
