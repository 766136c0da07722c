// SPDX-License-Identifier: BSD-3-Clause
// The output kind "Kafka": --kafka and --kafka-config.
#include <algorithm>
#include <memory>
#include <optional>

#include "features/community_id.h"
#include "output/json.h"
#include "output/kafka_config.h"
#include "output/kafka_library.h"
#include "output/kafka_writer.h"
#include "output/output_kind.h"

namespace flowmeter {

extern const OutputKind kKafkaOutput;

namespace {

using Properties = std::vector<KafkaProperty>;

struct KafkaOptions {
  std::string config_file;
  // What the file said when it was first read: a pipe has its text once.
  std::shared_ptr<std::optional<Properties>> read = std::make_shared<std::optional<Properties>>();
};

Result<Properties> properties_of(const OutputOptions& options) {
  const auto& kafka = std::any_cast<const KafkaOptions&>(options.own.at(&kKafkaOutput));
  if (kafka.config_file.empty()) return Properties{};
  if (!*kafka.read) {
    auto properties = read_kafka_properties(kafka.config_file);
    if (!properties) return properties.error();
    *kafka.read = std::move(*properties);
  }
  return **kafka.read;
}

// "KEY\tSCHEMA\tMETER\tJSON\n". None of them has a tab in it. The key is the same for both
// directions of a flow and for all rows that continue it, so that they come to one partition. (But
// for ICMP messages that have no reply: their code is a part of the id, and that of the row's first
// message counts.)
class KafkaFormat final : public RowFormat {
 public:
  KafkaFormat(std::vector<Column> columns, const OutputOptions& options)
      : headers_("\t" + options.schema + "\t" + options.meter + "\t"),
        json_(std::move(columns), options.style) {}

  char* put_row(char* at, const FlowRecord& record) const override {
    const Cell key = community_id(record);
    at = std::copy(key.text().begin(), key.text().end(), at);
    at = std::copy(headers_.begin(), headers_.end(), at);
    return json_.put_row(at, record);
  }
  size_t bound() const override { return Cell::kMaxText + headers_.size() + json_.bound(); }

 private:
  const std::string headers_;
  const JsonFormat json_;
};

std::unique_ptr<RowFormat> format(const OutputOptions& options,
                                  const std::vector<Column>& columns) {
  return std::make_unique<KafkaFormat>(columns, options);
}

void add_options(OutputOptions& options, std::vector<Option>& table) {
  KafkaOptions& kafka = options.own[&kKafkaOutput].emplace<KafkaOptions>();
  table.push_back({"--kafka-config",
                   OptionGroup::kOutput,
                   text(kafka.config_file, "FILE", "needs a value"),
                   "Read librdkafka's properties (name=value) from this\nfile: TLS, user and "
                   "password, limits",
                   {.needs = {"--kafka"}}});
}

Status check(std::vector<std::string> targets) {
  if (targets.empty()) return Done{};
  std::sort(targets.begin(), targets.end());
  if (const auto twice = std::adjacent_find(targets.begin(), targets.end()); twice != targets.end())
    return usage_error("--kafka " + *twice + " is named twice");
  for (const std::string& target : targets)
    if (auto parsed = parse_kafka_target(target); !parsed) return parsed.error();
  return check_kafka_library();
}

#ifdef FLOWMETER_KAFKA

Result<std::vector<std::unique_ptr<RowWriter>>> open(const std::vector<std::string>& targets,
                                                     const RowFormat& /*format*/,
                                                     const OutputOptions& options, Host& host) {
  const auto& kafka = std::any_cast<const KafkaOptions&>(options.own.at(&kKafkaOutput));
  KafkaSettings settings;
  auto properties = properties_of(options);
  if (!properties) return properties.error();
  settings.properties = std::move(*properties);
  if (everyone_can_read(kafka.config_file))
    host.log_warning("--kafka-config " + kafka.config_file +
                     " can be read by everyone (chmod 600)");
  std::vector<std::unique_ptr<RowWriter>> writers;
  for (const std::string& target : targets) {
    auto parsed = parse_kafka_target(target);
    if (!parsed) return parsed.error();
    settings.target = std::move(*parsed);
    auto writer = KafkaWriter::open(settings, options.delivery, host);
    if (!writer) return writer.error();
    writers.push_back(std::move(*writer));
  }
  return writers;
}

#else

Result<std::vector<std::unique_ptr<RowWriter>>> open(const std::vector<std::string>&,
                                                     const RowFormat&, const OutputOptions&,
                                                     Host&) {
  return check_kafka_library().error();
}

#endif

// The TLS files that the properties name, which each new producer reads.
std::vector<std::string> files(const OutputOptions& options) {
  auto properties = properties_of(options);
  std::vector<std::string> paths;
  if (properties)
    for (const KafkaProperty& file : files_of(*properties)) paths.push_back(file.value);
  return paths;
}

}  // namespace

constinit const OutputKind kKafkaOutput = {
    .names = "--kafka",
    .type = "BROKERS/TOPIC",
    .help =
        "Send them to a topic of Apache Kafka, such as\n"
        "host1:9092,host2:9092/flows",
    .add_options = add_options,
    .check = check,
    .format = format,
    .open = open,
    .files = files,
    .identifies_rows = true,
};

}  // namespace flowmeter
