// SPDX-License-Identifier: BSD-3-Clause
// TLS in the application layer: hellos, messages in clear, versions, suites and extensions.
#include "application/application_layer.h"

#include <gtest/gtest.h>

#include "application/conversation_rows.h"

namespace flowmeter::testing {
namespace {

// The retry of TLS 1.3: HelloRetryRequest is a ServerHello with a fixed random.
const std::string kRetryRandom =
    "\xCF\x21\xAD\x74\xE5\x9A\x61\x11\xBE\x1D\x8C\x02\x1E\x65\xB8\x91\xC2\xA2\x11\x16\x7A\xBB\x8C"
    "\x5E\x07\x9E\x09\xE2\xC8\xA8\x33\x9C";
std::string hello_retry_request() {
  std::string hello = server_hello(0x1302, {chosen(0x0304)});
  return hello.replace(4 + 2, 32, kRetryRandom);
}

TEST(ApplicationLayerTls, Vectors) {
  check_conversations({
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
      {"after both heads a ClientHello counts and a ServerHello does not",
       [](Conversation& c) {
         c.syn(0).syn(1).noise(0, 8).noise(1, 8).send(0, handshake(client_hello({5})));
         c.send(1, handshake(server_hello(5)));
       },
       "TLS 1 0x0303 1 0"},
  });
}

TEST(ApplicationLayerTls, Conversations) {
  const std::string hello = client_hello({5, 6}, {{1, "x"}, {2, "y"}});
  const std::string reply = server_hello(5, {{1, "x"}});
  check_conversations({
      {"STARTTLS: a hello may start at any segment of the head",
       [&](Conversation& c) { c.syn(0).noise(0, 7).send(0, handshake(hello)); },
       "TLS 1 0x0303 2 2"},
      {"not inside of one", [&](Conversation& c) { c.syn(0).send(0, "." + handshake(hello)); },
       "nothing"},
      {"records divide a hello",
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
      {"any minor one will do after the first record",
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
      {"and one of more than 65535 bytes",
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
      {"after a ChangeCipherSpec: only a whole hello of 0x0303",
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
      {"nor divided by records",
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
      {"a hello that ends with the head's last byte",
       [&](Conversation& c) {
         std::string fill =
             handshake(message(11, std::string(8192 - 18 - handshake(hello).size() * 2, 'c')));
         c.syn(0).send(0, handshake(hello) + handshake(message(16, "")) + fill + handshake(hello));
       },
       "TLS 4 0x0303 2 2"},
      {"one byte later",
       [&](Conversation& c) {
         std::string fill =
             handshake(message(11, std::string(8193 - 18 - handshake(hello).size() * 2, 'c')));
         c.syn(0).send(0, handshake(hello) + handshake(message(16, "")) + fill + handshake(hello));
       },
       "TLS 3 0x0303 2 2"},
      {"the walk does not go on after a hole",
       [&](Conversation& c) {
         const std::string first = handshake(hello), second = handshake(message(16, "abc"));
         const uint32_t at = static_cast<uint32_t>(first.size());
         c.syn(0).at(0, 0, first).at(0, at + 1, second).at(0, at + 40, handshake(hello));
       },
       "TLS 1 0x0303 2 2"},
  });
}

}  // namespace
}  // namespace flowmeter::testing
