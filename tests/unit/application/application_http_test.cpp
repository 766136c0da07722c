// SPDX-License-Identifier: BSD-3-Clause
// HTTP in the application layer: message starts, their values, and which side sends the requests.
#include "application/application_layer.h"

#include <gtest/gtest.h>

#include "application/conversation_rows.h"

namespace flowmeter::testing {
namespace {

TEST(ApplicationLayerHttp, Vectors) {
  check_conversations({
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
      {"a response first, then a request from its side and one from the other",
       [](Conversation& c) { c.syn(0).syn(1).send(0, kOk).send(0, kGet).send(1, kGet); },
       "HTTP 1/1 GET 200 0"},
  });
}

TEST(ApplicationLayerHttp, Roles) {
  check_conversations({
      {"only one side sends requests",
       [](Conversation& c) {
         c.syn(0).syn(1).send(0, kGet).send(1, kGet).send(1, kOk).send(0, kOk);
       },
       "HTTP 1/1 GET 200 0"},
      {"after the heads, too",
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

TEST(ApplicationLayerHttp, Conversations) {
  check_conversations({
      {"one start per segment",
       [](Conversation& c) { c.syn(0).send(0, kGet + kGet).send(0, kGet); }, "HTTP 2/0 GET 0 0"},
      {"starts are at the beginning of segments",
       [](Conversation& c) { c.syn(0).send(0, "\r\n" + kGet); }, "nothing"},
      {"of codes seen equally often the one seen first counts, though its header ends later",
       [](Conversation& c) {
         c.at(1, 200, "HTTP/1.1 302 Found\r\n").at(1, 0, "HTTP/1.1 301 Moved\r\n");
         c.at(1, 220, "Location: /\r\n\r\n");
       },
       "HTTP 0/2 NONE 302 0"},
      {"a later segment in the header of any message is no start",
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
      {"after the empty line it is",
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

}  // namespace
}  // namespace flowmeter::testing
