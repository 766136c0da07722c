// SPDX-License-Identifier: BSD-3-Clause
// The column "service" of a live run: follows the connections that the kernel tracks, while flows
// are metered.
#pragma once

#include <memory>

#include "base/host.h"
#include "kernel/conntrack.h"
#include "run/config.h"
#include "run/service_table.h"

namespace flowmeter {

class LiveServices {
 public:
  // Whether the column is selected.
  static bool wanted(const Config& config);
  // Null if connections cannot be followed; says why with -v. The column is then empty. Requires:
  // CAP_NET_ADMIN, which is needed until the end.
  static std::unique_ptr<LiveServices> open(const Config& config, Host& host);

  // To be called before each drain: a flow's connection is notified before its end is metered.
  void follow(uint64_t now_ns);
  ServiceNames& names() { return table_; }

 private:
  LiveServices(Conntrack conntrack, size_t most, bool verbose, Host& host)
      : conntrack_(std::move(conntrack)), table_(most), verbose_(verbose), host_(host) {}
  void take(const ConntrackEntry& entry);
  Status list(uint64_t now_ns);
  void note(const Error& error);

  Conntrack conntrack_;
  ServiceTable table_;
  const bool verbose_;
  Host& host_;
  bool must_list_ = true;
  bool told_ = false;
  uint64_t next_list_ns_ = 0;
};

}  // namespace flowmeter
