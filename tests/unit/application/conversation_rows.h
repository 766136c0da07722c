// SPDX-License-Identifier: BSD-3-Clause
// Tables of conversations. A row has a claim, the packets that show it, and the flow's final
// summary; directions are 0 (forward) and 1.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "application/messages.h"

namespace flowmeter::testing {

struct ConversationRow {
  const char* claim;
  std::function<void(Conversation&)> packets;
  const char* expected;
};

inline void check_conversations(const std::vector<ConversationRow>& rows) {
  for (const ConversationRow& row : rows) {
    SCOPED_TRACE(row.claim);
    ApplicationLayer layer(4);
    {
      Conversation conversation(layer);
      row.packets(conversation);
      EXPECT_EQ(conversation.result(), row.expected);
      EXPECT_EQ(conversation.result(), row.expected) << "a second time";
    }
    EXPECT_EQ(layer.statistics().heads, 0u);
    EXPECT_EQ(layer.statistics().head_bytes, 0u);
  }
}

inline const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
inline const std::string kOk = "HTTP/1.1 200 OK\r\n\r\n";

inline std::string get(size_t number) {
  return "GET /" + std::to_string(number) + " HTTP/1.1\r\n\r\n";
}

// The specification's example: a GREASE suite and three more, a GREASE extension and ten more.
inline std::string modern_client_hello() {
  std::vector<Extension> list = {{0x3a3a}, offered({0x8a8a, 0x0304, 0x0303})};
  for (unsigned type = 1; type < 10; type++) list.push_back({type, "x"});
  return client_hello({0xfafa, 0x1301, 0x1302, 0x1303}, list);
}

}  // namespace flowmeter::testing
