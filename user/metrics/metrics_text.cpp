// SPDX-License-Identifier: BSD-3-Clause
#include "metrics/metrics_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace flowmeter {
namespace {

const char* type_name(MetricType type, MetricsFormat format) {
  switch (type) {
    case MetricType::kCounter:
      return "counter";
    case MetricType::kInfo:
      return format == MetricsFormat::kOpenMetrics ? "info" : "gauge";
    case MetricType::kGauge:
      break;
  }
  return "gauge";
}

const char* suffix_of(MetricType type) {
  return type == MetricType::kCounter ? "_total" : type == MetricType::kInfo ? "_info" : "";
}

void put_escaped(std::string& text, std::string_view value) {
  for (const char c : value) {
    if (c == '\n') {
      text += "\\n";
      continue;
    }
    if (c == '\\' || c == '"') text += '\\';
    text += c;
  }
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// The part before the next separator, which is removed with it.
std::string_view next_part(std::string_view& rest, char separator) {
  const size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return trimmed(part);
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

// The value of "q" among the parameters of a media range (RFC 9110, 12.4.2).
double quality(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string parameter = lower(next_part(parameters, ';'));
    if (!parameter.starts_with("q=")) continue;
    double value = 0;
    const char* const end = parameter.data() + parameter.size();
    const auto read = std::from_chars(parameter.data() + 2, end, value);
    return read.ec == std::errc() && std::isfinite(value) ? value : 0;
  }
  return 1;
}

}  // namespace

MetricsFormat accepted_format(std::string_view accept) {
  double open_metrics = 0, text = 0;
  while (!accept.empty()) {
    std::string_view range = next_part(accept, ',');
    const std::string type = lower(next_part(range, ';'));
    if (type == "application/openmetrics-text")
      open_metrics = std::max(open_metrics, quality(range));
    else if (type == "text/plain" || type == "text/*" || type == "*/*")
      text = std::max(text, quality(range));
  }
  return open_metrics > 0 && open_metrics >= text ? MetricsFormat::kOpenMetrics
                                                  : MetricsFormat::kText;
}

const char* content_type(MetricsFormat format) {
  return format == MetricsFormat::kOpenMetrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

void MetricsText::begin(Metric metric) {
  family_ = &family_of(metric);
  has_header_ = false;
}

void MetricsText::put_header() {
  has_header_ = true;
  const bool open_metrics = format_ == MetricsFormat::kOpenMetrics;
  const auto line = [&](const char* keyword, std::string_view value) {
    text_.append("# ").append(keyword).append(" ").append(family_->name);
    // In the older format a family has the name of its samples.
    if (!open_metrics) text_ += suffix_of(family_->type);
    text_.append(" ").append(value).append("\n");
  };
  line("TYPE", type_name(family_->type, format_));
  if (open_metrics && *family_->unit) line("UNIT", family_->unit);
  line("HELP", family_->help);  // the table's texts need no escapes
}

void MetricsText::put_name(Labels labels) {
  if (!has_header_) put_header();
  text_.append(family_->name).append(suffix_of(family_->type));
  char before = '{';
  for (const auto& [name, value] : labels) {
    text_ += before;
    text_.append(name).append("=\"");
    put_escaped(text_, value);
    text_ += '"';
    before = ',';
  }
  if (labels.size() > 0) text_ += '}';
  text_ += ' ';
}

void MetricsText::put(uint64_t value, Labels labels) {
  put_name(labels);
  text_.append(std::to_string(value)).append("\n");
}

void MetricsText::add(double value, Labels labels) {
  put_name(labels);
  char number[32];
  const auto end = std::to_chars(number, number + sizeof(number), value).ptr;
  text_.append(number, end).append("\n");
}

std::string MetricsText::finish() {
  if (format_ == MetricsFormat::kOpenMetrics) text_ += "# EOF\n";
  return std::move(text_);
}

}  // namespace flowmeter
