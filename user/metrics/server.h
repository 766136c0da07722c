// SPDX-License-Identifier: BSD-3-Clause
// Serves metrics by HTTP, on a thread of its own: /metrics, /healthz and /readyz.
//
// That thread shares one thing with the metering thread: the pointer to the last published
// snapshot, which never changes. Nobody outside can hold anything up or make the program grow: a
// connection serves one request of bounded size and ends after kLifetimeNs, the text is made at
// most once a second for each format, and if there are too many connections, the oldest one ends.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "metrics/listener.h"
#include "metrics/microhttpd.h"
#include "metrics/snapshot.h"

namespace flowmeter {

class MetricsServer {
 public:
  static constexpr uint64_t kLifetimeNs = 10 * uint64_t{FM_SECOND_NS};
  static constexpr size_t kMostConnections = 32;  // twice as many until the oldest have ended
  // A run that has not published for so long hangs. Some work takes seconds, as the search of a
  // large flow map.
  static constexpr uint64_t kStaleNs = 15 * uint64_t{FM_SECOND_NS};

  // Loads the library. Requires: the process was not confined yet.
  static Result<std::unique_ptr<MetricsServer>> create(uint64_t lifetime_ns = kLifetimeNs);
  ~MetricsServer();

  // Starts the thread, which takes the listener's descriptor.
  Status start(MetricsListener& listener);
  void publish(std::shared_ptr<const MetricsSnapshot> snapshot) {
    snapshot_.store(std::move(snapshot));
  }
  // Waits for the end of the thread.
  void stop();

 private:
  MetricsServer(const Microhttpd& http, uint64_t lifetime_ns);

  class Service;  // what only the thread uses

  const Microhttpd& http_;
  const uint64_t lifetime_ns_;
  std::atomic<std::shared_ptr<const MetricsSnapshot>> snapshot_;
  std::unique_ptr<Service> service_;
  UniqueFd wake_;
  std::atomic<bool> stops_ = false;
  std::thread thread_;
};

}  // namespace flowmeter
