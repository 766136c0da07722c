// SPDX-License-Identifier: BSD-3-Clause
// What a snapshot shows, and when a run is ready.
#include "metrics/snapshot.h"

#include <gtest/gtest.h>

namespace flowmeter {
namespace {

using State = MetricsSnapshot::State;

std::string text(const MetricsSnapshot& snapshot) {
  return metrics_text(snapshot, {}, snapshot.made_ns + FM_SECOND_NS / 4, MetricsFormat::kText);
}

testing::AssertionResult shows(const std::string& all, const std::string& line) {
  if (("\n" + all).find("\n" + line + "\n") != std::string::npos)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << "no line " << line << " in\n" << all;
}

MetricsSnapshot metering() {
  MetricsSnapshot snapshot;
  snapshot.state = State::kMetering;
  return snapshot;
}

TEST(MetricsSnapshot, TheTotalsAreTheSumsOfTheInterfacesAndOfWhatIsGone) {
  MetricsSnapshot snapshot = metering();
  snapshot.interfaces.push_back({"a\"b", {}});
  snapshot.interfaces[0].hooks[FM_HOOK_EGRESS].by_class[FM_MALFORMED] = 3;
  snapshot.interfaces[0].hooks[FM_HOOK_EGRESS].seen = 3;
  snapshot.gone[FM_HOOK_INGRESS].by_class[FM_MALFORMED] = 4;
  snapshot.gone[FM_HOOK_INGRESS].seen = 4;
  snapshot.flows_ended[FM_END_ACTIVE] = 9;
  const std::string all = text(snapshot);
  EXPECT_TRUE(shows(all, "flowmeter_packets_total{class=\"malformed\"} 7"));
  EXPECT_TRUE(shows(all, "flowmeter_packets_total{class=\"metered\"} 0"));
  EXPECT_TRUE(shows(all, "flowmeter_seen_packets_total 7"));
  EXPECT_TRUE(shows(all,
                    "flowmeter_interface_packets_total{interface=\"a\\\"b\",hook=\"egress\","
                    "class=\"malformed\"} 3"));
  EXPECT_TRUE(
      shows(all, "flowmeter_gone_interface_packets_total{hook=\"ingress\",class=\"malformed\"} 4"));
  EXPECT_TRUE(shows(all, "flowmeter_flows_ended_total{reason=\"active\"} 9"));
  EXPECT_TRUE(shows(all, "flowmeter_update_age_seconds 0.25"));
  EXPECT_EQ(all.find("flowmeter_bpf"), std::string::npos) << "only with --bpf-stats";
}

TEST(MetricsSnapshot, OutputsHaveDifferentNames) {
  MetricsSnapshot snapshot = metering();
  for (const char* name : {"x", "x (2)", "x", "y\nz"}) {
    OutputAccount& output = snapshot.outputs.emplace_back();
    output.name = name;
    output.rows = 7;
    output.written = 4;
    output.dropped = 1;
    output.waiting_bytes = 99;
  }
  snapshot.outputs[3].delivery = OutputAccount::Delivery{5, 6, 7, 8};
  const std::string all = text(snapshot);
  for (const char* name : {"x", "x (2)", "x (3)", "y_z"}) {
    const std::string label = "{output=\"" + std::string(name) + "\"";
    EXPECT_TRUE(shows(all, "flowmeter_output_up" + label + "} 1"));
    EXPECT_TRUE(shows(all, "flowmeter_output_rows_total" + label + ",result=\"written\"} 4"));
    EXPECT_TRUE(shows(all, "flowmeter_output_rows_total" + label + ",result=\"dropped\"} 1"));
    EXPECT_TRUE(shows(all, "flowmeter_output_waiting_rows" + label + "} 2"));
    EXPECT_TRUE(shows(all, "flowmeter_output_queue_bytes" + label + "} 99"));
  }
  EXPECT_TRUE(shows(all, "flowmeter_output_spooled_rows{output=\"y_z\"} 8"));
  EXPECT_TRUE(
      shows(all, "flowmeter_output_delivered_rows_total{output=\"y_z\",result=\"sent\"} 5"));
  EXPECT_EQ(all.find("flowmeter_output_spooled_rows{output=\"x\"}"), std::string::npos);
}

TEST(MetricsSnapshot, IsReadyWhileItMetersAndAllOutputsAreUp) {
  MetricsSnapshot snapshot;
  EXPECT_EQ(snapshot.unready(), "starting");
  EXPECT_EQ(text(snapshot).find("flowmeter_packets"), std::string::npos) << "nothing is known yet";
  snapshot.outputs.resize(2);
  snapshot.state = State::kResuming;
  EXPECT_EQ(snapshot.unready(), "taking over the flows of an earlier run");
  snapshot.state = State::kMetering;
  EXPECT_EQ(snapshot.unready(), "");
  snapshot.outputs[1].name = "/x";
  snapshot.outputs[1].up = false;
  EXPECT_EQ(snapshot.unready(), "output /x is down");
  snapshot.state = State::kResuming;
  EXPECT_EQ(snapshot.unready(), "output /x is down") << "which resuming waits for";
  snapshot.state = State::kEnding;
  EXPECT_EQ(snapshot.unready(), "ending: writing the open flows");
}

TEST(MetricsSnapshot, WhatIsOfFlowsIsNotKnownWhileTheyAreTakenOver) {
  MetricsSnapshot snapshot;
  snapshot.state = State::kResuming;
  snapshot.gone[FM_HOOK_INGRESS].by_class[FM_METERED] = 4;
  snapshot.kernel.handover_packets = 5;
  snapshot.outputs.resize(1);
  snapshot.outputs[0].name = "/x";
  snapshot.outputs[0].up = false;
  const std::string all = text(snapshot);
  EXPECT_TRUE(shows(all, "flowmeter_packets_total{class=\"metered\"} 4"));
  EXPECT_TRUE(shows(all, "flowmeter_handover_lost_packets_total 5"));
  EXPECT_TRUE(shows(all, "flowmeter_update_age_seconds 0.25"));
  EXPECT_TRUE(shows(all, "flowmeter_output_up{output=\"/x\"} 0"));
  for (const char* name : {"flowmeter_row_packets", "flowmeter_open_flow", "flowmeter_flows_ended",
                           "flowmeter_untimed_packets"})
    EXPECT_EQ(all.find(name), std::string::npos) << name;
}

}  // namespace
}  // namespace flowmeter
