// SPDX-License-Identifier: BSD-3-Clause
// Runs frames through the whole of replay (parser, tables, features) and keeps the rows by column
// name. Each frame lies in a heap block of exactly its captured length, so AddressSanitizer detects
// a read beyond it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "features/columns_82.h"
#include "flows/replay.h"
#include "support/packet_builder.h"

namespace flowmeter::testing {

class Row {
 public:
  // The cell as in CSV. Aborts on an unknown column: a typing error in a test.
  const std::string& text(const std::string& column) const;
  // The cell of a number column.
  double number(const std::string& column) const;
  uint64_t packets() const;
  const std::vector<std::string>& cells() const { return cells_; }
  fm_end_reason end() const { return end_; }

 private:
  friend class RowCollector;
  explicit Row(FeatureSet set) : set_(set) {}
  FeatureSet set_;
  std::vector<std::string> cells_;
  std::vector<double> numbers_;
  fm_end_reason end_ = FM_END_NONE;
};

// The names of the columns in their order.
const std::vector<std::string>& column_names(FeatureSet set = columns_82());

class RowCollector final : public RecordSink {
 public:
  explicit RowCollector(FeatureSet set = columns_82()) : set_(set) {}
  void write(const FlowRecord& record) override;
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }

  std::vector<Row> rows;

 private:
  FeatureSet set_;
};

struct Replayed {
  std::vector<Row> rows;
  Account account;
  uint64_t forced_out = 0;
  uint64_t packets_written = 0;
};

constexpr Replay::Limits kRoomyLimits{4096, 1024};

// Requires: every frame is of era 0.
Replayed replay(const std::vector<TimedFrame>& frames,
                const fm_settings& settings = fm_default_settings(),
                Replay::Limits limits = kRoomyLimits, FeatureSet set = columns_82(),
                const MeterIdentity* meter = nullptr);

// Replays a capture file.
Replayed replay_file(const std::string& path, const fm_settings& settings = fm_default_settings());

}  // namespace flowmeter::testing
