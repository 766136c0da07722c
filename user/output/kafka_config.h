// SPDX-License-Identifier: BSD-3-Clause
// What --kafka and --kafka-config say: brokers, topic, and properties of librdkafka. Which
// properties may be set is decided here; librdkafka checks their values (kafka_producer.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flowmeter {

struct KafkaTarget {
  std::string brokers;  // "host1:9092,host2:9092"
  std::string topic;

  // In messages and accounts.
  std::string name() const { return "kafka://" + brokers + "/" + topic; }
};

// "host1:9092,[2001:db8::1]:9092/topic", or a usage error.
Result<KafkaTarget> parse_kafka_target(const std::string& text);

struct KafkaProperty {
  std::string name, value;
  std::string from;  // where it was read, for messages: "--kafka-config FILE, line 3"; or empty

  bool is_secret() const;
};

// The lines `name=value` of a file; '#' begins a comment line. Refuses properties that would break
// what --kafka promises.
Result<std::vector<KafkaProperty>> parse_kafka_properties(std::string_view text,
                                                          const std::string& from);
Result<std::vector<KafkaProperty>> read_kafka_properties(const std::string& file);
// Whether that file, which may hold a password, can be read by everyone.
bool everyone_can_read(const std::string& file);

// Those whose value is a file that librdkafka reads while the run lasts.
std::vector<KafkaProperty> files_of(const std::vector<KafkaProperty>& properties);

}  // namespace flowmeter
