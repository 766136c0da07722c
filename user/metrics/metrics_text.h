// SPDX-License-Identifier: BSD-3-Clause
// Writes metrics in the two text formats that Prometheus reads: OpenMetrics 1.0, and its older text
// format (0.0.4), which most other programs read, too.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "metrics/families.h"

namespace flowmeter {

enum class MetricsFormat { kText, kOpenMetrics };

// The one that a request asks for by its header Accept.
MetricsFormat accepted_format(std::string_view accept);
const char* content_type(MetricsFormat format);

class MetricsText {
 public:
  using Labels = std::initializer_list<std::pair<const char*, std::string_view>>;

  explicit MetricsText(MetricsFormat format) : format_(format) {}

  // Starts a family, which must be complete before the next one. A family without samples is left
  // out.
  void begin(Metric metric);
  void add(std::unsigned_integral auto value, Labels labels = {}) { put(value, labels); }
  void add(double value, Labels labels = {});
  // A family with one sample.
  template <typename Value>
  void one(Metric metric, Value value) {
    begin(metric);
    add(value);
  }

  std::string finish();

 private:
  void put_header();
  void put_name(Labels labels);
  void put(uint64_t value, Labels labels);

  const MetricsFormat format_;
  std::string text_;
  const MetricFamily* family_ = nullptr;
  bool has_header_ = false;
};

}  // namespace flowmeter
