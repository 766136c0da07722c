// SPDX-License-Identifier: BSD-3-Clause
// The tables and views of ClickHouse for the rows of a feature set, as SQL that can be run again.
#pragma once

#include <string>

#include "base/result.h"
#include "features/feature_sets.h"

namespace flowmeter {

struct DdlOptions {
  // kClickhouse18: for Debian's version 18.16, which has neither DateTime64 nor window functions.
  enum class Dialect { kClickhouse, kClickhouse18 };
  Dialect dialect = Dialect::kClickhouse;
  std::string table = "flows";  // or DATABASE.TABLE
  // The topic that fills the table, and its brokers; empty: none. They need no quotes in SQL.
  std::string brokers = {}, topic = {};
};

// Fails if the table cannot have that name.
Result<std::string> clickhouse_ddl(const NamedFeatureSet& set, const DdlOptions& options);

}  // namespace flowmeter
