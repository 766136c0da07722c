// SPDX-License-Identifier: BSD-3-Clause
// What is kept of a flow's payload passes to another layer. (head_model_test.cpp does this at
// random.)
#include <gtest/gtest.h>

#include <vector>

#include "application/conversation_rows.h"
#include "application/messages.h"

namespace flowmeter::testing {
namespace {

// A flow with everything that can be kept: counts of HTTP and DNS, offered suites, an unfinished
// hello, and parked segments of which one differs from what came first.
void talk(Conversation& c) {
  const std::string hello = handshake(client_hello({5, 6, 7}));
  c.on_port_53().syn(0).syn(1);
  c.send(0, kGet).send(1, kOk).send(1, framed(query(1)));
  c.send(0, hello).send(0, handshake(client_hello({8, 9})).substr(0, 20));
  c.at(1, 2000, "parked").at(1, 2003, "differs").at(0, 3000, kGet);
}

TEST(ApplicationState, GoesOnInAnotherLayer) {
  ApplicationLayer earlier(4), later(4);
  Conversation reference(earlier), c(earlier);
  talk(reference);
  talk(c);
  ASSERT_TRUE(c.continue_in(later, c.saved()));
  EXPECT_EQ(later.statistics().heads, 2u);
  EXPECT_EQ(c.result(), reference.result());
  EXPECT_NE(reference.result().find("TLS"), std::string::npos) << reference.result();
}

TEST(ApplicationState, OfWhichAPartIsMissingIsNotTakenOver) {
  ApplicationLayer layer(4), next(4);
  Conversation whole(layer);
  talk(whole);
  const ValueBytes saved = whole.saved();
  for (size_t size = 0; size < saved.size(); size++) {
    Conversation c(layer);
    ASSERT_FALSE(c.continue_in(next, std::span(saved).first(size))) << size;
  }
  EXPECT_EQ(next.statistics().heads, 0u);
  EXPECT_EQ(next.statistics().head_bytes, 0u);
}

TEST(ApplicationState, TheOldestHeadStaysTheOldest) {
  const std::string begun = "GET /" + std::string(1300, 'x');
  ApplicationLayer earlier(8, 8192), later(8, 4096);
  Conversation first(earlier), second(earlier), third(later);
  for (Conversation* c : {&second, &first}) c->syn(0).send(0, begun);
  for (Conversation* c : {&first, &second}) ASSERT_TRUE(c->continue_in(later, c->saved()));
  later.restored();
  third.syn(0).send(0, begun);
  EXPECT_EQ(later.statistics().heads_dropped, 1u);
  for (Conversation* c : {&first, &second, &third}) c->send(0, " HTTP/1.1\r\n\r\n");
  EXPECT_EQ(second.result(), "unknown");
  EXPECT_EQ(first.result(), "HTTP 1/0 GET 0 0");
  EXPECT_EQ(third.result(), "HTTP 1/0 GET 0 0");
}

}  // namespace
}  // namespace flowmeter::testing
