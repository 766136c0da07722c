// SPDX-License-Identifier: BSD-3-Clause
// The account of the rows of one output: rows = written + waiting + dropped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace flowmeter {

struct OutputAccount {
  // What becomes of rows that are delivered to a server.
  struct Delivery {
    uint64_t sent = 0;     // acknowledged by the server, also those of earlier runs
    uint64_t refused = 0;  // by the server, for good
    uint64_t lost = 0;     // could neither be sent nor kept
    uint64_t spooled = 0;  // in the spool now
  };

  std::string name;               // a path, or a URL without its query
  uint64_t rows = 0;              // made for this output
  uint64_t written = 0;           // they are where the end of the program cannot lose them
  uint64_t dropped = 0;           // given up
  std::optional<uint64_t> files;  // of an output that is rotated or compressed
  std::optional<Delivery> delivery;

  uint64_t waiting_bytes = 0;  // of rows in memory
  bool up = true;              // the last attempt to write has not failed

  uint64_t waiting() const;
  // "output NAME: rows=9 written=7 waiting=1 dropped=1", then " files=2" or " sent=…".
  std::string text() const;
};

}  // namespace flowmeter
