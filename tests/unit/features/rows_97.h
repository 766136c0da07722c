// SPDX-License-Identifier: BSD-3-Clause
// Rows of the real-time columns.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "features/columns_97.h"
#include "features/feature_sets.h"
#include "support/expect_cells.h"
#include "support/replay_rows.h"

namespace flowmeter::testing {

inline fm_settings settings_97() {
  return find_feature_set("realtime97")->settings;
}

inline std::vector<Row> rows_of(const std::vector<TimedFrame>& frames,
                                const fm_settings& settings = settings_97()) {
  return replay(frames, settings, kRoomyLimits, columns_97()).rows;
}

// The cells, by column name, of a record made by hand.
inline std::map<std::string, std::string> cells_of(const FlowRecord& record) {
  RowCollector sink(columns_97());
  sink.write(record);
  std::map<std::string, std::string> cells;
  for (const std::string& name : column_names(columns_97())) cells[name] = sink.rows[0].text(name);
  return cells;
}

inline const Cells kNoApplication = {
    {"HTTP Request Count", "0"},           {"HTTP Response Count", "0"},
    {"HTTP Most Common Method", "NONE"},   {"HTTP Most Common Response Code", "0"},
    {"HTTP Content Length", "0"},          {"TLS Handshake Count", "0"},
    {"TLS Most Common Version", "NONE"},   {"TLS Cipher Suite Count", "0"},
    {"TLS Extensions Count", "0"},         {"DNS Query Count", "0"},
    {"DNS Response Count", "0"},           {"DNS Most Common Query Type", "NONE"},
    {"DNS Most Common Response Code", "0"}};

}  // namespace flowmeter::testing
