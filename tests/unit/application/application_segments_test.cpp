// SPDX-License-Identifier: BSD-3-Clause
// Which segments the application layer looks at, in which order, and what it keeps of them.
#include "application/application_layer.h"

#include <gtest/gtest.h>

#include <memory>

#include "application/conversation_rows.h"

namespace flowmeter::testing {
namespace {

TEST(ApplicationLayerSegments, Head) {
  const auto split = [](size_t n) {
    return [n](Conversation& c) {
      c.syn(0);
      const size_t size = (kGet.size() + n - 1) / n;
      for (size_t from = 0; from < kGet.size(); from += size) c.send(0, kGet.substr(from, size));
    };
  };
  const std::string kPost = "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n";
  check_conversations({
      {"no packet with payload", [](Conversation& c) { c.syn(0).syn(1); }, "nothing"},
      {"a message in eight segments", split(8), "HTTP 1/0 GET 0 0"},
      {"the head has eight segments: what is in the ninth does not complete the line",
       [](Conversation& c) {
         c.syn(0).send(0, "A").noise(0, 6).at(0, 19, "QUUX /").at(0, 25, " HTTP/1.1\r\n\r\n");
       },
       "nothing"},
      {"the same one segment earlier",
       [](Conversation& c) {
         c.syn(0).send(0, "A").noise(0, 5).at(0, 16, "QUUX /").at(0, 22, " HTTP/1.1\r\n\r\n");
       },
       "HTTP 1/0 QUUX 0 0"},
      {"a retransmission counts among the eight",
       [](Conversation& c) {
         c.syn(0).send(0, "A").at(0, 0, "A").noise(0, 5);
         c.at(0, 16, "QUUX /").at(0, 22, " HTTP/1.1\r\n\r\n");
       },
       "nothing"},
      {"segments without payload do not",
       [](Conversation& c) {
         c.syn(0).syn(0).noise(0, 6).syn(0).syn(0).send(0, "QUUX /").send(0, " HTTP/1.1\r\n\r\n");
       },
       "HTTP 1/0 QUUX 0 0"},
      {"a request line may be long",
       [](Conversation& c) {
         c.syn(0).send(0, "QUUX /" + std::string(1000, 'x')).send(0, std::string(7000, 'x'));
         c.send(0, " HTTP/1.1\r\n");
       },
       "HTTP 1/0 QUUX 0 0"},
      {"the head ends after 8192 bytes, whatever follows",
       [](Conversation& c) {
         c.syn(0).send(0, "QUUX /" + std::string(8176, 'x')).send(0, " HTTP/1.1\r\n");
       },
       "nothing"},
      {"its last byte is looked at",
       [](Conversation& c) {
         c.syn(0).send(0, "QUUX /" + std::string(8175, 'x')).send(0, " HTTP/1.1\n\r\n");
       },
       "HTTP 1/0 QUUX 0 0"},
      {"a known method needs no end of line in the head",
       [](Conversation& c) { c.syn(0).send(0, "GET /" + std::string(9000, 'x')); },
       "HTTP 1/0 GET 0 0"},
      {"the origin is after the last SYN before the payload",
       [](Conversation& c) {
         c.raw({0, 5, 0, true, {}}).syn(0).at(0, 2, "T / HTTP/1.1\r\n\r\n").at(0, 0, "GE");
       },
       "HTTP 1/0 GET 0 0"},
      {"a later SYN does not move it",
       [](Conversation& c) {
         c.syn(0).send(0, "GE").raw({0, 5, 0, true, {}}).send(0, "T / HTTP/1.1\r\n\r\n");
       },
       "HTTP 1/0 GET 0 0"},
      {"payload on a SYN",
       [](Conversation& c) {
         c.raw({0, Conversation::kSyn[0], 2, true, bytes("GE")}).at(0, 2, "T / HTTP/1.1\r\n\r\n");
       },
       "HTTP 1/0 GET 0 0"},
      {"without a SYN the stream starts with the segment that came first",
       [](Conversation& c) { c.at(0, 700, "GE").at(0, 702, "T / HTTP/1.1\r\n\r\n"); },
       "HTTP 1/0 GET 0 0"},
      {"what lies before that is looked at by itself",
       [](Conversation& c) { c.at(0, 700, "xx").at(0, 600, kGet).at(0, 630, "GE"); },
       "HTTP 1/0 GET 0 0"},
      {"before the origin by one byte, reaching into the stream: it gives nothing to that",
       [](Conversation& c) { c.syn(0).at(0, 0xffffffff, ".GE").at(0, 2, "T / HTTP/1.1\r\n\r\n"); },
       "nothing"},
      {"outside of the 8192 bytes: at once, by itself",
       [](Conversation& c) {
         c.syn(0).at(0, 8192, kGet).at(0, 9000, "GE").at(0, 9002, "T / HTTP/1.1\r\n\r\n");
       },
       "HTTP 1/0 GET 0 0"},
      {"just inside and without a hole: its stream ends with the head",
       [&](Conversation& c) {
         c.syn(0).send(0, std::string(8191, '.')).send(0, kGet).send(0, kGet);
       },
       "HTTP 1/0 GET 0 0"},
      {"the first copy of a byte wins",
       [](Conversation& c) { c.syn(0).at(0, 0, "GE").at(0, 0, "PUT / HTTP/1.1\r\n\r\n"); },
       "HTTP 1/0 GET 0 0"},
      {"also if it came too early",
       [](Conversation& c) { c.syn(0).at(0, 1, "OLD").at(0, 0, "GET / HTTP/1.1\r\n\r\n"); },
       "nothing"},
      {"and byte by byte: a longer copy gives what is new",
       [](Conversation& c) {
         c.syn(0).at(0, 0, "GET /").at(0, 0, "PUT x HTTP/1.0\r\nContent-Length: 3\r\n\r\n");
       },
       "HTTP 1/0 GET 0 3"},
      {"a longer copy of what is done with gives what is new",
       [](Conversation& c) { c.syn(0).at(0, 0, "....").at(0, 0, "xxxxGET / HTTP/1.1\n\n"); },
       "nothing"},
      {"a shorter copy of a message is inside of it",
       [](Conversation& c) {
         c.syn(0).at(0, 0, "GET / HTTP/1.1\r\nX: \r\nGET /y HTTP/1.1\r\n\r\n");
         c.at(0, 21, "GET /y HTTP/1.1\r\n\r\n");
       },
       "HTTP 1/0 GET 0 0"},
      {"a copy that is cut elsewhere starts elsewhere",
       [](Conversation& c) { c.syn(0).at(0, 0, "...." + kGet).at(0, 4, kGet); },
       "HTTP 1/0 GET 0 0"},
      {"the same with more after it",
       [](Conversation& c) {
         c.syn(0).at(0, 0, "....GET / HT").at(0, 4, "GET / HTTP/1.1\r\n\r\n");
       },
       "HTTP 1/0 GET 0 0"},
      {"a hole that is not filled ends the head",
       [](Conversation& c) { c.syn(0).at(0, 0, "QUUX /").at(0, 7, " HTTP/1.1\r\n\r\n"); },
       "nothing"},
      {"one that is filled does not",
       [](Conversation& c) {
         c.syn(0).at(0, 0, "QUUX /").at(0, 7, " HTTP/1.1\r\n\r\n").at(0, 6, "x");
       },
       "HTTP 1/0 QUUX 0 0"},
      {"what was not captured is a hole",
       [](Conversation& c) { c.syn(0).at(0, 0, "QUUX /", 9).at(0, 9, " HTTP/1.1\r\n\r\n"); },
       "nothing"},
      {"a retransmission fills it",
       [](Conversation& c) {
         c.syn(0).at(0, 0, "QUUX /", 9).at(0, 9, " HTTP/1.1\r\n\r\n").at(0, 0, "QUUX /abc");
       },
       "HTTP 1/0 QUUX 0 0"},
      {"nothing captured at all, then all",
       [](Conversation& c) { c.syn(0).at(0, 0, "", 40).at(0, 0, kGet); }, "HTTP 1/0 GET 0 0"},
      {"bytes beyond the stated length are not payload",
       [](Conversation& c) { c.syn(0).at(0, 0, "QUUX / HTTP/1.1\r\n\r\n", 4); }, "nothing"},
      {"after a hole when the head closes: by itself",
       [&](Conversation& c) { c.syn(0).send(0, "..").at(0, 100, kPost).at(0, 200, kGet); },
       "HTTP 2/0 POST 0 7"},
      {"in the order of arrival",
       [&](Conversation& c) { c.syn(0).send(0, "..").at(0, 200, kGet).at(0, 100, kPost); },
       "HTTP 2/0 GET 0 7"},
      {"with its own bytes, not those that came first",
       [&](Conversation& c) {
         c.syn(0).send(0, "..").at(0, 99, "." + kGet).at(0, 100, kPost).at(0, 98, "--" + kOk);
       },
       "HTTP 1/0 POST 0 7"},
      {"up to 1460 of them, also beyond the head's 8192",
       [](Conversation& c) {
         const std::string header = "POST / HTTP/1.1\r\nX: " + std::string(1460 - 20 - 21, 'x') +
                                    "\r\nContent-Length: 9\r\n";
         c.syn(0).at(0, 8100, header.substr(0, 1460) + "\r\n");
       },
       "HTTP 1/0 POST 0 9"},
      {"and no more",
       [](Conversation& c) {
         const std::string header = "POST / HTTP/1.1\r\nX: " + std::string(1461 - 20 - 21, 'x') +
                                    "\r\nContent-Length: 9\r\n";
         c.syn(0).at(0, 8100, header + "\r\n");
       },
       "HTTP 1/0 POST 0 0"},
      {"a segment after a hole that is filled in time belongs to the stream",
       [](Conversation& c) {
         c.syn(0).at(0, 19, " HTTP/1.1\r\n\r\n").at(0, 2, "QUUX /aaaaaaaaaaa").at(0, 0, "..");
       },
       "HTTP 1/0 QUUX 0 0"},
      {"the ninth segment closes the head before it is looked at",
       [](Conversation& c) {
         c.syn(0).at(0, 1, "UX / HTTP/1.1\r\n\r\n");
         for (uint32_t i = 0; i < 7; i++) c.at(0, 50 + i, ".");
         c.at(0, 0, "Q");
       },
       "nothing"},
      {"the eighth does not",
       [](Conversation& c) {
         c.syn(0).at(0, 1, "UX / HTTP/1.1\r\n\r\n");
         for (uint32_t i = 0; i < 6; i++) c.at(0, 50 + i, ".");
         c.at(0, 0, "Q");
       },
       "HTTP 1/0 QUX 0 0"},
      {"a buffer of many segments is one segment; its bytes that were not handed over are a hole",
       [](Conversation& c) {
         c.syn(0).at(0, 0, kGet, 60000).at(0, 60000, kGet).at(0, 4000, "GET /4 HTTP/1.1\r\n\r\n");
       },
       "HTTP 3/0 GET 0 0"},
  });
}

TEST(ApplicationLayerSegments, LaterSegments) {
  check_conversations({
      {"each by itself",
       [](Conversation& c) {
         c.syn(0).noise(0, 8);
         for (size_t i = 0; i < 20; i++) c.send(0, get(i)).send(0, "body");
       },
       "HTTP 20/0 GET 0 0"},
      {"no reassembly",
       [](Conversation& c) { c.syn(0).noise(0, 8).send(0, "GE").send(0, "T / HTTP/1.1\r\n\r\n"); },
       "nothing"},
      {"the shortest one", [](Conversation& c) { c.syn(0).noise(0, 8).send(0, "GET *"); },
       "HTTP 1/0 GET 0 0"},
      {"without a target there is none",
       [](Conversation& c) { c.syn(0).noise(0, 8).send(0, "GET "); }, "nothing"},
      {"1460 bytes are looked at",
       [](Conversation& c) {
         c.syn(0).noise(0, 8).send(0, "QUUX /" + std::string(1444, 'x') + " HTTP/1.1\n");
         c.send(0, "QUUX /" + std::string(1443, 'x') + " HTTP/1.1\r\n");
         c.send(0, "QUUX /" + std::string(1445, 'x') + " HTTP/1.1\n");
       },
       "HTTP 2/0 QUUX 0 0"},
      {"the same number again is a retransmission",
       [](Conversation& c) {
         c.syn(0).noise(0, 8).at(0, 100, get(1)).at(0, 200, get(2)).at(0, 100, get(1));
       },
       "HTTP 2/0 GET 0 0"},
      {"also of one in the head",
       [](Conversation& c) { c.syn(0).send(0, kGet).noise(0, 7).at(0, 0, kGet); },
       "HTTP 1/0 GET 0 0"},
      {"eight numbers are kept",
       [](Conversation& c) {
         c.syn(0).noise(0, 8);
         for (uint32_t i = 0; i < 9; i++) c.at(0, 100 + 40 * i, get(i));
         c.at(0, 140, get(1)).at(0, 100, get(0));
       },
       "HTTP 10/0 GET 0 0"},
      {"a copy that starts inside the last header is not looked at",
       [](Conversation& c) {
         c.syn(0).noise(0, 8).at(0, 100, "GET / HTTP/1.1\nGET / HTTP/1.1\n\n");
         c.at(0, 115, "GET / HTTP/1.1\n\n");
       },
       "HTTP 1/0 GET 0 0"},
      {"a ClientHello",
       [](Conversation& c) { c.syn(0).noise(0, 8).send(0, handshake(modern_client_hello())); },
       "TLS 1 0x0304 3 10"},
      {"once per direction",
       [](Conversation& c) {
         c.syn(0).noise(0, 8);
         c.send(0, handshake(modern_client_hello())).send(0, handshake(modern_client_hello()));
       },
       "TLS 1 0x0304 3 10"},
      {"not after an alert",
       [](Conversation& c) {
         c.syn(0).noise(0, 8).send(0, warning() + handshake(modern_client_hello()));
       },
       "nothing"},
      {"with what follows in its 1460 bytes",
       [](Conversation& c) {
         c.syn(0).noise(0, 8).send(0, handshake(client_hello({5})) + handshake(message(16, "x")));
       },
       "TLS 2 0x0303 1 0"},
      {"and no further",
       [](Conversation& c) {
         c.syn(0).noise(0, 8).send(0, handshake(client_hello({5}, {{21, std::string(1500, 'p')}})));
         c.send(0, handshake(message(16, "x")));
       },
       "nothing"},
      {"a ClientHello outside of the 8192 bytes is the direction's one walk",
       [](Conversation& c) {
         c.syn(0)
             .at(0, 9000, handshake(client_hello({5})))
             .at(0, 0, handshake(client_hello({6, 7})));
       },
       "TLS 1 0x0303 1 0"},
      {"its suite is compared with the ServerHello's, which came before",
       [](Conversation& c) {
         c.syn(0).syn(1).noise(0, 8).send(1, handshake(server_hello(6))).noise(1, 8);
         c.send(0, handshake(client_hello({5, 6})));
       },
       "TLS 2 0x0303 2 0"},
      {"or with one that comes in the other head",
       [](Conversation& c) {
         c.syn(0).syn(1).noise(0, 8).send(0, handshake(client_hello({5, 6})));
         c.send(1, handshake(server_hello(7))).noise(1, 8);
       },
       "TLS 2 0x0303 3 0"},
  });
}

TEST(ApplicationLayerSegments, WhatIsLostIsUnknown) {
  check_conversations({
      {"a record was lost", [](Conversation& c) { c.syn(0).send(0, kGet).lost(); },
       "HTTP 1/0 GET 0 0, unknown"},
      {"the only one", [](Conversation& c) { c.lost(); }, "unknown"},
  });
}

TEST(ApplicationLayerSegments, GivesUpTheOldestHead) {
  const std::string begun = "GET /" + std::string(1300, 'x');
  ApplicationLayer layer(4, 4096);
  {
    Conversation oldest(layer), middle(layer), newest(layer);
    for (Conversation* c : {&oldest, &middle, &newest}) c->syn(0).send(0, begun);
    EXPECT_EQ(layer.statistics().heads_dropped, 1u);
    EXPECT_LE(layer.statistics().head_bytes, 4096u);
    for (Conversation* c : {&oldest, &middle, &newest}) c->send(0, " HTTP/1.1\r\n\r\n");
    EXPECT_EQ(oldest.result(), "unknown");
    EXPECT_EQ(middle.result(), "HTTP 1/0 GET 0 0");
    EXPECT_EQ(newest.result(), "HTTP 1/0 GET 0 0");
  }
  EXPECT_EQ(layer.statistics().heads, 0u);
  EXPECT_EQ(layer.statistics().head_bytes, 0u);
}

TEST(ApplicationLayerSegments, KeepsOnlyWhatIsUnfinished) {
  ApplicationLayer layer(4);
  Conversation c(layer);
  c.syn(0).syn(1).send(0, std::string(1460, '.')).send(0, kGet + std::string(1400, 'b'));
  c.send(1, kOk + std::string(1400, 'b')).send(1, std::string(1460, 'b'));
  EXPECT_EQ(layer.statistics().heads, 0u);
  c.send(0, "GET / HTTP/1.1\r\nCookie: ");
  EXPECT_EQ(layer.statistics().heads, 1u);
  EXPECT_LE(layer.statistics().head_bytes, 1024u);
  c.send(0, "x\r\n\r\n");
  EXPECT_EQ(layer.statistics().heads, 0u);
}

TEST(ApplicationLayerSegments, AFlowHoldsAtMost16KiB) {
  ApplicationLayer layer(4);
  Conversation c(layer);
  // Copies that differ, all after a hole.
  for (unsigned direction = 0; direction < 2; direction++) {
    c.syn(direction);
    for (uint32_t i = 0; i < 8; i++) {
      c.at(direction, 1 + i, std::string(8000, static_cast<char>('0' + i)));
      EXPECT_LE(layer.statistics().head_bytes, (16u << 10) + 2 * sizeof(StreamHead));
    }
  }
  EXPECT_GE(layer.statistics().heads_dropped, 1u);
  EXPECT_EQ(c.result(), "unknown");
}

TEST(ApplicationLayerSegments, AFlowMayHoldTwoWholeHeads) {
  ApplicationLayer layer(4);
  Conversation c(layer);
  const std::string after_a_hole(FM_HEAD_BYTES - 1, 'x');
  c.syn(0).at(0, 1, after_a_hole).syn(1).at(1, 1, after_a_hole).at(0, 0, "y");
  c.at(1, FM_HEAD_BYTES, kOk);
  EXPECT_EQ(c.result(), "HTTP 0/1 NONE 200 0");
}

TEST(ApplicationLayerSegments, FreesItsMemoryWhenAHeadIsDroppedInTheMiddle) {
  // Every new head drops an older one, of other flows and of its own.
  ApplicationLayer layer(64, 1200);
  std::vector<std::unique_ptr<Conversation>> all;
  for (int i = 0; i < 50; i++) {
    all.push_back(std::make_unique<Conversation>(layer));
    all.back()->syn(0).syn(1).send(0, "GET /a").send(1, "HTTP/1.1 ").at(1, 50, "parked");
    all[static_cast<size_t>(i) / 2]->send(0, "b").send(1, "200 ");
  }
  EXPECT_LE(layer.statistics().head_bytes, 1200u);
  all.clear();
  EXPECT_EQ(layer.statistics().heads, 0u);
  EXPECT_EQ(layer.statistics().head_bytes, 0u);
}

}  // namespace
}  // namespace flowmeter::testing
