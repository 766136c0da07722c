// SPDX-License-Identifier: BSD-3-Clause
#include "output/kafka_library.h"

#ifdef FLOWMETER_KAFKA

#include <string>

#include "base/shared_library.h"

namespace flowmeter {
namespace {

constexpr int kOldest = 0x010900ff;  // a flush() does not wait for linger.ms

Result<Kafka> load() {
  const auto unusable = [](const std::string& why) {
    return Error{"--kafka needs librdkafka 1.9 or newer (Debian's package librdkafka1): " + why};
  };
  SharedLibrary library("librdkafka.so.1");
  Kafka kafka;
#define FM_KAFKA_FIND(name) library.find(&kafka.name, "rd_kafka_" #name);
  FM_KAFKA_FUNCTIONS(FM_KAFKA_FIND)
#undef FM_KAFKA_FIND
  library.find(&kafka.create, "rd_kafka_new");
  if (!library.usable()) return unusable(library.why());
  if (kafka.version() < kOldest) return unusable("this is " + std::string(kafka.version_str()));
  return kafka;
}

}  // namespace

Result<const Kafka*> load_kafka() {
  static Result<Kafka> loaded = load();
  if (!loaded) return loaded.error();
  return &*loaded;
}

Status check_kafka_library() {
  auto loaded = load_kafka();
  if (!loaded) return usage_error(loaded.error().doing);
  return Done{};
}

}  // namespace flowmeter

#else

namespace flowmeter {

Status check_kafka_library() {
  return usage_error(
      "this program was built without Kafka: build it where librdkafka 1.9 or newer has its "
      "headers (Debian's package librdkafka-dev), or leave out --kafka");
}

}  // namespace flowmeter

#endif
