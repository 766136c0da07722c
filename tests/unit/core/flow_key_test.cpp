// SPDX-License-Identifier: BSD-3-Clause
#include "flowmeter/flow_key.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "flowmeter/packet.h"

namespace {

fm_flow_key with_ports(const fm_address& a, const fm_address& b, uint16_t p, uint16_t q,
                       uint8_t* direction) {
  fm_flow_key key{{a, b}, {}, 0, 0, 0, 0};
  *direction = fm_key_set_ports(&key, p, q, FM_TCP, 4);
  return key;
}

// Small numbers, so that equal addresses and ports are met often.
fm_address random_address(std::mt19937_64& random) {
  if (random() % 4 == 0) return {{random(), random()}};
  return {{random() % 3, random() % 3}};
}

TEST(FlowKey, BothDirectionsHaveOneKey) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 50000; i++) {
    const fm_address a = random_address(random), b = random_address(random);
    const auto p = static_cast<uint16_t>(random() % 4), q = static_cast<uint16_t>(random() % 4);
    uint8_t there, back;
    const fm_flow_key x = with_ports(a, b, p, q, &there), y = with_ports(b, a, q, p, &back);
    ASSERT_TRUE(fm_key_equal(&x, &y));
    ASSERT_EQ(std::memcmp(&x, &y, sizeof(x)), 0);
    if (fm_address_equal(&a, &b) && p == q) {
      ASSERT_EQ(there, 0) << "equal ends: every packet is from end 0";
      ASSERT_EQ(back, 0);
    } else {
      ASSERT_NE(there, back);
    }
    // The direction is the number of the end that sent.
    ASSERT_TRUE(fm_address_equal(&x.address[there], &a));
    ASSERT_EQ(x.port[there], p);
    ASSERT_TRUE(fm_address_equal(&x.address[!there], &b));
    ASSERT_EQ(x.port[!there], q);
    ASSERT_EQ(x.protocol, FM_TCP);
    ASSERT_EQ(x.ip_version, 4);
    ASSERT_EQ(x.kind, FM_KEY_PORTS);
    ASSERT_EQ(x.interface, 0);
  }
}

TEST(FlowKey, IcmpBothDirectionsHaveOneKey) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20000; i++) {
    const fm_address a = random_address(random), b = random_address(random);
    const auto id = static_cast<uint16_t>(random());
    fm_flow_key x{{a, b}, {}, 0, 0, 0, 0}, y{{b, a}, {}, 0, 0, 0, 0};
    const uint8_t there = fm_key_set_icmp(&x, FM_KEY_ICMP_ECHO, id, FM_ICMP, 4);
    const uint8_t back = fm_key_set_icmp(&y, FM_KEY_ICMP_ECHO, id, FM_ICMP, 4);
    ASSERT_TRUE(fm_key_equal(&x, &y));
    ASSERT_EQ(there != back, !fm_address_equal(&a, &b));
    ASSERT_EQ(x.port[0], id) << "the identifier does not move with the ends";
    ASSERT_EQ(x.port[1], 0);
    ASSERT_EQ(x.protocol, FM_ICMP);
    ASSERT_EQ(x.kind, FM_KEY_ICMP_ECHO);
  }
}

TEST(FlowKey, PortsBelongToTheirAddresses) {
  const fm_address a{{1, 0}}, b{{2, 0}};
  uint8_t d;
  const fm_flow_key x = with_ports(a, b, 10, 20, &d), y = with_ports(a, b, 20, 10, &d);
  EXPECT_FALSE(fm_key_equal(&x, &y));
}

TEST(FlowKey, EveryFieldCounts) {
  fm_flow_key key{};
  for (size_t i = 0; i < sizeof(key); i++) {
    fm_flow_key other = key;
    reinterpret_cast<uint8_t*>(&other)[i] ^= 1;
    EXPECT_FALSE(fm_key_equal(&key, &other)) << "byte " << i;
  }
}

TEST(FlowKey, LessIsATotalOrder) {
  const fm_address low{{1, 9}}, high{{1, 10}}, higher{{2, 0}};
  EXPECT_TRUE(fm_address_less(&low, &high));
  EXPECT_TRUE(fm_address_less(&high, &higher));
  EXPECT_TRUE(fm_address_less(&low, &higher));
  EXPECT_FALSE(fm_address_less(&high, &low));
  EXPECT_FALSE(fm_address_less(&low, &low));
}

TEST(FlowKey, Ipv4AddressIsItsBytesFirst) {
  const uint8_t bytes[4] = {192, 0, 2, 1};
  __be32 wire;
  std::memcpy(&wire, bytes, 4);
  const fm_address a = fm_address_ipv4(wire);
  uint8_t memory[16];
  std::memcpy(memory, &a, 16);
  EXPECT_EQ(std::memcmp(memory, bytes, 4), 0);
  for (int i = 4; i < 16; i++) EXPECT_EQ(memory[i], 0);
}

}  // namespace
