// SPDX-License-Identifier: BSD-3-Clause
#include "run/service_table.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "flowmeter/packet.h"

namespace flowmeter::testing {
namespace {

struct Flow {
  fm_flow_key key{};
  unsigned server = 0;
};

Flow flow(const char* client, uint16_t client_port, const char* server, uint16_t server_port) {
  Flow made;
  made.key.address[0] = fm_address_ipv4(::inet_addr(client));
  made.key.address[1] = fm_address_ipv4(::inet_addr(server));
  made.server = 1u - fm_key_set_ports(&made.key, client_port, server_port, FM_UDP, 4);
  return made;
}

Flow to_service(uint16_t port) {
  return flow("10.0.0.7", port, "10.96.0.10", 53);
}
Flow to_server(uint16_t port) {
  return flow("10.0.0.7", port, "10.0.0.2", 5353);
}

void add(ServiceTable& table, uint16_t port) {
  table.add(to_service(port).key, to_service(port).server, to_server(port).key,
            to_server(port).server);
}

TEST(ServiceTable, BothFlowsOfAConnectionGoToTheService) {
  ServiceTable table(8);
  add(table, 4000);
  EXPECT_EQ(table.service_of(to_service(4000).key), "10.96.0.10:53");
  EXPECT_EQ(table.service_of(to_server(4000).key), "10.96.0.10:53");
  EXPECT_EQ(table.service_of(to_server(4001).key), "");
}

TEST(ServiceTable, EachFlowLeadsToTheOther) {
  ServiceTable table(8);
  add(table, 4000);
  const Flow service = to_service(4000), server = to_server(4000);
  auto other = table.other_side(service.key);
  ASSERT_TRUE(other);
  EXPECT_TRUE(fm_key_equal(&other->key, &server.key));
  EXPECT_EQ(other->ends_swapped, service.server != server.server);
  other = table.other_side(server.key);
  ASSERT_TRUE(other);
  EXPECT_TRUE(fm_key_equal(&other->key, &service.key));
  EXPECT_FALSE(table.other_side(to_server(4001).key));
}

// The lower address is end 0: 10.0.0.7 is above its server, and below its service.
TEST(ServiceTable, TheEndsOfBothFlowsMayBeSwapped) {
  EXPECT_NE(to_service(4000).server, to_server(4000).server);
  ServiceTable table(8);
  const Flow above = flow("10.0.0.7", 4000, "10.0.0.9", 5353);
  table.add(to_service(4000).key, to_service(4000).server, above.key, above.server);
  EXPECT_FALSE(table.other_side(above.key)->ends_swapped);
}

TEST(ServiceTable, OnWhateverInterfaceAFlowIs) {
  ServiceTable table(8);
  add(table, 4000);
  fm_flow_key key = to_server(4000).key;
  key.interface = 7;
  EXPECT_EQ(table.service_of(key), "10.96.0.10:53");
  EXPECT_FALSE(table.other_side(key)) << "that may be on another one";
}

TEST(ServiceTable, AddressesOfIpv6AreInBrackets) {
  ServiceTable table(8);
  fm_flow_key service{}, server{};
  for (fm_flow_key* key : {&service, &server}) {
    ::inet_pton(AF_INET6, "2001:db8::1", &key->address[0]);
    ::inet_pton(AF_INET6, key == &service ? "2001:db8:9::9" : "2001:db8::2", &key->address[1]);
  }
  const unsigned end = 1u - fm_key_set_ports(&service, 4000, 53, FM_UDP, 6);
  const unsigned server_end = 1u - fm_key_set_ports(&server, 4000, 5353, FM_UDP, 6);
  table.add(service, end, server, server_end);
  EXPECT_EQ(table.service_of(server), "[2001:db8:9::9]:53");
}

TEST(ServiceTable, IcmpGoesToNoService) {
  ServiceTable table(8);
  add(table, 4000);
  fm_flow_key key{};
  key.address[0] = fm_address_ipv4(::inet_addr("10.0.0.7"));
  key.address[1] = fm_address_ipv4(::inet_addr("10.96.0.10"));
  fm_key_set_icmp(&key, FM_KEY_ICMP_ECHO, 1, FM_ICMP, 4);
  EXPECT_EQ(table.service_of(key), "");
}

TEST(ServiceTable, ALaterConnectionOfTheSamePortsCounts) {
  ServiceTable table(8);
  add(table, 4000);
  const Flow other = flow("10.0.0.7", 4000, "10.96.0.11", 80);
  table.add(other.key, other.server, to_server(4000).key, to_server(4000).server);
  EXPECT_EQ(table.service_of(to_server(4000).key), "10.96.0.11:80");
  EXPECT_EQ(table.service_of(to_service(4000).key), "");
  table.forget(to_server(4000).key);
  EXPECT_EQ(table.service_of(to_server(4000).key), "");
  EXPECT_EQ(table.service_of(other.key), "");
  EXPECT_EQ(table.size(), 0u);
}

TEST(ServiceTable, ForgetsWhatWasUsedLeastRecently) {
  constexpr uint16_t kMost = 100;
  ServiceTable table(kMost);
  for (uint16_t port = 1; port <= kMost; port++) add(table, port);
  EXPECT_EQ(table.service_of(to_server(1).key), "10.96.0.10:53");  // asked for again
  for (uint16_t port = kMost + 1; port < 2 * kMost; port++) add(table, port);
  EXPECT_EQ(table.size(), kMost);
  EXPECT_EQ(table.service_of(to_server(1).key), "10.96.0.10:53");
  EXPECT_EQ(table.service_of(to_server(2).key), "");
  EXPECT_EQ(table.service_of(to_service(kMost).key), "");
  EXPECT_EQ(table.service_of(to_service(2 * kMost - 1).key), "10.96.0.10:53");
}

}  // namespace
}  // namespace flowmeter::testing
