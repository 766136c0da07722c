// SPDX-License-Identifier: BSD-3-Clause
// A producer of librdkafka that sends batches of rows to one topic, and knows of each row whether
// the brokers have it: the use of librdkafka.
//
// The producer is idempotent, and a row counts as taken when all in-sync replicas have it. A
// producer that fails for good (a fatal error, such as an out-of-order sequence number) is replaced
// by a new one, to which the rows without an acknowledgement are given again: they may then be in
// the topic twice, but are never missing.
//
// librdkafka's threads start with the first send(), on whose thread all of its answers are handled;
// only its log lines come from its own threads.
#pragma once

#ifdef FLOWMETER_KAFKA

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "output/kafka_config.h"
#include "output/kafka_library.h"

namespace flowmeter {

struct KafkaSettings {
  KafkaTarget target;
  std::vector<KafkaProperty> properties;
};

class KafkaProducer {
 public:
  // The most rows and bytes of one send(): some times of what one request takes, and little enough
  // that an answer is not long in coming.
  static constexpr size_t kMostRows = 10'000, kMostBytes = 8 << 20;

  // log: receives lines of librdkafka, from any thread.
  static Result<std::unique_ptr<KafkaProducer>> open(
      KafkaSettings settings, std::function<void(const std::string& line)> log);
  ~KafkaProducer();

  struct Outcome {
    size_t end = 0;            // in the text: all rows before it are taken or refused
    uint64_t taken = 0;        // of them, acknowledged
    uint64_t refused = 0;      // of them, refused, which another attempt would not change
    std::string refused_rows;  // their values, as lines
    std::string refusal;       // why
    std::string failure;       // why the row at `end` is not taken; empty: the batch is finished
  };

  // Connects, on the thread of send(). Fails if the files that the properties name cannot be read
  // any more.
  Status start();
  // Sends rows "KEY\tSCHEMA\tMETER\tVALUE\n" (schema and meter become headers) of the text, from
  // `at`, and waits for their acknowledgements. Calls meanwhile() ten times a second; if it returns
  // false, the wait ends.
  Outcome send(std::string_view text, size_t at, const std::function<bool()>& meanwhile);

  // What librdkafka said last about a broker that it cannot use, since the last acknowledgement.
  const std::string& trouble() const { return trouble_; }
  // Counts the rows that were acknowledged.
  uint64_t acknowledged() const { return acknowledged_; }
  // The most bytes in one request for a partition; less than configured after a refusal.
  size_t batch_bytes() const { return batch_bytes_; }

 private:
  enum class Fate : uint8_t { kUnsent, kSent, kTaken, kRefused, kSuspect, kFailed };
  struct Row {
    size_t begin, end;  // in the text
    Fate fate;
  };
  struct Voice;

  KafkaProducer(const Kafka& kafka, KafkaSettings settings) noexcept
      : kafka_(kafka), settings_(std::move(settings)) {}

  Result<rd_kafka_conf_t*> make_conf() const;
  Status check();
  std::string place_of(std::string_view name, std::string_view alias) const;
  void end();
  void split(std::string_view text, size_t at);
  struct Parts {
    std::string_view key, schema, meter, value;
  };
  static Parts parts_of(std::string_view text, const Row& row);
  void make_headers(std::string_view schema, std::string_view meter);
  bool send_unsent(std::string_view text, const std::function<bool()>& meanwhile);
  bool hand_over(std::string_view text, size_t row, const std::function<bool()>& meanwhile);
  bool wait_for_answers(const std::function<bool()>& meanwhile);
  bool may_send_again();
  void note_fate(size_t row, rd_kafka_resp_err_t error);
  void note_trouble(rd_kafka_resp_err_t error, const char* text);
  Outcome outcome(std::string_view text) const;
  static void on_answer(rd_kafka_t*, const rd_kafka_message_t* message, void* self);
  static void on_error(rd_kafka_t*, int error, const char* text, void* self);
  static void on_log(const rd_kafka_t* rk, int level, const char* part, const char* text);

  const Kafka& kafka_;
  const KafkaSettings settings_;
  std::shared_ptr<Voice> voice_;
  size_t configured_batch_bytes_ = 0, batch_bytes_ = 0;
  rd_kafka_headers_t* headers_ = nullptr;  // of the last row:
  std::string schema_, meter_;

  rd_kafka_t* producer_ = nullptr;
  rd_kafka_topic_t* topic_ = nullptr;
  bool is_new_ = false;  // nothing was acknowledged to this producer
  // It remembers that the topic cannot be used, for minutes.
  bool is_stale_ = false;
  std::vector<Row> rows_;
  size_t outstanding_ = 0;  // rows that are kSent
  uint64_t acknowledged_ = 0;
  std::string failure_, refusal_, trouble_;
  std::string last_failure_;  // since the last acknowledgement
};

}  // namespace flowmeter

#endif
