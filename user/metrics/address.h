// SPDX-License-Identifier: BSD-3-Clause
// Where metrics are served: a TCP port of an IP address, or a Unix socket.
#pragma once

#include <string>

#include "base/result.h"

namespace flowmeter {

struct MetricsAddress {
  std::string path;  // of a Unix socket; empty: TCP
  std::string host;  // an IP address; empty: all of this machine
  std::string port;

  // "127.0.0.1:9464", "[::1]:9464", "localhost:9464", ":9464"; "unix:/run/x.sock", "/run/x.sock".
  // Names of hosts are not resolved.
  static Result<MetricsAddress> parse(const std::string& text);
};

}  // namespace flowmeter
