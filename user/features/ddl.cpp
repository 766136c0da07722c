// SPDX-License-Identifier: BSD-3-Clause
// Texts in braces stand for parts that depend on the feature set or on the options.
#include "features/ddl.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "features/application_quantities.h"
#include "features/columns_extra.h"
#include "features/quantities.h"
#include "features/select.h"

namespace flowmeter {
namespace {

using Dialect = DdlOptions::Dialect;
using Parts = std::vector<std::pair<std::string_view, std::string>>;

// ---- texts ----

// Between the clocks of two hosts that have seen a flow.
constexpr unsigned kToleranceS = 5;

constexpr std::string_view kTable = R"(-- {set}, for {version}. Rows come from
--   flowmeter-ebpf --features {set} --fleet --url-format ndjson --url-batch 10000 \
--     -u 'http://HOST:8123/?{query_settings}query=INSERT INTO {table} FORMAT JSONEachRow'
-- A row may be delivered twice. Of rows with the same flow_id one remains, at the latest in a query with FINAL. The key has
-- the hour and not the time, because the time of a row that is made again after a kill can differ by microseconds.
CREATE TABLE IF NOT EXISTS {table}
(
{columns}
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM({time})
ORDER BY (toStartOfHour({time}), {row_id});

-- Flows per minute in which they began, each once. It is a view and not a table that each insert adds to, because that would
-- add a row that is delivered twice two times.
CREATE VIEW IF NOT EXISTS {table}_1m AS
SELECT
    toStartOfMinute({time}) AS minute,
    meter_id,
    {protocol} AS protocol,
    count() AS flows,
    sum({fwd_packets}) AS fwd_packets,
    sum({bwd_packets}) AS bwd_packets,
    sum({fwd_bytes}) AS fwd_bytes,
    sum({bwd_bytes}) AS bwd_bytes
FROM {table} FINAL
GROUP BY minute, meter_id, protocol;
)";

constexpr std::string_view kOnce = R"(
-- A flow that several meters have seen, once: the rows of the meter that is nearer to its sender. That is one that saw the
-- first packet leave its host (direction is egress), else the one that saw it first. Flows are the same if they have the
-- same community_id and overlap, or are at most {tolerance_s} s apart: clocks of different hosts may differ by that much. Rows that an
-- active time-out has cut (flow_key) belong together, wherever each meter has cut them.
)";

// The rows of each meter's flow, together.
constexpr std::string_view kChains = R"(        SELECT
            if(community_id = '', toString(flow_key), community_id) AS flow,
            meter_id,
            flow_key,
            min({first_us}) AS first_us,
            max({first_us} + toInt64({duration_us})) AS last_us,
            argMin(direction, {first_us}) != 'egress' AS is_farther
        FROM {table} FINAL
        GROUP BY flow, meter_id, flow_key)";

constexpr std::string_view kOnceModern = R"(CREATE VIEW IF NOT EXISTS {table}_once AS
WITH
    chains AS
    (
{chains}
    ),
    marked AS
    (
        SELECT
            *,
            first_us > {tolerance_us} + max(last_us) OVER (
                PARTITION BY flow ORDER BY first_us, meter_id, flow_key
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS begins
        FROM chains
    ),
    numbered AS
    (
        SELECT
            *,
            sum(begins) OVER (
                PARTITION BY flow ORDER BY first_us, meter_id, flow_key
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS number
        FROM marked
    ),
    seen AS
    (
        SELECT
            arraySort(groupUniqArray(meter_id)) AS meters,
            argMin(meter_id, (is_farther, first_us, meter_id)) AS nearest,
            groupArray((meter_id, flow_key)) AS members
        FROM numbered
        GROUP BY flow, number
    ),
    chosen AS
    (
        SELECT meters, member.1 AS meter_id, member.2 AS flow_key
        FROM seen
        ARRAY JOIN members AS member
        WHERE member.1 = nearest
    )
SELECT rows.*, chosen.meters AS seen_by
FROM (SELECT * FROM {table} FINAL) AS rows
INNER JOIN chosen ON rows.meter_id = chosen.meter_id AND rows.flow_key = chosen.flow_key;
)";

// Without window functions: the chains of a flow are arrays.
constexpr std::string_view kOnce18 = R"(CREATE VIEW IF NOT EXISTS {table}_once AS
SELECT * FROM {table} FINAL
WHERE (meter_id, flow_key) IN
(
    SELECT member.1, member.2
    FROM
    (
        SELECT
            arraySort(groupArray((chain.3, chain.1, chain.4)))[1].3 AS nearest,
            groupArray((chain.4, chain.5)) AS members
        FROM
        (
            SELECT
                flow,
                arraySort(groupArray((first_us, last_us, is_farther, meter_id, flow_key))) AS chains,
                arrayMap(chain -> chain.1, chains) AS firsts,
                arrayMap(chain -> chain.2, chains) AS lasts,
                arrayMap(i -> i > 1 AND firsts[i] > {tolerance_us} + arrayReduce('max', arraySlice(lasts, 1, i - 1)),
                    arrayEnumerate(chains)) AS begins,
                arrayCumSum(begins) AS numbers
            FROM
            (
{chains}
            )
            GROUP BY flow
        )
        ARRAY JOIN chains AS chain, numbers AS number
        GROUP BY flow, number
    )
    ARRAY JOIN members AS member
    WHERE member.1 = nearest
);
)";

constexpr std::string_view kKafka = R"(
-- Rows from Kafka. Messages are read once these exist.
CREATE TABLE IF NOT EXISTS {table}_queue
(
{queue_columns}
)
ENGINE = Kafka
SETTINGS
    kafka_broker_list = '{brokers}',
    kafka_topic_list = '{topic}',
    kafka_group_name = '{group}',
    kafka_format = 'JSONEachRow'{kafka_settings};

CREATE MATERIALIZED VIEW IF NOT EXISTS {table}_consumer TO {table} AS
SELECT
{queue_values}
FROM {table}_queue{good_messages};
)";

// Otherwise one broken message would hold up all that follow.
constexpr std::string_view kKafkaErrors = R"(
-- Messages that are not such rows.
CREATE TABLE IF NOT EXISTS {table}_broken
(
    time DateTime DEFAULT now(),
    topic LowCardinality(String),
    partition UInt64,
    offset UInt64,
    message String,
    error String
)
ENGINE = MergeTree
ORDER BY time;

CREATE MATERIALIZED VIEW IF NOT EXISTS {table}_broken_consumer TO {table}_broken AS
SELECT _topic AS topic, _partition AS partition, _offset AS offset, _raw_message AS message, _error AS error
FROM {table}_queue
WHERE length(_error) > 0;
)";

std::string filled(std::string_view text, const Parts& parts) {
  std::string all(text);
  for (const auto& [name, part] : parts)
    for (size_t at = 0; (at = all.find(name, at)) != std::string::npos; at += part.size())
      all.replace(at, name.size(), part);
  return all;
}

// ---- columns ----

std::string quoted(std::string_view name) {
  std::string text(1, '`');
  for (const char c : name) text.append(c == '`' || c == '\\', '\\').push_back(c);
  return text + '`';
}

std::string literal(std::string_view value) {
  std::string text(1, '\'');
  for (const char c : value) text.append(c == '\'' || c == '\\', '\\').push_back(c);
  return text + '\'';
}

bool is_id(const Column& column) {
  return column.name == "flow_id" || column.name == "flow_key";
}

bool is_address(const Column& column) {
  using namespace quantities;
  return column.get == kSourceAddress.get || column.get == kDestinationAddress.get;
}

// Signed, because -1 is "not applicable". Only a sum of what peers announce can need all 64 bits.
const char* integer_type(const Column& column) {
  return column.get == quantities::kHttpContentLength.get ? "UInt64" : "Int64";
}

bool is_precise(const Column& time) {
  return time.unit != Unit::kTime;
}

std::string type_of(const Column& column, Dialect dialect) {
  const bool modern = dialect == Dialect::kClickhouse;
  std::string type = "String";
  switch (column.type) {
    case ColumnType::kInteger:
      type = integer_type(column);
      break;
    case ColumnType::kReal:
      type = "Float64";
      break;
    case ColumnType::kTime:
      if (modern) return is_precise(column) ? "DateTime64(9, 'UTC')" : "DateTime64(6, 'UTC')";
      return type;
    case ColumnType::kCategory:
      return modern ? "LowCardinality(String)" : type;
    case ColumnType::kText:
      if (is_id(column)) return "UUID";
      return modern && is_address(column) ? "IPv6" : type;
  }
  return column.may_be_empty ? "Nullable(" + type + ")" : type;
}

// The flow_id of a row, or a new one if it has none.
const std::string kOwnId =
    "if(flow_id = toUUID('00000000-0000-0000-0000-000000000000'), generateUUIDv4(), flow_id)";

// The set's columns and all further ones, which rows may lack.
std::vector<Column> columns_of(const NamedFeatureSet& set) {
  std::string extra;
  for (const Column& column : columns_extra())
    extra += (extra.empty() ? "" : ",") + std::string(column.name);
  return *select_columns(set.columns, "", columns_extra(), extra);
}

std::string comment(const Column& column) {
  const std::string unit(unit_name(column.unit));
  const bool is_number = column.type == ColumnType::kInteger || column.type == ColumnType::kReal;
  return is_number && unit != "-" ? column.definition() + " [" + unit + "]" : column.definition();
}

std::string table_columns(const std::vector<Column>& columns, Dialect dialect) {
  const bool modern = dialect == Dialect::kClickhouse;
  std::string text;
  for (const Column& column : columns) {
    text += "    " + quoted(column.name) + ' ' + type_of(column, dialect);
    // Otherwise rows of a meter without --fleet would count as deliveries of one row. The old
    // version has no defaults for members that JSON lacks.
    if (column.name == "flow_id")
      text += modern ? " DEFAULT generateUUIDv4()" : ",\n    row_id UUID MATERIALIZED " + kOwnId;
    if (modern) text += " COMMENT " + literal(comment(column));
    text += ",\n";
    if (column.type == ColumnType::kTime && !modern)
      text += "    time DateTime('UTC') MATERIALIZED parseDateTimeBestEffortOrZero(" +
              quoted(column.name) + "),\n";
  }
  return text + "    label " + (modern ? "LowCardinality(String)" : "String");
}

std::string queue_columns(const std::vector<Column>& columns, Dialect dialect) {
  std::string text;
  for (const Column& column : columns) {
    const bool as_text = column.type == ColumnType::kTime;
    text += "    " + quoted(column.name) + ' ' + (as_text ? "String" : type_of(column, dialect)) +
            ",\n";
  }
  return text + "    label String";
}

std::string old_time(const std::vector<Column>& columns) {
  for (const Column& column : columns)
    if (column.type == ColumnType::kTime)
      return "parseDateTimeBestEffortOrZero(" + quoted(column.name) + ")";
  return "0";
}

// Texts become times. A time that cannot be read must not hold up what follows.
std::string queue_value(const Column& column, Dialect dialect) {
  const std::string name = quoted(column.name);
  if (column.type == ColumnType::kTime && dialect == Dialect::kClickhouse)
    return "parseDateTime64BestEffortOrZero(" + name + (is_precise(column) ? ", 9" : ", 6") +
           ", 'UTC') AS " + name;
  if (column.name == "flow_id" && dialect == Dialect::kClickhouse) return kOwnId + " AS flow_id";
  return name;
}

std::string queue_values(const std::vector<Column>& columns, Dialect dialect) {
  const bool modern = dialect == Dialect::kClickhouse;
  std::string text;
  for (const Column& column : columns) {
    const std::string value = queue_value(column, dialect);
    if (modern && value == quoted(column.name)) continue;
    text += (text.empty() ? "" : ",\n") + std::string(modern ? "        " : "    ") + value;
  }
  // The old version does not compute the table's MATERIALIZED columns for a view.
  return modern ? "    * REPLACE (\n" + text + ")"
                : text + ",\n    label,\n    " + old_time(columns) + " AS time,\n    " + kOwnId +
                      " AS row_id";
}

// The set's column with this definition, or with the second one if it has none.
std::string column_with(const std::vector<Column>& columns, const Quantity& first,
                        const Quantity& second) {
  for (const Quantity& wanted : {first, second})
    for (const Column& column : columns)
      if (column.get == wanted.get) return quoted(column.name);
  return "0";
}

std::string duration_us(const std::vector<Column>& columns) {
  for (const Column& column : columns)
    if (column.unit == Unit::kMicroseconds) return quoted(column.name);
  return column_with(columns, quantities::kDuration, quantities::kDuration) + " * 1000000";
}

// ---- options ----

bool is_name(std::string_view name) {
  const auto may_begin = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && may_begin(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
    return may_begin(c) || (c >= '0' && c <= '9');
  });
}

bool is_table(std::string_view table) {
  const size_t dot = table.find('.');
  if (dot == std::string_view::npos) return is_name(table);
  return is_name(table.substr(0, dot)) && is_name(table.substr(dot + 1));
}

}  // namespace

Result<std::string> clickhouse_ddl(const NamedFeatureSet& set, const DdlOptions& options) {
  using namespace quantities;
  if (!is_table(options.table))
    return usage_error("--table: \"" + options.table +
                       "\" is not a name (TABLE or DATABASE.TABLE)");
  const bool modern = options.dialect == Dialect::kClickhouse;
  const std::vector<Column> columns = columns_of(set);
  const auto time = std::find_if(columns.begin(), columns.end(),
                                 [](const Column& c) { return c.type == ColumnType::kTime; });
  const std::string time_name = modern ? quoted(time->name) : "time";
  const std::string first_us =
      modern ? "toUnixTimestamp64Micro(" + time_name + ")" : "toInt64(toUInt32(time)) * 1000000";
  std::string group = options.table;
  std::replace(group.begin(), group.end(), '.', '_');
  const Parts parts = {
      {"{chains}", std::string(kChains)},  // with other parts in it
      {"{tolerance_s}", std::to_string(kToleranceS)},
      {"{tolerance_us}", std::to_string(kToleranceS) + "000000"},
      {"{set}", std::string(set.name)},
      {"{version}", modern ? "ClickHouse 22 or newer" : "ClickHouse 18.16"},
      {"{query_settings}",
       modern ? "date_time_input_format=best_effort&input_format_skip_unknown_fields=0&" : ""},
      {"{table}", options.table},
      {"{columns}", table_columns(columns, options.dialect)},
      {"{queue_columns}", queue_columns(columns, options.dialect)},
      {"{queue_values}", queue_values(columns, options.dialect)},
      {"{row_id}", modern ? "flow_id" : "row_id"},
      {"{time}", time_name},
      {"{first_us}", first_us},
      {"{duration_us}", duration_us(columns)},
      {"{protocol}", column_with(columns, kProtocolNumber, kProtocolName)},
      {"{fwd_packets}", column_with(columns, kPacketCount.forward, kPacketCount.forward)},
      {"{bwd_packets}", column_with(columns, kPacketCount.backward, kPacketCount.backward)},
      {"{fwd_bytes}", column_with(columns, kLengthSum.forward, kPayloadSum.forward)},
      {"{bwd_bytes}", column_with(columns, kLengthSum.backward, kPayloadSum.backward)},
      {"{brokers}", options.brokers},
      {"{topic}", options.topic},
      {"{group}", group},
      {"{kafka_settings}", modern ? ",\n    kafka_handle_error_mode = 'stream'" : ""},
      {"{good_messages}", modern ? "\nWHERE length(_error) = 0" : ""},
  };
  std::string text = std::string(kTable).append(kOnce).append(modern ? kOnceModern : kOnce18);
  if (!options.topic.empty()) text.append(kKafka).append(modern ? kKafkaErrors : "");
  return filled(text, parts);
}

}  // namespace flowmeter
