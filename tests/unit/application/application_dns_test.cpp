// SPDX-License-Identifier: BSD-3-Clause
// DNS in the application layer: datagrams, and messages on a TCP connection.
#include "application/application_layer.h"

#include <gtest/gtest.h>

#include "application/conversation_rows.h"

namespace flowmeter::testing {
namespace {

TEST(ApplicationLayerDns, Vectors) {
  check_conversations({
      {"a query and its answer",
       [](Conversation& c) { c.datagram(0, query(1)).datagram(1, response(1)); }, "DNS 1/1 1 0"},
      {"AAAA without an answer, then A: what was seen first wins a tie",
       [](Conversation& c) {
         c.datagram(0, query(28)).datagram(1, response(28, 3));
         c.datagram(0, query(1)).datagram(1, response(1));
       },
       "DNS 2/2 28 3"},
      {"ten queries on a connection, two of them after the head; the last one again",
       [](Conversation& c) {
         c.on_port_53().syn(0);
         for (int i = 0; i < 10; i++) c.send(0, framed(query(1)));
         c.at(0, static_cast<uint32_t>(9 * framed(query(1)).size()), framed(query(1)));
       },
       "DNS 10/0 1 0"},
  });
}

TEST(ApplicationLayerDns, Conversations) {
  const std::string q = framed(query(1));
  const auto size = static_cast<uint32_t>(q.size());
  check_conversations({
      {"512 bytes of a datagram are looked at",
       [](Conversation& c) { c.datagram(0, query(16) + std::string(2000, 'x')); }, "DNS 1/0 16 0"},
      {"a message is counted when its question is there; its end need not come",
       [](Conversation& c) {
         const std::string m = response(16) + std::string(20000, 'x');
         c.on_port_53().syn(1).send(1, u16(m.size()) + m.substr(0, query(16).size()));
       },
       "DNS 0/1 16 0"},
      {"messages follow each other, cut anywhere",
       [&](Conversation& c) {
         const std::string all = q + framed(query(28)) + framed(query(28));
         c.on_port_53().syn(0);
         for (size_t i = 0; i < 8; i++) c.send(0, all.substr(i * 12, i == 7 ? all.npos : 12));
       },
       "DNS 3/0 28 0"},
      {"not on other ports", [&](Conversation& c) { c.syn(0).send(0, q); }, "nothing"},
      {"a message that is too short stops the walk, and later ones are not looked at",
       [&](Conversation& c) {
         c.on_port_53().syn(0).send(0, q + framed("short") + q);
         for (int i = 0; i < 10; i++) c.send(0, q);
       },
       "DNS 1/0 1 0"},
      {"also one that is known to be too short before its end has come",
       [&](Conversation& c) {
         c.on_port_53().syn(0).send(0, q + u16(11)).noise(1, 1);
         for (int i = 0; i < 10; i++) c.at(0, 1000, q);
       },
       "DNS 1/0 1 0"},
      {"also one whose name is too long for it",
       [&](Conversation& c) {
         c.on_port_53().syn(0).send(0, q + u16(20) + dns_header(0x0100, 1) + "\4");
         for (int i = 0; i < 10; i++) c.at(0, 1000, q);
       },
       "DNS 1/0 1 0"},
      {"so does a malformed one",
       [&](Conversation& c) {
         c.on_port_53()
             .syn(0)
             .send(0, q + framed(dns_header(0x7800, 0)) + q)
             .noise(0, 7)
             .send(0, q);
       },
       "DNS 1/0 1 0"},
      {"the other direction goes on",
       [&](Conversation& c) {
         c.on_port_53().syn(0).syn(1).send(0, framed("short")).send(1, framed(response(28, 3)));
       },
       "DNS 0/1 28 3"},
      {"a message cut by the head's end does not stop anything",
       [&](Conversation& c) {
         c.on_port_53().syn(0).send(0, q.substr(0, 9));
         for (uint32_t i = 0; i < 7; i++) c.at(0, 0, "x");
         c.at(0, size, q);
       },
       "DNS 1/0 1 0"},
      {"one after the head needs exactly one question",
       [&](Conversation& c) {
         c.on_port_53().syn(0).send(0, q).noise(0, 0);
         for (int i = 0; i < 7; i++) c.send(0, q);
         c.send(0, framed(dns_header(0x0100, 2) + question(1) + question(1)));
         c.send(0, framed(dns_header(0x8000, 0))).send(0, q);
       },
       "DNS 9/0 1 0"},
      {"and to be complete in its segment",
       [&](Conversation& c) {
         c.on_port_53().syn(0);
         for (int i = 0; i < 8; i++) c.send(0, q);
         c.send(0, q.substr(0, q.size() - 1)).send(0, u16(20) + query(1));
       },
       "DNS 8/0 1 0"},
      {"later ones have eight numbers of their own; those of the head are not among them",
       [&](Conversation& c) {
         c.on_port_53().syn(0);
         for (int i = 0; i < 9; i++) c.send(0, q);
         c.at(0, 8 * size, q).at(0, 0, q);
       },
       "DNS 10/0 1 0"},
      {"one outside of the head is a later one",
       [&](Conversation& c) { c.on_port_53().syn(0).send(0, q).at(0, 20000, q).at(0, 20000, q); },
       "DNS 2/0 1 0"},
      {"types of responses, if there is no query",
       [](Conversation& c) { c.datagram(1, response(15)).datagram(1, response(16)); },
       "DNS 0/2 15 0"},
      {"with a query only those of queries",
       [](Conversation& c) {
         c.datagram(1, response(15)).datagram(1, response(15)).datagram(0, query(1));
         c.datagram(1, response(15));
       },
       "DNS 1/3 1 0"},
      {"no question, no type", [](Conversation& c) { c.datagram(0, dns_header(0x0100, 0)); },
       "DNS 1/0 NONE 0"},
      {"a query without question counts as one all the same",
       [](Conversation& c) { c.datagram(1, response(15)).datagram(0, dns_header(0x0100, 0)); },
       "DNS 1/1 NONE 0"},
      {"sixteen types are told apart",
       [](Conversation& c) {
         for (unsigned type = 1; type <= 17; type++) c.datagram(0, query(type));
         c.datagram(0, query(17)).datagram(0, query(17)).datagram(0, query(16));
       },
       "DNS 20/0 16 0"},
      {"the response code seen most",
       [](Conversation& c) {
         c.datagram(1, response(1)).datagram(1, response(1, 15)).datagram(1, response(1, 15));
       },
       "DNS 0/3 1 15"},
      {"something else on port 53", [](Conversation& c) { c.datagram(0, "something else"); },
       "nothing"},
      {"HTTP on port 53 is HTTP",
       [](Conversation& c) { c.on_port_53().syn(0).send(0, kGet).noise(0, 7).send(0, get(1)); },
       "HTTP 2/0 GET 0 0"},
  });
}

}  // namespace
}  // namespace flowmeter::testing
