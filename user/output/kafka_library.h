// SPDX-License-Identifier: BSD-3-Clause
// librdkafka, loaded by the first Kafka output, for the reasons of base/curl.h. It is optional:
// without its headers, the program is built with a --kafka that fails with one line.
#pragma once

#include "base/result.h"

#ifdef FLOWMETER_KAFKA
#include <librdkafka/rdkafka.h>
#endif

namespace flowmeter {

// Fails if this program or this system has no librdkafka, or one that is too old.
Status check_kafka_library();

#ifdef FLOWMETER_KAFKA

// clang-format off
#define FM_KAFKA_FUNCTIONS(X) \
  X(conf_destroy) X(conf_get) X(conf_new) X(conf_set) X(conf_set_dr_msg_cb) X(conf_set_error_cb) \
  X(conf_set_log_cb) X(conf_set_opaque) X(destroy) X(err2str) X(error_code) X(error_destroy) \
  X(fatal_error) X(flush) X(header_add) X(headers_copy) X(headers_destroy) X(headers_new) \
  X(last_error) X(opaque) X(poll) X(produceva) X(purge) X(topic_destroy) X(topic_new) X(version) \
  X(version_str)
// clang-format on

// The functions that are used: kafka.conf_new is rd_kafka_conf_new.
struct Kafka {
#define FM_KAFKA_FUNCTION(name) decltype(&::rd_kafka_##name) name = nullptr;
  FM_KAFKA_FUNCTIONS(FM_KAFKA_FUNCTION)
#undef FM_KAFKA_FUNCTION
  decltype(&::rd_kafka_new) create = nullptr;  // "new" is a word of C++
};

// The same for all callers, and never unloaded.
Result<const Kafka*> load_kafka();

#endif

}  // namespace flowmeter
