// SPDX-License-Identifier: BSD-3-Clause
#include "output/flow_printer.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <string_view>

namespace flowmeter::testing {
namespace {

ApplicationSummary with_http(std::string_view method, uint64_t requests, uint64_t responses) {
  ApplicationSummary a{};
  a.http_requests = requests;
  a.http_responses = responses;
  a.http_method = HttpMethod(method);
  a.http_code = responses ? 200 : 0;
  return a;
}

class FlowLine : public ::testing::Test {
 protected:
  FlowLine() {
    key_.ip_version = 4;
    key_.protocol = FM_TCP;
    address(0, {192, 168, 1, 9});
    address(1, {10, 0, 0, 2});
    key_.port[0] = 4242;
    key_.port[1] = 80;
    flow_.counters.first_ns = 1'700'000'000'250'999'000;  // 22:13:20 UTC
    flow_.counters.last_ns = flow_.counters.first_ns + 2'017'500'000;
    for (unsigned packets : {0u, 1u, 2u}) fm_moments_add(&direction(0).length, 60 + packets);
    for (unsigned packets : {0u, 1u}) fm_moments_add(&direction(1).length, 100 + packets);
  }

  void address(unsigned end, std::initializer_list<uint8_t> bytes) {
    std::memcpy(&key_.address[end], bytes.begin(), bytes.size());
  }
  fm_direction_counters& direction(unsigned end) { return flow_.counters.direction[end]; }
  std::string line(const ApplicationSummary* application = nullptr) const {
    FlowRecord record{key_, flow_, {}, FM_END_IDLE};
    record.application = application;
    return flow_line(record);
  }
  // The part of the line after the flow's counts.
  std::string application(const ApplicationSummary& a) const {
    const std::string without = line(), with = line(&a);
    EXPECT_EQ(with.substr(0, without.size() - 1), without.substr(0, without.size() - 1));
    return with.substr(without.size() - 1);
  }

  fm_flow_key key_{};
  fm_flow flow_{};
};

TEST_F(FlowLine, IsWhatTheHeaderSays) {
  EXPECT_EQ(line(),
            "22:13:20.250 TCP 192.168.1.9:4242 > 10.0.0.2:80 2.0175 s, 3/2 packets, 183/201 "
            "bytes\n");
}

TEST_F(FlowLine, ForwardIsFirst) {
  flow_.counters.forward_direction = 1;
  flow_.counters.last_ns = flow_.counters.first_ns;
  EXPECT_EQ(line(),
            "22:13:20.250 TCP 10.0.0.2:80 > 192.168.1.9:4242 0 s, 2/3 packets, 201/183 bytes\n");
}

TEST_F(FlowLine, Ipv6IsInBracketsAndIcmpHasNoPorts) {
  key_ = {};
  key_.ip_version = 6;
  key_.protocol = FM_ICMPV6;
  key_.port[0] = 77;
  address(0, {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  address(1, {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  EXPECT_EQ(line(),
            "22:13:20.250 ICMPv6 [fe80::1]:0 > [ff02::1]:0 2.0175 s, 3/2 packets, 183/201 "
            "bytes\n");
}

TEST_F(FlowLine, WhatTheFlowCarried) {
  EXPECT_EQ(application({}), "\n");
  EXPECT_EQ(application(with_http("GET", 3, 2)), ", HTTP GET 200\n");
  EXPECT_EQ(application(with_http("POST", 1, 0)), ", HTTP POST\n");
  EXPECT_EQ(application(with_http("", 0, 1)), ", HTTP 200\n");
  ApplicationSummary a = with_http("CONNECT", 1, 1);
  a.tls_version_known = true;
  a.tls_version = 0x0304;
  EXPECT_EQ(application(a), ", HTTP CONNECT 200, TLS 0x0304\n");
  a = {};
  a.dns_queries = 1;
  a.dns_type_known = true;
  a.dns_type = 28;
  EXPECT_EQ(application(a), ", DNS q28\n");
  a.dns_responses = 1;
  a.dns_rcode = 3;
  EXPECT_EQ(application(a), ", DNS q28 r3\n");
  a.unknown = true;
  EXPECT_EQ(application(a), "\n");
}

class Counting final : public RecordSink {
 public:
  void write(const FlowRecord&) override { written++; }
  bool failed() const override { return fails; }
  Status flush() override {
    if (fails) return Error{"full"};
    return Done{};
  }
  int written = 0;
  bool fails = false;
};

TEST(FlowPrinter, PassesRecordsOnAndWritesALinePerRecord) {
  fm_flow_key key{};
  key.ip_version = 4;
  key.protocol = FM_UDP;
  const fm_flow flow{};
  const FlowRecord record{key, flow, {}, FM_END_IDLE};
  Counting sink;
  FlowPrinter printer(sink);
  ::testing::internal::CaptureStderr();
  printer.write(record);
  printer.write(record);
  const bool flushed = static_cast<bool>(printer.flush());
  const std::string line = flow_line(record);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), line + line);
  EXPECT_TRUE(flushed);
  EXPECT_EQ(sink.written, 2);
  EXPECT_FALSE(printer.failed());
  sink.fails = true;
  EXPECT_TRUE(printer.failed());
  EXPECT_FALSE(printer.flush());
}

}  // namespace
}  // namespace flowmeter::testing
