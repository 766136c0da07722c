// SPDX-License-Identifier: BSD-3-Clause
// What a live run shows by --metrics. Everything that is published is counted anyway, so a
// publication neither visits flows nor waits for anything.
#pragma once

#include <memory>

#include "metrics/interface_series.h"
#include "metrics/server.h"
#include "run/report.h"

namespace flowmeter {

class LiveMetrics {
 public:
  // Takes a TCP port, in the network namespace that the program was started in.
  static Result<std::unique_ptr<LiveMetrics>> open(const Config& config);
  // Takes a Unix socket. Requires: the process has its user.
  Status bind_as_user();

  // Lets clients connect. needs: what the server still needs in the sandbox is added. serve() must
  // follow soon, because nobody answers them before.
  Status listen(Confinement& needs);
  // Starts to serve. Requires: the process is confined.
  Status serve();

  // To be called before each drain.
  void note_lag(const BpfDatapath& datapath);
  void publish(const LiveReport& run, const RecordSink& sink, MetricsSnapshot::State state);
  // Ends, and removes the socket.
  void close(Host& host);

 private:
  LiveMetrics(const Config& config, MetricsAddress address, std::unique_ptr<MetricsServer> server)
      : config_(config),
        address_(std::move(address)),
        server_(std::move(server)),
        series_(config.metrics_interfaces) {}
  Status bind();
  Error named(const Error& error) const;
  void add_packets(const LiveReport& run, MetricsSnapshot& now);

  const Config& config_;
  const MetricsAddress address_;
  MetricsListener listener_;
  std::unique_ptr<MetricsServer> server_;
  InterfaceSeries series_;
  uint64_t lag_ns_ = 0;  // the largest since the last publication
};

}  // namespace flowmeter
