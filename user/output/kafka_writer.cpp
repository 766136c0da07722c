// SPDX-License-Identifier: BSD-3-Clause
#include "output/kafka_writer.h"

#ifdef FLOWMETER_KAFKA

namespace flowmeter {
namespace {

// A connection that ends and is made again within this time is not worth a line.
constexpr double kTroubleSeconds = 1;

}  // namespace

Result<std::unique_ptr<KafkaWriter>> KafkaWriter::open(const KafkaSettings& settings,
                                                       const DeliveryOptions& delivery,
                                                       Host& host) {
  const KafkaTarget& target = settings.target;
  auto writer = std::unique_ptr<KafkaWriter>(new KafkaWriter(target.name(), delivery, host));
  auto producer =
      KafkaProducer::open(settings, [&host, name = target.name()](const std::string& line) {
        host.log(LogLevel::kDebug, "output " + name + ": " + line);
      });
  if (!producer) return producer.error();
  writer->producer_ = std::move(*producer);
  writer->batch_bytes_ = writer->producer_->batch_bytes();
  if (Status opened =
          writer->open_spool(target.name(), "kafka-" + target.topic + "-" + target.brokers);
      !opened)
    return opened.error();
  return writer;
}

// If it fails, send() tries it again, and says why.
void KafkaWriter::begin() {
  (void)producer_->start();
}

DeliveryWriter::Delivery KafkaWriter::deliver(std::string_view text, size_t at) {
  quiet_since_ = RowQueue::now();
  KafkaProducer::Outcome outcome = producer_->send(text, at, [this] { return meanwhile(); });
  note_batch_bytes();
  if (outcome.refused > 0) set_aside(outcome.refused_rows, outcome.refusal);
  Delivery done{.end = outcome.end, .taken = outcome.taken, .refused = outcome.refused};
  done.later = !outcome.failure.empty();
  done.reason = done.later ? outcome.failure : outcome.refusal;
  return done;
}

bool KafkaWriter::meanwhile() {
  note_trouble();
  return keep_waiting() && !gives_up();
}

// librdkafka goes on trying for a while before a row fails, so its trouble is told before.
void KafkaWriter::note_trouble() {
  const auto now = RowQueue::now();
  const uint64_t acknowledged = producer_->acknowledged();
  if (acknowledged > acknowledged_) {
    acknowledged_ = acknowledged;
    note_progress();
    quiet_since_ = now;
  }
  if (producer_->trouble().empty()) quiet_since_ = now;
  if (now >= quiet_since_ + RowQueue::seconds(kTroubleSeconds)) note_outage(producer_->trouble());
}

void KafkaWriter::note_batch_bytes() {
  if (producer_->batch_bytes() == batch_bytes_) return;
  batch_bytes_ = producer_->batch_bytes();
  host().log_warning(
      "output " + name() + ": batches were refused as too large; " +
      (batch_bytes_ > 1 ? "at most " + std::to_string(batch_bytes_) + " bytes" : "one row") +
      " in each from now on (max.message.bytes of the topic)");
}

}  // namespace flowmeter

#endif
