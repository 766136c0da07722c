// SPDX-License-Identifier: BSD-3-Clause
// The cells of HTTP, TLS and DNS.
#include "features/application_quantities.h"

#include <gtest/gtest.h>

#include "features/rows_97.h"
#include "support/packet_builder.h"

namespace flowmeter::testing {
namespace {

std::map<std::string, std::string> application_cells(const ApplicationSummary* application) {
  fm_flow_key key{};
  key.ip_version = 4;
  key.protocol = FM_TCP;
  fm_flow flow{};
  FlowRecord record{key, flow, {}, FM_END_INPUT};
  record.application = application;
  auto cells = cells_of(record);
  std::map<std::string, std::string> of_application;
  for (const auto& [name, text] : kNoApplication) of_application[name] = cells[name];
  return of_application;
}

TEST(ApplicationQuantities, WhatWasFound) {
  const std::string method = "PROPFIND";
  ApplicationSummary a{};
  a.http_requests = 11;
  a.http_responses = 12;
  a.http_content_length = 123'456'789'012'345'678;
  a.http_method = HttpMethod(method);
  a.http_code = 204;
  a.tls_version_known = true;
  a.tls_version = 0x7f1c;
  a.tls_messages = 13;
  a.tls_cipher_suites = 14;
  a.tls_extensions = 15;
  a.dns_queries = 16;
  a.dns_responses = 17;
  a.dns_type_known = true;
  a.dns_type = 65535;
  a.dns_rcode = 15;
  auto cells = application_cells(&a);
  EXPECT_EQ(cells, (Cells{{"HTTP Request Count", "11"},
                          {"HTTP Response Count", "12"},
                          {"HTTP Most Common Method", "PROPFIND"},
                          {"HTTP Most Common Response Code", "204"},
                          {"HTTP Content Length", "123456789012345678"},
                          {"TLS Handshake Count", "13"},
                          {"TLS Most Common Version", "0x7f1c"},
                          {"TLS Cipher Suite Count", "14"},
                          {"TLS Extensions Count", "15"},
                          {"DNS Query Count", "16"},
                          {"DNS Response Count", "17"},
                          {"DNS Most Common Query Type", "65535"},
                          {"DNS Most Common Response Code", "15"}}));
  a.tls_version = 0x0304;
  a.dns_type = 1;
  cells = application_cells(&a);
  EXPECT_EQ(cells["TLS Most Common Version"], "0x0304");
  EXPECT_EQ(cells["DNS Most Common Query Type"], "1");
  // The limit of a sum, SSL 3 and type 0 are values like others.
  a.http_content_length = UINT64_MAX;
  a.tls_version = 0x0300;
  a.dns_type = 0;
  cells = application_cells(&a);
  EXPECT_EQ(cells["HTTP Content Length"], "18446744073709551615");
  EXPECT_EQ(cells["TLS Most Common Version"], "0x0300");
  EXPECT_EQ(cells["DNS Most Common Query Type"], "0");
}

TEST(ApplicationQuantities, NothingAndUnknown) {
  EXPECT_EQ(application_cells(nullptr), kNoApplication);
  ApplicationSummary a{};
  EXPECT_EQ(application_cells(&a), kNoApplication);
  a.http_requests = 1;
  a.unknown = true;
  for (const auto& [name, text] : application_cells(&a)) EXPECT_EQ(text, "") << name;
}

// A DNS message with one question.
std::vector<uint8_t> dns(uint16_t type, bool response = false, uint8_t rcode = 0) {
  std::vector<uint8_t> m = {
      0, 7, static_cast<uint8_t>(response ? 0x81 : 1), rcode, 0, 1, 0, 0, 0, 0, 0, 0};
  for (const std::string label : {"example", "com"}) {
    m.push_back(static_cast<uint8_t>(label.size()));
    m.insert(m.end(), label.begin(), label.end());
  }
  m.insert(m.end(), {0, static_cast<uint8_t>(type >> 8), static_cast<uint8_t>(type), 0, 1});
  return m;
}
Packet resolver(std::vector<uint8_t> message, bool answer) {
  const Packet query = ipv4("10.0.0.9", "10.0.0.53").udp(4000, 53).payload(std::move(message));
  return answer ? query.reversed() : query;
}

TEST(ApplicationQuantities, DnsFromFrames) {
  auto rows = rows_of({resolver(dns(1), false).at(0), resolver(dns(1, true), true).at(.02)});
  ASSERT_EQ(rows.size(), 1u);
  Cells expected = kNoApplication;
  expected["DNS Query Count"] = expected["DNS Response Count"] = "1";
  expected["DNS Most Common Query Type"] = "1";
  expected["Flow Duration"] = "20000";
  expect_cells(rows[0], expected);
  // If two values are equally common, the one seen first counts.
  rows = rows_of({resolver(dns(28), false).at(0), resolver(dns(28, true, 3), true).at(.1),
                  resolver(dns(1), false).at(.2), resolver(dns(1, true), true).at(.3)});
  expect_cells(rows[0], {{"DNS Query Count", "2"},
                         {"DNS Response Count", "2"},
                         {"DNS Most Common Query Type", "28"},
                         {"DNS Most Common Response Code", "3"}});
}

}  // namespace
}  // namespace flowmeter::testing
