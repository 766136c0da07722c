// SPDX-License-Identifier: BSD-3-Clause
// Delivers rows "KEY\tSCHEMA\tMETER\tJSON\n" to a topic of Kafka: key, headers and value of one
// message each. The headers are in the row because a spool has rows of earlier runs. A row leaves
// queue or spool when it and all before it were acknowledged. If a batch fails half way, what was
// acknowledged behind the first failed row is sent again: at least once.
#pragma once

#ifdef FLOWMETER_KAFKA

#include <memory>
#include <string>

#include "output/delivery_writer.h"
#include "output/kafka_producer.h"

namespace flowmeter {

class KafkaWriter final : public DeliveryWriter {
 public:
  static Result<std::unique_ptr<KafkaWriter>> open(const KafkaSettings& settings,
                                                   const DeliveryOptions& delivery, Host& host);

 private:
  using DeliveryWriter::DeliveryWriter;
  void begin() override;
  Delivery deliver(std::string_view text, size_t at) override;
  bool meanwhile();
  void note_trouble();
  void note_batch_bytes();

  std::unique_ptr<KafkaProducer> producer_;
  uint64_t acknowledged_ = 0;   // that was noted as progress
  size_t batch_bytes_ = 0;      // that was told
  RowQueue::Time quiet_since_;  // nothing was acknowledged, and there was trouble
};

}  // namespace flowmeter

#endif
