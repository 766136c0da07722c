// SPDX-License-Identifier: BSD-3-Clause
// The application layer as a whole: what is looked at, in which order, and what a flow has in the
// end. A row is a claim and the packets that show it; directions are 0 (forward) and 1.
#include "application/application_layer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "application/messages.h"

namespace flowmeter::testing {
namespace {

const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kOk = "HTTP/1.1 200 OK\r\n\r\n";

struct Row {
  const char* claim;
  std::function<void(Conversation&)> packets;
  const char* expected;
};

void check(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
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

std::string get(size_t number) {
  return "GET /" + std::to_string(number) + " HTTP/1.1\r\n\r\n";
}

// The retry of TLS 1.3: HelloRetryRequest is a ServerHello with a fixed random.
const std::string kRetryRandom =
    "\xCF\x21\xAD\x74\xE5\x9A\x61\x11\xBE\x1D\x8C\x02\x1E\x65\xB8\x91\xC2\xA2\x11\x16\x7A\xBB\x8C"
    "\x5E\x07\x9E\x09\xE2\xC8\xA8\x33\x9C";
std::string hello_retry_request() {
  std::string hello = server_hello(0x1302, {chosen(0x0304)});
  return hello.replace(4 + 2, 32, kRetryRandom);
}

// As the specification has it: a GREASE suite and three more, a GREASE extension and ten more.
std::string modern_client_hello() {
  std::vector<Extension> list = {{0x3a3a}, offered({0x8a8a, 0x0304, 0x0303})};
  for (unsigned type = 1; type < 10; type++) list.push_back({type, "x"});
  return client_hello({0xfafa, 0x1301, 0x1302, 0x1303}, list);
}

TEST(ApplicationLayer, Vectors) {
  check({
      {"a query and its answer",
       [](Conversation& c) { c.datagram(0, query(1)).datagram(1, response(1)); }, "DNS 1/1 1 0"},
      {"AAAA without an answer, then A: what was seen first wins a tie",
       [](Conversation& c) {
         c.datagram(0, query(28)).datagram(1, response(28, 3));
         c.datagram(0, query(1)).datagram(1, response(1));
       },
       "DNS 2/2 28 3"},
      {"two exchanges on one connection",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, kGet).send(1, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
         c.send(1, "0123456789").send(0, "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345");
         c.send(1, "HTTP/1.1 204 No Content\r\n\r\n");
       },
       "HTTP 2/2 GET 200 15"},
      {"100 Continue is a response, too",
       [](Conversation& c) { c.syn(1).send(1, "HTTP/1.1 100 Continue\r\n\r\n").send(1, kOk); },
       "HTTP 0/2 NONE 100 0"},
      {"a request cut in its method",
       [](Conversation& c) { c.syn(0).send(0, "GE").send(0, "T / HTTP/1.1\r\n\r\n"); },
       "HTTP 1/0 GET 0 0"},
      {"the same, exchanged",
       [](Conversation& c) { c.syn(0).at(0, 2, "T / HTTP/1.1\r\n\r\n").at(0, 0, "GE"); },
       "HTTP 1/0 GET 0 0"},
      {"neither FTP nor RTSP is HTTP",
       [](Conversation& c) {
         c.syn(0).send(0, "USER x\r\n").send(0, "OPTIONS rtsp://x RTSP/1.0\r\n\r\n");
       },
       "nothing"},
      {"a request sent twice", [](Conversation& c) { c.syn(0).at(0, 0, kGet).at(0, 0, kGet); },
       "HTTP 1/0 GET 0 0"},
      {"TLS 1.3",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, handshake(modern_client_hello()));
         c.send(1, handshake(server_hello(0x1301, {chosen(0x0304), {51, "key"}})));
         c.send(1, record(0x17, "secret"));
       },
       "TLS 2 0x0304 3 12"},
      {"the same with the ClientHello in two segments, the second one first",
       [](Conversation& c) {
         const std::string hello = handshake(modern_client_hello());
         c.syn(0).syn(1).at(0, 40, hello.substr(40)).at(0, 0, hello.substr(0, 40));
         c.send(1, handshake(server_hello(0x1301, {chosen(0x0304), {51, "key"}})));
       },
       "TLS 2 0x0304 3 12"},
      {"TLS 1.2, all messages in clear",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, handshake(client_hello({0xc02f})));
         c.send(1, handshake(server_hello(0xc02f) + message(11, "certificate")));
         c.send(1, handshake(message(12, "key exchange")) + handshake(message(14, "")));
         c.send(0, handshake(message(16, "key exchange")) + change_cipher_spec() +
                       handshake(std::string(40, '\xee')));
         c.send(1, change_cipher_spec() + handshake(std::string(40, '\x01')));
       },
       "TLS 6 0x0303 1 0"},
      {"a warning before the ServerHello",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, handshake(client_hello({5})));
         c.send(1, warning() + handshake(server_hello(5) + message(14, "")));
       },
       "TLS 3 0x0303 1 0"},
      {"TLS 1.3 with a retry",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, handshake(modern_client_hello()));
         c.send(1, handshake(hello_retry_request()) + change_cipher_spec());
         c.send(0, change_cipher_spec() + handshake(modern_client_hello()));
         c.send(1, handshake(server_hello(0x1301, {chosen(0x0304), {51, "key"}})));
       },
       "TLS 4 0x0304 3 12"},
      {"no answer: the highest version offered",
       [](Conversation& c) { c.syn(0).send(0, handshake(modern_client_hello())); },
       "TLS 1 0x0304 3 10"},
      {"refused: the highest version offered",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, handshake(modern_client_hello())).send(1, fatal());
       },
       "TLS 1 0x0304 3 10"},
      {"an empty record",
       [](Conversation& c) { c.syn(0).send(0, record(0x16, "")).send(0, "more"); }, "nothing"},
      {"a hello that does not end",
       [](Conversation& c) {
         c.syn(0).send(0, u8(0x16) + u16(0x0301) + u16(16000) + u8(1) + u24(15000) + "hello");
       },
       "nothing"},
      {"ten queries on a connection, two of them behind the head; the last one again",
       [](Conversation& c) {
         c.on_port_53().syn(0);
         for (int i = 0; i < 10; i++) c.send(0, framed(query(1)));
         c.at(0, static_cast<uint32_t>(9 * framed(query(1)).size()), framed(query(1)));
       },
       "DNS 10/0 1 0"},
      {"a response first, then a request from its side and one from the other",
       [](Conversation& c) { c.syn(0).syn(1).send(0, kOk).send(0, kGet).send(1, kGet); },
       "HTTP 1/1 GET 200 0"},
      {"behind both heads a ClientHello counts and a ServerHello does not",
       [](Conversation& c) {
         c.syn(0).syn(1).noise(0, 8).noise(1, 8).send(0, handshake(client_hello({5})));
         c.send(1, handshake(server_hello(5)));
       },
       "TLS 1 0x0303 1 0"},
  });
}

TEST(ApplicationLayer, Head) {
  const auto split = [](size_t n) {
    return [n](Conversation& c) {
      c.syn(0);
      const size_t size = (kGet.size() + n - 1) / n;
      for (size_t from = 0; from < kGet.size(); from += size) c.send(0, kGet.substr(from, size));
    };
  };
  const std::string kPost = "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n";
  check({
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
      {"the head ends after 8192 octets, whatever follows",
       [](Conversation& c) {
         c.syn(0).send(0, "QUUX /" + std::string(8176, 'x')).send(0, " HTTP/1.1\r\n");
       },
       "nothing"},
      {"its last octet is looked at",
       [](Conversation& c) {
         c.syn(0).send(0, "QUUX /" + std::string(8175, 'x')).send(0, " HTTP/1.1\n\r\n");
       },
       "HTTP 1/0 QUUX 0 0"},
      {"a known method needs no end of line in the head",
       [](Conversation& c) { c.syn(0).send(0, "GET /" + std::string(9000, 'x')); },
       "HTTP 1/0 GET 0 0"},
      {"the origin is behind the last SYN before the payload",
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
         c.raw({0, Conversation::kSyn[0], 2, true, octets("GE")}).at(0, 2, "T / HTTP/1.1\r\n\r\n");
       },
       "HTTP 1/0 GET 0 0"},
      {"without a SYN the stream begins with what came first",
       [](Conversation& c) { c.at(0, 700, "GE").at(0, 702, "T / HTTP/1.1\r\n\r\n"); },
       "HTTP 1/0 GET 0 0"},
      {"what lies before that is looked at by itself",
       [](Conversation& c) { c.at(0, 700, "xx").at(0, 600, kGet).at(0, 630, "GE"); },
       "HTTP 1/0 GET 0 0"},
      {"before the origin by one octet, reaching into the stream: it gives nothing to that",
       [](Conversation& c) { c.syn(0).at(0, 0xffffffff, ".GE").at(0, 2, "T / HTTP/1.1\r\n\r\n"); },
       "nothing"},
      {"outside of the 8192 octets: at once, by itself",
       [](Conversation& c) {
         c.syn(0).at(0, 8192, kGet).at(0, 9000, "GE").at(0, 9002, "T / HTTP/1.1\r\n\r\n");
       },
       "HTTP 1/0 GET 0 0"},
      {"just inside and without a hole: its stream ends with the head",
       [&](Conversation& c) {
         c.syn(0).send(0, std::string(8191, '.')).send(0, kGet).send(0, kGet);
       },
       "HTTP 1/0 GET 0 0"},
      {"the first copy of an octet wins",
       [](Conversation& c) { c.syn(0).at(0, 0, "GE").at(0, 0, "PUT / HTTP/1.1\r\n\r\n"); },
       "HTTP 1/0 GET 0 0"},
      {"also if it came too early",
       [](Conversation& c) { c.syn(0).at(0, 1, "OLD").at(0, 0, "GET / HTTP/1.1\r\n\r\n"); },
       "nothing"},
      {"and octet by octet: a longer copy gives what is new",
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
      {"a copy that is cut elsewhere begins elsewhere",
       [](Conversation& c) { c.syn(0).at(0, 0, "...." + kGet).at(0, 4, kGet); },
       "HTTP 1/0 GET 0 0"},
      {"the same with more behind it",
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
      {"octets beyond the stated length are not payload",
       [](Conversation& c) { c.syn(0).at(0, 0, "QUUX / HTTP/1.1\r\n\r\n", 4); }, "nothing"},
      {"behind a hole when the head closes: by itself",
       [&](Conversation& c) { c.syn(0).send(0, "..").at(0, 100, kPost).at(0, 200, kGet); },
       "HTTP 2/0 POST 0 7"},
      {"in the order of arrival",
       [&](Conversation& c) { c.syn(0).send(0, "..").at(0, 200, kGet).at(0, 100, kPost); },
       "HTTP 2/0 GET 0 7"},
      {"with its own octets, not those that came first",
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
      {"a segment behind a hole that is filled in time belongs to the stream",
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
      {"a super-packet is one segment; what was not handed over of it is a hole",
       [](Conversation& c) {
         c.syn(0).at(0, 0, kGet, 60000).at(0, 60000, kGet).at(0, 4000, "GET /4 HTTP/1.1\r\n\r\n");
       },
       "HTTP 3/0 GET 0 0"},
  });
}

TEST(ApplicationLayer, LaterSegments) {
  check({
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
      {"1460 octets are looked at",
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
      {"a copy that begins inside of the last header is not looked at",
       [](Conversation& c) {
         c.syn(0).noise(0, 8).at(0, 100, "GET / HTTP/1.1\nGET / HTTP/1.1\n\n");
         c.at(0, 115, "GET / HTTP/1.1\n\n");
       },
       "HTTP 1/0 GET 0 0"},
      {"a ClientHello",
       [](Conversation& c) { c.syn(0).noise(0, 8).send(0, handshake(modern_client_hello())); },
       "TLS 1 0x0304 3 10"},
      {"once a direction",
       [](Conversation& c) {
         c.syn(0).noise(0, 8);
         c.send(0, handshake(modern_client_hello())).send(0, handshake(modern_client_hello()));
       },
       "TLS 1 0x0304 3 10"},
      {"not behind an alert",
       [](Conversation& c) {
         c.syn(0).noise(0, 8).send(0, warning() + handshake(modern_client_hello()));
       },
       "nothing"},
      {"with what follows in its 1460 octets",
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
      {"a ClientHello outside of the 8192 octets is the direction's one walk",
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
      {"the kernel says so: the segments before it were not handed over",
       [](Conversation& c) {
         c.syn(0).send(0, "QUUX / HTTP").at(0, 90, "GET / HTTP/1.1\r\n\r\n", 0, true);
         c.at(0, 11, "/1.1\r\n\r\n", 0, true);
       },
       "HTTP 1/0 GET 0 0"},
  });
}

TEST(ApplicationLayer, Roles) {
  check({
      {"only one side sends requests",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, kGet).send(1, kGet).send(1, kOk).send(0, kOk);
       },
       "HTTP 1/1 GET 200 0"},
      {"behind the heads, too",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, kGet).noise(0, 8).noise(1, 8).send(1, get(1)).send(1, kOk);
         c.send(0, kOk).send(0, get(2));
       },
       "HTTP 2/1 GET 200 0"},
      {"and if the first message comes there",
       [](Conversation& c) {
         c.syn(0).syn(1).noise(0, 8).noise(1, 8).send(1, get(1)).send(0, get(1)).send(0, kOk);
       },
       "HTTP 1/1 GET 200 0"},
      {"a start whose line ends later was first nevertheless",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, "GET /").send(1, get(1)).send(1, get(2)).send(0, " HTTP/1.1\n\n");
       },
       "HTTP 1/0 GET 0 0"},
      {"if it turns out to be one",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, "GET /").send(1, get(1)).send(1, get(2)).send(0, " RTSP/1.0\n\n");
       },
       "HTTP 2/0 GET 0 0"},
      {"a hole on one side decides when the head closes, not when the segment came",
       [](Conversation& c) { c.syn(0).syn(1).at(0, 50, get(1)).send(1, get(2)).send(1, get(3)); },
       "HTTP 2/0 GET 0 0"},
      {"at the end of the flow the forward head closes first",
       [](Conversation& c) { c.syn(0).syn(1).at(1, 50, "PUT / HTTP/1.1\r\n\r\n").at(0, 50, kGet); },
       "HTTP 1/0 GET 0 0"},
      {"after one that closed before",
       [](Conversation& c) {
         c.syn(0).syn(1).at(0, 50, kGet).at(1, 50, "PUT / HTTP/1.1\r\n\r\n").noise(1, 8);
       },
       "HTTP 1/0 PUT 0 0"},
      {"a wrong start is body: it hides nothing",
       [](Conversation& c) {
         const std::string trap = "HTTP/1.1 200 OK\r\nX: \r\n";
         c.syn(0).syn(1).send(0, kGet).send(0, trap).send(0, kGet);
       },
       "HTTP 2/0 GET 0 0"},
  });
}

TEST(ApplicationLayer, Http) {
  check({
      {"one start a segment", [](Conversation& c) { c.syn(0).send(0, kGet + kGet).send(0, kGet); },
       "HTTP 2/0 GET 0 0"},
      {"starts are at the beginning of segments",
       [](Conversation& c) { c.syn(0).send(0, "\r\n" + kGet); }, "nothing"},
      {"of codes seen equally often it is the one seen first, though its header ends later",
       [](Conversation& c) {
         c.at(1, 200, "HTTP/1.1 302 Found\r\n").at(1, 0, "HTTP/1.1 301 Moved\r\n");
         c.at(1, 220, "Location: /\r\n\r\n");
       },
       "HTTP 0/2 NONE 302 0"},
      {"nor is a later one, in the header of whichever message",
       [](Conversation& c) {
         const std::string line = "GET / HTTP/1.1\r\n";
         c.syn(0).send(0, line).send(0, "PUT /x HTTP/1.1\r\n\r\n").send(0, kGet).noise(0, 6);
         c.at(0, static_cast<uint32_t>(line.size()), "PUT /x HTTP/1.1\r\n\r\n");
       },
       "HTTP 2/0 GET 0 0"},
      {"a segment inside of a header is not looked at",
       [](Conversation& c) {
         c.syn(0).send(0, "POST / HTTP/1.1\r\n").send(0, "GET / HTTP/1.1\r\n");
         c.send(0, "Content-Length: 4\r\n\r\n");
       },
       "HTTP 1/0 POST 0 4"},
      {"behind the empty line it is",
       [](Conversation& c) { c.syn(0).send(0, "POST / HTTP/1.1\r\n\r\n").send(0, get(1)); },
       "HTTP 2/0 POST 0 0"},
      {"a header without end in the head hides the rest of it",
       [](Conversation& c) {
         c.syn(0).send(0, "POST / HTTP/1.1\r\n");
         for (size_t i = 0; i < 7; i++) c.send(0, "GET / HTTP/1.1\r\n");
         c.send(0, "GET / HTTP/1.1\r\n\r\n");
       },
       "HTTP 2/0 POST 0 0"},
      {"… for no longer than that",
       [](Conversation& c) { c.syn(0).send(0, "POST / HTTP/1.1\r\n").noise(0, 7).send(0, get(1)); },
       "HTTP 2/0 POST 0 0"},
      {"eight methods are told apart",
       [](Conversation& c) {
         c.syn(0).noise(0, 8);
         for (const char* method : {"GET", "HEAD", "PUT", "POST", "COPY", "MOVE", "LOCK", "TRACE",
                                    "PATCH", "PATCH", "PATCH", "COPY"})
           c.send(0, std::string(method) + " / HTTP/1.1\r\n\r\n");
       },
       "HTTP 12/0 COPY 0 0"},
      {"and eight codes",
       [](Conversation& c) {
         c.syn(0).noise(0, 8);
         for (const char* code :
              {"200", "201", "202", "203", "204", "205", "206", "207", "404", "404", "404", "205"})
           c.send(0, "HTTP/1.1 " + std::string(code) + " \r\n\r\n");
       },
       "HTTP 0/12 NONE 205 0"},
      {"HTTP beside TLS in one direction",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, "CONNECT a:443 HTTP/1.1\r\n\r\n").send(1, kOk);
         c.send(0, handshake(client_hello({5}))).send(1, handshake(server_hello(5)));
       },
       "HTTP 1/1 CONNECT 200 0, TLS 2 0x0303 1 0"},
      {"lengths add up without wrapping",
       [](Conversation& c) {
         c.syn(0).noise(0, 8);
         for (int i = 0; i < 40; i++)
           c.send(0, "PUT / HTTP/1.1\r\nContent-Length: 999999999999999999\r\n\r\n");
       },
       "HTTP 40/0 PUT 0 18446744073709551615"},
  });
}

TEST(ApplicationLayer, Tls) {
  const std::string hello = client_hello({5, 6}, {{1, "x"}, {2, "y"}});
  const std::string reply = server_hello(5, {{1, "x"}});
  check({
      {"STARTTLS: a hello may begin at any segment of the head",
       [&](Conversation& c) { c.syn(0).noise(0, 7).send(0, handshake(hello)); },
       "TLS 1 0x0303 2 2"},
      {"not inside of one", [&](Conversation& c) { c.syn(0).send(0, "." + handshake(hello)); },
       "nothing"},
      {"records part a hello",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello.substr(0, 5)) + warning() +
                              handshake(hello.substr(5, 30)) + handshake(hello.substr(35)));
       },
       "TLS 1 0x0303 2 2"},
      {"even its length",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello.substr(0, 4)));
         c.send(0, handshake(hello.substr(4) + message(16, "").substr(0, 2)));
         c.send(0, handshake(message(16, "").substr(2)));
       },
       "TLS 2 0x0303 2 2"},
      {"only whole messages count, not whole records",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello + message(16, "whole") + message(16, "cut"))
                              .substr(0, hello.size() + 5 + 9 + 6));
       },
       "TLS 2 0x0303 2 2"},
      {"a record of another kind ends the walk",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello) + record(0x17, "x") + handshake(message(16, "")));
       },
       "TLS 1 0x0303 2 2"},
      {"and of another major version",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello) + record(0x16, message(16, ""), 0x0401));
       },
       "TLS 1 0x0303 2 2"},
      {"any minor one will do behind the first record",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello) + record(0x16, message(16, ""), 0x03ff));
       },
       "TLS 2 0x0303 2 2"},
      {"an empty record ends it",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello) + handshake("") + handshake(message(16, "")));
       },
       "TLS 1 0x0303 2 2"},
      {"the longest record does not",
       [&](Conversation& c) {
         c.syn(0).send(0,
                       handshake(hello) + (u8(0x16) + u16(0x0303) + u16(16640)) + message(16, ""));
       },
       "TLS 2 0x0303 2 2"},
      {"a longer one does",
       [&](Conversation& c) {
         c.syn(0).send(0,
                       handshake(hello) + (u8(0x16) + u16(0x0303) + u16(16641)) + message(16, ""));
       },
       "TLS 1 0x0303 2 2"},
      {"a message of a type that is none in clear ends it",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello + message(3, "") + message(16, "")));
       },
       "TLS 1 0x0303 2 2"},
      {"and one of more than 65535 octets",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello + u8(11) + u24(65536) + message(16, "")));
       },
       "TLS 1 0x0303 2 2"},
      {"a fatal alert ends it",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello) + fatal() + handshake(message(16, "")));
       },
       "TLS 1 0x0303 2 2"},
      {"warnings do not, also in the middle of a message",
       [&](Conversation& c) {
         const std::string m = message(16, "abcdef");
         c.syn(0).send(0, handshake(hello) + warning() + warning() + handshake(m.substr(0, 6)) +
                              warning() + handshake(m.substr(6)));
       },
       "TLS 2 0x0303 2 2"},
      {"warnings in front of a hello, cut anywhere",
       [&](Conversation& c) {
         const std::string all = warning() + warning() + handshake(hello);
         c.syn(0).send(0, all.substr(0, 3)).send(0, all.substr(3, 6)).send(0, all.substr(9, 7));
         c.send(0, all.substr(16));
       },
       "TLS 1 0x0303 2 2"},
      {"a warning alone does not use up the walk",
       [&](Conversation& c) {
         c.syn(0).send(0, warning()).send(0, "..").send(0, handshake(hello));
       },
       "TLS 1 0x0303 2 2"},
      {"behind a ChangeCipherSpec: only a whole hello of 0x0303",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello) + change_cipher_spec() + handshake(message(16, "")));
       },
       "TLS 1 0x0303 2 2"},
      {"such a one goes on",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello) + change_cipher_spec() + handshake(hello) +
                              handshake(message(16, "")));
       },
       "TLS 3 0x0303 2 2"},
      {"a second ChangeCipherSpec is no hello",
       [&](Conversation& c) {
         c.syn(0).send(
             0, handshake(hello) + change_cipher_spec() + change_cipher_spec() + handshake(hello));
       },
       "TLS 1 0x0303 2 2"},
      {"of another version it does not",
       [&](Conversation& c) {
         c.syn(0).send(
             0, handshake(hello) + change_cipher_spec() + handshake(client_hello({5}, {}, 0x0302)));
       },
       "TLS 1 0x0303 2 2"},
      {"nor without one",
       [&](Conversation& c) {
         c.syn(0).send(
             0, handshake(hello) + change_cipher_spec() + handshake(message(1, "") + u16(0x0303)));
       },
       "TLS 1 0x0303 2 2"},
      {"nor parted by records",
       [&](Conversation& c) {
         c.syn(0).send(0, handshake(hello) + change_cipher_spec() + handshake(hello.substr(0, 20)) +
                              handshake(hello.substr(20)));
       },
       "TLS 1 0x0303 2 2"},
      {"a ChangeCipherSpec in the middle of a message ends the walk",
       [&](Conversation& c) {
         c.syn(0).send(0,
                       handshake(message(1, client_hello_body({5})) + message(2, "").substr(0, 2)) +
                           change_cipher_spec() + handshake(hello));
       },
       "TLS 1 0x0303 1 0"},
      {"a ChangeCipherSpec in front of the hello: no start",
       [&](Conversation& c) { c.syn(0).send(0, change_cipher_spec() + handshake(hello)); },
       "nothing"},
      {"a ClientHello whose lengths do not fit counts and tells nothing; the next one does",
       [&](Conversation& c) {
         c.syn(0).send(0,
                       handshake(message(1, client_hello_body({5, 6, 7}).substr(0, 42)) + hello));
       },
       "TLS 2 0x0303 2 2"},
      {"the same with ServerHellos: the last that fits",
       [&](Conversation& c) {
         c.syn(1).send(1, handshake(server_hello(7, {{1, ""}, {2, ""}}, 0x0302) + reply +
                                    message(2, server_hello_body(9).substr(0, 30))));
       },
       "TLS 3 0x0303 1 1"},
      {"the first ClientHello and the last ServerHello",
       [&](Conversation& c) {
         c.syn(0).syn(1).send(0, handshake(hello + client_hello({1, 2, 3, 4})));
         c.send(1, handshake(server_hello(9, {{1, ""}, {2, ""}}, 0x0301) + reply));
       },
       "TLS 4 0x0303 2 3"},
      {"both sides send both: the forward ClientHello, the backward ServerHello",
       [&](Conversation& c) {
         c.syn(0).syn(1).send(1, handshake(reply + client_hello({1, 2, 3, 4})));
         c.send(0, handshake(hello + server_hello(9, {{1, ""}, {2, ""}}, 0x0301)));
       },
       "TLS 4 0x0303 2 3"},
      {"a suite that was chosen and not offered",
       [&](Conversation& c) {
         c.syn(0).syn(1).send(0, handshake(hello)).send(1, handshake(server_hello(9)));
       },
       "TLS 2 0x0303 3 2"},
      {"a ServerHello alone", [&](Conversation& c) { c.syn(1).send(1, handshake(reply)); },
       "TLS 1 0x0303 1 1"},
      {"ServerHello before ClientHello on the wire",
       [&](Conversation& c) {
         c.syn(0).syn(1).send(1, handshake(reply)).send(0, handshake(hello));
       },
       "TLS 2 0x0303 2 3"},
      {"a hello that ends with the head's last octet",
       [&](Conversation& c) {
         std::string fill =
             handshake(message(11, std::string(8192 - 18 - handshake(hello).size() * 2, 'c')));
         c.syn(0).send(0, handshake(hello) + handshake(message(16, "")) + fill + handshake(hello));
       },
       "TLS 4 0x0303 2 2"},
      {"one octet later",
       [&](Conversation& c) {
         std::string fill =
             handshake(message(11, std::string(8193 - 18 - handshake(hello).size() * 2, 'c')));
         c.syn(0).send(0, handshake(hello) + handshake(message(16, "")) + fill + handshake(hello));
       },
       "TLS 3 0x0303 2 2"},
      {"the walk does not go on behind a hole",
       [&](Conversation& c) {
         const std::string first = handshake(hello), second = handshake(message(16, "abc"));
         const uint32_t at = static_cast<uint32_t>(first.size());
         c.syn(0).at(0, 0, first).at(0, at + 1, second).at(0, at + 40, handshake(hello));
       },
       "TLS 1 0x0303 2 2"},
  });
}

TEST(ApplicationLayer, Dns) {
  const std::string q = framed(query(1));
  const auto size = static_cast<uint32_t>(q.size());
  check({
      {"of a datagram 512 octets are looked at",
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
      {"also one that can be seen to be when its end has not come",
       [&](Conversation& c) {
         c.on_port_53().syn(0).send(0, q + u16(11)).noise(1, 1);
         for (int i = 0; i < 10; i++) c.at(0, 1000, q);
       },
       "DNS 1/0 1 0"},
      {"by its name, too",
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
      {"one behind the head needs exactly one question",
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

TEST(ApplicationLayer, WhatIsLostIsUnknown) {
  check({
      {"a record was lost", [](Conversation& c) { c.syn(0).send(0, kGet).lost(); },
       "HTTP 1/0 GET 0 0, unknown"},
      {"the only one", [](Conversation& c) { c.lost(); }, "unknown"},
  });
}

TEST(ApplicationLayer, GivesUpTheOldestHead) {
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

TEST(ApplicationLayer, KeepsOnlyWhatIsUnfinished) {
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

TEST(ApplicationLayer, AFlowHoldsAtMost16KiB) {
  ApplicationLayer layer(4);
  Conversation c(layer);
  // Copies that differ, all behind a hole.
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

TEST(ApplicationLayer, AFlowMayHoldTwoWholeHeads) {
  ApplicationLayer layer(4);
  Conversation c(layer);
  const std::string behind_a_hole(kHeadOctets - 1, 'x');
  c.syn(0).at(0, 1, behind_a_hole).syn(1).at(1, 1, behind_a_hole).at(0, 0, "y");
  c.at(1, kHeadOctets, kOk);
  EXPECT_EQ(c.result(), "HTTP 0/1 NONE 200 0");
}

TEST(ApplicationLayer, FreesItsMemoryWhenAHeadIsDroppedInTheMiddle) {
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
