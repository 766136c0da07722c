// SPDX-License-Identifier: BSD-3-Clause
// The text of metrics: names, escapes, and which format a client gets.
#include "metrics/metrics_text.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace flowmeter {
namespace {

bool is_name(const std::string& name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

TEST(MetricFamilies, AreWhatTheFormatsAllow) {
  std::set<std::string> names;
  for (const MetricFamily& family : kMetricFamilies) {
    const std::string name = family.name, unit = family.unit, help = family.help;
    EXPECT_TRUE(is_name(name)) << name;
    EXPECT_TRUE(names.insert(name).second) << name << " is there twice";
    for (const char* suffix : {"_total", "_info", "_count", "_sum", "_bucket", "_created"})
      EXPECT_FALSE(name.ends_with(suffix)) << name;
    EXPECT_TRUE(unit.empty() || name.ends_with("_" + unit)) << name;
    EXPECT_EQ(help.find_first_of("\\\"\n"), std::string::npos) << name << " would need escapes";
    EXPECT_TRUE(help.ends_with('.')) << name;
    EXPECT_EQ(name.ends_with("_seconds") || name.ends_with("_bytes"), !unit.empty()) << name;
  }
}

TEST(MetricsText, TheTwoFormatsDifferInNamesUnitsAndTheEnd) {
  const auto text_in = [](MetricsFormat format) {
    MetricsText text(format);
    text.begin(Metric::kBuild);
    text.add(1u, {{"version", "1"}});
    text.begin(Metric::kOutputSpooled);  // no samples
    text.one(Metric::kBpfRunSeconds, 0.25);
    return text.finish();
  };
  EXPECT_EQ(text_in(MetricsFormat::kText),
            "# TYPE flowmeter_build_info gauge\n"
            "# HELP flowmeter_build_info Version of the program.\n"
            "flowmeter_build_info{version=\"1\"} 1\n"
            "# TYPE flowmeter_bpf_run_seconds_total counter\n"
            "# HELP flowmeter_bpf_run_seconds_total Run time of the BPF programs (--bpf-stats).\n"
            "flowmeter_bpf_run_seconds_total 0.25\n");
  EXPECT_EQ(text_in(MetricsFormat::kOpenMetrics),
            "# TYPE flowmeter_build info\n"
            "# HELP flowmeter_build Version of the program.\n"
            "flowmeter_build_info{version=\"1\"} 1\n"
            "# TYPE flowmeter_bpf_run_seconds counter\n"
            "# UNIT flowmeter_bpf_run_seconds seconds\n"
            "# HELP flowmeter_bpf_run_seconds Run time of the BPF programs (--bpf-stats).\n"
            "flowmeter_bpf_run_seconds_total 0.25\n"
            "# EOF\n");
}

TEST(MetricsText, LabelValuesAreEscapedAndNumbersAreWhole) {
  MetricsText text(MetricsFormat::kText);
  text.begin(Metric::kOutputUp);
  text.add(uint64_t{18446744073709551615u}, {{"output", "a\\b\"c\nd{},=\xc3\xa9"}});
  const std::string all = text.finish();
  EXPECT_NE(all.find("\nflowmeter_output_up{output=\"a\\\\b\\\"c\\nd{},=\xc3\xa9\"} "
                     "18446744073709551615\n"),
            std::string::npos)
      << all;
}

TEST(MetricsText, AClientGetsTheFormatThatItPrefers) {
  const struct {
    const char* accept;
    bool open_metrics;
  } cases[] = {
      {"", false},
      {"*/*", false},
      {"application/openmetrics-text", true},
      {"Application/OpenMetrics-Text; version=1.0.0", true},
      // Prometheus 2.42
      {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
       "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
       true},
      {"text/plain;version=0.0.4, application/openmetrics-text;q=0.1", false},
      {"application/openmetrics-text;q=0", false},
      {"application/openmetrics-text;q=0,text/plain;q=0", false},
      {"application/openmetrics-text;q=x", false},
      {"application/openmetrics-text;q=nan", false},
      {"application/openmetrics-texts", false},
      {" ,;,,;q=1,", false},
  };
  for (const auto& each : cases)
    EXPECT_EQ(accepted_format(each.accept) == MetricsFormat::kOpenMetrics, each.open_metrics)
        << each.accept;
}

}  // namespace
}  // namespace flowmeter
