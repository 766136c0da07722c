// SPDX-License-Identifier: BSD-3-Clause
#include "features/listing.h"

#include <algorithm>
#include <charconv>

#include "base/json_string.h"
#include "features/columns_extra.h"

namespace flowmeter {
namespace {

std::string padded(std::string_view text, size_t width) {
  std::string all(text);
  all.resize(std::max(width, text.size()), ' ');
  return all;
}

std::string columns_json(FeatureSet columns, const std::string& indent) {
  std::string json = "[";
  for (const Column& column : columns)
    json += (json.size() > 1 ? ",\n" : "\n") + indent + "  {\"name\": " + json_string(column.name) +
            ", \"unit\": " + json_string(unit_name(column.unit)) +
            ", \"definition\": " + json_string(column.definition()) + "}";
  return json + "\n" + indent + "]";
}

std::string seconds_text(uint64_t ns) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), seconds(ns)).ptr);
}

std::string set_json(const NamedFeatureSet& set, const std::string& indent) {
  const fm_settings& s = set.settings;
  const auto defaults = {
      std::pair{"idle_timeout_s", seconds_text(s.idle_timeout_ns)},
      std::pair{"icmp_idle_timeout_s", seconds_text(s.icmp_idle_timeout_ns)},
      std::pair{"tcp_linger_s", seconds_text(s.tcp_linger_ns)},
      std::pair{"active_timeout_s", seconds_text(s.active_timeout_ns)},
      std::pair{"activity_gap_s", seconds_text(s.activity_gap_ns)},
      std::pair{"subflow_gap_s", seconds_text(s.subflow_gap_ns)},
      std::pair{"bulk_min_packets", std::to_string(s.bulk_min_packets)},
      std::pair{"bulk_max_gap_s", seconds_text(s.bulk_max_gap_ns)},
      std::pair{"fragment_memory_s", seconds_text(s.fragment_memory_ns)},
  };
  const std::string inside = indent + "  ";
  std::string json = "{\n" + inside + "\"name\": " + json_string(set.name) + ",\n" + inside +
                     "\"description\": " + json_string(set.description) + ",\n" + inside +
                     "\"defaults\": {";
  for (const auto& [name, value] : defaults)
    json += (json.back() == '{' ? "" : ", ") + json_string(name) + ": " + value;
  return json + "},\n" + inside + "\"columns\": " + columns_json(set.columns, inside) + "\n" +
         indent + "}";
}

}  // namespace

std::string columns_text(FeatureSet columns) {
  size_t width = 20;
  for (const Column& column : columns) width = std::max(width, column.name.size());
  std::string text;
  for (const Column& column : columns)
    text += padded(column.name, width) + ' ' + padded(unit_name(column.unit), 8) + ' ' +
            column.definition() + '\n';
  return text;
}

std::string feature_sets_text() {
  std::string text;
  for (const NamedFeatureSet& set : feature_sets())
    text += padded(set.name, 20) + ' ' + padded(std::to_string(set.columns.size()), 4) + ' ' +
            std::string(set.description) + '\n';
  return text;
}

std::string feature_set_json(const NamedFeatureSet& set) {
  return set_json(set, "") + "\n";
}

std::string feature_sets_json() {
  std::string json = "{\n  \"sets\": [";
  for (const NamedFeatureSet& set : feature_sets())
    json += (json.back() == '[' ? "" : ", ") + set_json(set, "  ");
  return json + "],\n  \"further_columns\": " + columns_json(columns_extra(), "  ") + "\n}\n";
}

}  // namespace flowmeter
