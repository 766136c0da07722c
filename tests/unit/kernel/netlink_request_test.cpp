// SPDX-License-Identifier: BSD-3-Clause
// Netlink answers, whole, cut short and damaged. The sanitizers would detect a read outside of
// them.
#include "kernel/netlink_request.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <random>

namespace flowmeter {
namespace {

template <typename Value>
std::string bytes(const Value& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::string padded(std::string text) {
  text.resize(NLMSG_ALIGN(text.size()), '\0');
  return text;
}

std::string attribute(uint16_t type, const std::string& value) {
  const nlattr header{static_cast<uint16_t>(sizeof(nlattr) + value.size()), type};
  return padded(bytes(header) + value);
}

std::string message(uint16_t type, const std::string& body, uint16_t flags = 0) {
  const nlmsghdr header{static_cast<uint32_t>(sizeof(nlmsghdr) + body.size()), type, flags, 1, 0};
  return padded(bytes(header) + body);
}

std::string end(int error = 0) {
  return message(NLMSG_DONE, bytes(error));
}

// Reads from memory that ends where the datagram does.
Result<bool> read(const std::string& datagram, std::string* bodies, bool& changed) {
  const auto exact = std::make_unique<char[]>(datagram.size());
  std::memcpy(exact.get(), datagram.data(), datagram.size());
  return read_netlink_messages(
      {exact.get(), datagram.size()},
      [&](const nlmsghdr& header, std::string_view body) {
        *bodies += std::to_string(header.nlmsg_type) + ":" + std::string(body) + ";";
      },
      changed);
}

struct Row {
  const char* claim;
  std::string datagram;
  int error;  // 0: none
  bool ended;
  const char* bodies;
  bool changed = false;
};

TEST(NetlinkMessages, AreReadToTheEndOfTheAnswer) {
  std::string too_short = message(20, "abcd"), too_long = too_short;
  too_short[0] = 15;
  too_long[0] = 60;
  const Row rows[] = {
      {"two, and more to come", message(20, "abcd") + message(21, "efgh"), 0, false,
       "20:abcd;21:efgh;"},
      {"padding is not body", message(20, "abcde") + message(21, "f"), 0, false, "20:abcde;21:f;"},
      {"the end", message(20, "abcd") + end(), 0, true, "20:abcd;"},
      {"what is after the end is not read", end() + message(20, "abcd"), 0, true, ""},
      {"the end of a dump that failed", end(-EPERM), EPERM, false, ""},
      {"an error", message(NLMSG_ERROR, bytes(-ENODEV) + std::string(16, '\0')), ENODEV, false, ""},
      {"an acknowledgement", message(NLMSG_ERROR, bytes(0) + std::string(16, '\0')), 0, true, ""},
      {"changed meanwhile", message(20, "abcd", NLM_F_DUMP_INTR) + message(21, "e"), 0, false,
       "20:abcd;21:e;", true},
      {"changed meanwhile, said at the end", message(NLMSG_DONE, bytes(0), NLM_F_DUMP_INTR), 0,
       true, "", true},
      {"the end, of old kernels", message(NLMSG_DONE, ""), 0, true, ""},
      {"an error without a number", message(NLMSG_ERROR, "ab"), EBADMSG, false, ""},
      {"less than a header", std::string(15, '\x10'), EBADMSG, false, ""},
      {"a length below the header", too_short, EBADMSG, false, ""},
      {"a length beyond the datagram", too_long, EBADMSG, false, ""},
      {"nothing", "", 0, false, ""},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.claim);
    std::string bodies;
    bool changed = false;
    auto ended = read(row.datagram, &bodies, changed);
    EXPECT_EQ(changed, row.changed);
    EXPECT_EQ(bodies, row.bodies);
    ASSERT_EQ(static_cast<bool>(ended), row.error == 0);
    if (ended)
      EXPECT_EQ(*ended, row.ended);
    else
      EXPECT_EQ(ended.error().os_error, row.error);
  }
}

TEST(NetlinkAttributes, AreWrittenAsTheyAreRead) {
  std::string all;
  append_netlink_text(all, 1, "abcd");
  append_netlink_attribute(all, 2, netlink_bytes(uint8_t{7}));
  append_netlink_attribute(all, 3, {});
  EXPECT_EQ(all, attribute(1, std::string("abcd\0", 5)) + attribute(2, "\7") + attribute(3, ""));
}

TEST(NetlinkAttributes, AreFoundBetweenOthers) {
  const std::string all = attribute(1, "a") + attribute(2 | NLA_F_NESTED, attribute(5, "inner")) +
                          attribute(3, bytes(uint32_t{77}));
  EXPECT_EQ(netlink_attribute(all, 1), "a");
  EXPECT_EQ(netlink_attribute(netlink_attribute(all, 2), 5), "inner");
  EXPECT_EQ(netlink_number<uint32_t>(netlink_attribute(all, 3)), 77u);
  EXPECT_EQ(netlink_attribute(all, 4), "");
  EXPECT_EQ(netlink_number<uint32_t>(netlink_attribute(all, 1)), 0u) << "too short for a number";
  EXPECT_EQ(netlink_text(std::string_view("bpf\0rest", 8)), "bpf");
  EXPECT_EQ(netlink_text("no end"), "no end");
}

TEST(NetlinkMessages, DamagedInAnyWayAreNotReadOutside) {
  const std::string whole = message(20, attribute(1, "abc") + attribute(2, "defgh")) +
                            message(21, attribute(3, "ij")) + end();
  std::mt19937 random(42);
  for (size_t i = 0; i < 20'000; i++) {
    std::string damaged = whole.substr(0, i < whole.size() ? i : random() % (whole.size() + 1));
    for (unsigned changes = random() % 4; changes > 0 && !damaged.empty(); changes--)
      damaged[random() % damaged.size()] = static_cast<char>(random());
    const auto exact = std::make_unique<char[]>(damaged.size());
    std::memcpy(exact.get(), damaged.data(), damaged.size());
    size_t bytes_seen = 0;
    bool changed = false;
    (void)read_netlink_messages(
        {exact.get(), damaged.size()},
        [&](const nlmsghdr&, std::string_view body) {
          bytes_seen += body.size();
          for (int type = 0; type < 4; type++)
            bytes_seen += netlink_text(netlink_attribute(body, type)).size();
        },
        changed);
    ASSERT_LE(bytes_seen, 5 * whole.size());
  }
}

}  // namespace
}  // namespace flowmeter
