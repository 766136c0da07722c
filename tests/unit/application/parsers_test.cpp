// SPDX-License-Identifier: BSD-3-Clause
// The parsers of HTTP start lines and headers, TLS hellos and DNS messages; and the test of a
// segment's first bytes, which must not miss anything that a parser would take.
#include <gtest/gtest.h>

#include <random>

#include "application/messages.h"

namespace flowmeter::testing {
namespace {

// ---- HTTP ----

// "no", "more", or "method/code content-length header bytes".
std::string http(std::string_view text, Extent extent = Extent::kAll) {
  HttpMessage m;
  switch (parse_http(bytes(text), extent, &m)) {
    case Verdict::kNo:
      return "no";
    case Verdict::kMore:
      return "more";
    case Verdict::kYes:
      break;
  }
  return (m.request ? m.method.text() : std::to_string(m.code)) + " " +
         std::to_string(m.content_length) + " " + std::to_string(m.header_bytes);
}

TEST(ParseHttp, StartLines) {
  const struct {
    const char* text;
    const char* expected;
  } rows[] = {
      {"GET / HTTP/1.1\r\n\r\n", "GET 0 18"},
      {"GET / HTTP/1.0\n\n", "GET 0 16"},
      {"GET /", "GET 0 5"},
      {"GET / HTTP/1.1", "GET 0 14"},
      {"GET / HTTP/1.2\r\n", "no"},
      {"GET / HTTP/2.0\r\n", "no"},
      {"GET /\r\n", "no"},
      {"GET / HTTP/1.1 \r\n", "no"},
      {"GET /HTTP/1.1\r\n", "no"},
      {"GET  / HTTP/1.1\r\n", "no"},
      {"GET \r", "no"},
      {"GET", "no"},
      {"GET ", "no"},
      {"get / HTTP/1.1\r\n", "no"},
      {" GET / HTTP/1.1\r\n", "no"},
      {"GET\t/ HTTP/1.1\r\n", "no"},
      {"UNSUBSCRIBE x", "UNSUBSCRIBE 0 13"},
      {"PROPPATCH x", "PROPPATCH 0 11"},
      {"REPORT x", "REPORT 0 8"},
      {"M-SEARCH * HTTP/1.1\r\n\r\n", "M-SEARCH 0 23"},
      {"M-SEARCH * HTTP/1.1", "no"},
      {"A_B-C x HTTP/1.1\n", "A_B-C 0 17"},
      {"-AB x HTTP/1.1\n", "no"},
      {"AB x HTTP/1.1\n", "no"},
      {"ABC x HTTP/1.1\n", "ABC 0 15"},
      {"ABCDEFGHIJKLMNOP x HTTP/1.1\n", "ABCDEFGHIJKLMNOP 0 28"},
      {"ABCDEFGHIJKLMNOPQ x HTTP/1.1\n", "no"},
      {"ABC1 x HTTP/1.1\n", "no"},
      {"HTTP/1.1 200 OK\r\n\r\n", "200 0 19"},
      {"HTTP/1.1 200\r\n\r\n", "200 0 16"},
      {"HTTP/1.0 404\n\n", "404 0 14"},
      {"HTTP/1.9 999 ", "999 0 13"},
      {"HTTP/1.1 200", "no"},
      {"HTTP/1.1 2000", "no"},
      {"HTTP/1.1 099 x\r\n", "no"},
      {"HTTP/1.1 20x OK\r\n", "no"},
      {"HTTP/1.1  200 OK\r\n", "no"},
      {"HTTP/1.x 200 OK\r\n", "no"},
      {"HTTP/2 200\r\n", "no"},
      {"http/1.1 200 OK\r\n", "no"},
      {"HTTP x HTTP/1.1\r\n\r\n", "HTTP 0 19"},
      {"", "no"},
  };
  for (const auto& row : rows) EXPECT_EQ(http(row.text), row.expected) << row.text;
}

TEST(ParseHttp, ContentLength) {
  const struct {
    const char* header;
    const char* value;
  } rows[] = {
      {"Content-Length: 10\r\n\r\n", "10"},
      {"content-LENGTH:10\n\n", "10"},
      {"Content-Length \t:\t 10 \t\r\n\r\n", "10"},
      {"Content-Length: 0010\r\n\r\n", "10"},
      {"Content-Length: 999999999999999999\r\n\r\n", "999999999999999999"},
      {"Content-Length: 1000000000000000000\r\n\r\n", "0"},
      {"Content-Length: -1\r\n\r\n", "0"},
      {"Content-Length: +1\r\n\r\n", "0"},
      {"Content-Length: 1, 1\r\n\r\n", "0"},
      {"Content-Length: 0x10\r\n\r\n", "0"},
      {"Content-Length:\r\n\r\n", "0"},
      {"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "1"},
      {"Content-Length: x\r\nContent-Length: 2\r\n\r\n", "0"},
      {"Content-Length 1\r\nContent-Length: 2\r\n\r\n", "2"},
      {"Content-Lengths: 1\r\nContent-Length: 2\r\n\r\n", "2"},
      {"X-Content-Length: 1\r\n\r\n", "0"},
      {" Content-Length: 1\r\n\r\n", "0"},
      {"A: b\r\nContent-Length: 3\r\n", "3"},
      {"A: b\r\nContent-Length: 3\r", "0"},
      {"A: b\r\n\r\nContent-Length: 3\r\n\r\n", "0"},
      {"A: b\n\nContent-Length: 3\r\n\r\n", "0"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(http(std::string("PUT / HTTP/1.1\r\n") + row.header)
                  .substr(4)
                  .substr(0, std::string(row.value).size() + 1),
              std::string(row.value) + " ")
        << row.header;
}

// A verdict on a prefix holds for every continuation.
TEST(ParseHttp, AVerdictOnABeginningStands) {
  for (const std::string whole :
       {"PUT /target HTTP/1.1\r\nA: b\r\nContent-Length: 3\r\n\r\nbody", "GET /x RTSP/1.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbody", "HTTPX / HTTP/1.1\n\n",
        "FOO bar\r\n"}) {
    const std::string expected = http(whole, Extent::kSoFar);
    EXPECT_NE(expected, "more");
    bool decided = false;
    for (size_t n = 0; n <= whole.size(); n++) {
      const std::string verdict = http(whole.substr(0, n), Extent::kSoFar);
      if (decided || verdict != "more") {
        decided = true;
        EXPECT_EQ(verdict, expected) << whole.substr(0, n);
      }
    }
  }
}

// ---- TLS ----

std::string client(std::string_view body) {
  ClientHello hello;
  if (!parse_client_hello(bytes(body), &hello)) return "no";
  char version[8];
  std::snprintf(version, sizeof version, "%04x", hello.version);
  return std::string(version) + " " + std::to_string(hello.suites) + " " +
         std::to_string(hello.extensions);
}

std::string server(std::string_view body) {
  ServerHello hello;
  if (!parse_server_hello(bytes(body), &hello)) return "no";
  char text[16];
  std::snprintf(text, sizeof text, "%04x %04x", hello.version, hello.suite);
  return std::string(text) + " " + std::to_string(hello.extensions);
}

TEST(ParseTls, ClientHello) {
  const std::string plain = client_hello_body({5, 6});
  const auto with = [](const std::vector<Extension>& list) { return client_hello_body({5}, list); };
  std::vector<unsigned> many;
  for (unsigned i = 0; i < 600; i++) many.push_back(0x1000 + i);
  std::vector<Extension> long_list(255, Extension{0x2a2a});
  long_list.push_back({7});
  long_list.push_back({8});
  const std::string two = client_hello_body({5}, {{1, "abc"}, {2, "def"}});
  std::string short_block = two;
  // The second extension says that it is longer than the block.
  short_block[two.size() - 4] = 4;
  const struct {
    const char* claim;
    std::string body, expected;
  } rows[] = {
      {"no extensions", plain, "0303 2 0"},
      {"SSL 3", client_hello_body({5}, {}, 0x0300), "0300 1 0"},
      {"suites that occur twice count once", client_hello_body({6, 5, 6, 5, 5}), "0303 2 0"},
      {"signalling values count", client_hello_body({0x00ff, 0x5600, 5}), "0303 3 0"},
      {"GREASE does not", client_hello_body({0x0a0a, 0xfafa, 0x0afa, 0x1a1b}), "0303 2 0"},
      {"none", client_hello_body({}), "0303 0 0"},
      {"512 suites are looked at", client_hello_body(many), "0303 512 0"},
      {"extensions that occur twice count twice", with({{1}, {1}}), "0303 1 2"},
      {"256 extensions are looked at, GREASE included", with(long_list), "0303 1 1"},
      {"the highest version offered", with({offered({0x0302, 0x0304, 0x0303})}), "0304 1 1"},
      {"without GREASE", with({offered({0xfafa, 0x0303})}), "0303 1 1"},
      {"nothing but GREASE: the legacy version", with({offered({0xfafa})}), "0303 1 1"},
      {"standards before drafts", with({offered({0x7f1c, 0x0301, 0xfb1a})}), "0301 1 1"},
      {"drafts, if there is nothing else", with({offered({0x7f1c, 0x7f17})}), "7f1c 1 1"},
      {"a list that is longer than its extension", with({{43, u8(9) + u16(0x0304)}}), "0304 1 1"},
      {"an empty extension", with({{43}}), "0303 1 1"},
      {"half a version", with({{43, u8(1) + "x"}}), "0303 1 1"},
      {"an extension beyond the block is not counted", short_block, "0303 1 1"},
      {"bytes after the block", with({{1}}) + "tail", "0303 1 1"},
      {"one byte where the block's length should be", plain + "x", "0303 2 0"},
      {"a block beyond the message", plain + u16(1), "no"},
      {"an empty block", plain + u16(0), "0303 2 0"},
      {"nothing", "", "no"},
  };
  for (const auto& row : rows) EXPECT_EQ(client(row.body), row.expected) << row.claim;
  for (size_t n = 0; n < plain.size(); n++) EXPECT_EQ(client(plain.substr(0, n)), "no") << n;
}

TEST(ParseTls, ServerHello) {
  const std::string plain = server_hello_body(0xc02f);
  EXPECT_EQ(server(plain), "0303 c02f 0");
  EXPECT_EQ(server(server_hello_body(1, {chosen(0x0304), {51, "key"}})), "0304 0001 2");
  EXPECT_EQ(server(server_hello_body(1, {chosen(0x7f1c)})), "7f1c 0001 1");
  EXPECT_EQ(server(server_hello_body(1, {{43, "x"}, {0x1a1a}})), "0303 0001 1");
  EXPECT_EQ(server(server_hello_body(1, {}, 0x0301)), "0301 0001 0");
  EXPECT_EQ(server(plain + u16(1)), "no");
  for (size_t n = 0; n < plain.size(); n++) EXPECT_EQ(server(plain.substr(0, n)), "no") << n;
}

TEST(ParseTls, Start) {
  const std::string hello = handshake(client_hello({5}));
  const auto start = [](std::string_view text, TlsStart where = TlsStart::kInHead) {
    uint32_t skip = 0;
    const Verdict verdict = tls_start(bytes(text), where, &skip);
    return verdict == Verdict::kYes    ? "yes " + std::to_string(skip)
           : verdict == Verdict::kMore ? "more"
                                       : "no";
  };
  const auto header = [](unsigned type, unsigned version, unsigned record, unsigned kind,
                         unsigned length) {
    return u8(type) + u16(version) + u16(record) + u8(kind) + u24(length);
  };
  EXPECT_EQ(start(hello), "yes 0");
  EXPECT_EQ(start(warning() + warning() + hello), "yes 14");
  EXPECT_EQ(start(warning() + hello, TlsStart::kLater), "no");
  EXPECT_EQ(start(fatal() + hello), "no");
  for (size_t n = 0; n < 7 + 9; n++)
    EXPECT_EQ(start((warning() + hello).substr(0, n)), "more") << n;
  EXPECT_EQ(start(header(0x16, 0x0304, 4, 1, 0)), "yes 0");
  EXPECT_EQ(start(header(0x16, 0x0305, 4, 1, 0)), "no");
  EXPECT_EQ(start(header(0x16, 0x0200, 4, 1, 0)), "no");
  EXPECT_EQ(start(header(0x16, 0x0300, 3, 1, 0)), "no");
  EXPECT_EQ(start(header(0x16, 0x0300, 16640, 1, 65535)), "yes 0");
  EXPECT_EQ(start(header(0x16, 0x0300, 16641, 1, 0)), "no");
  EXPECT_EQ(start(header(0x16, 0x0300, 4, 1, 65536)), "no");
  EXPECT_EQ(start(header(0x16, 0x0300, 4, 2, 0)), "yes 0");
  EXPECT_EQ(start(header(0x16, 0x0300, 4, 2, 0), TlsStart::kLater), "no");
  EXPECT_EQ(start(header(0x16, 0x0300, 4, 3, 0)), "no");
  EXPECT_EQ(start(header(0x17, 0x0300, 4, 1, 0)), "no");
}

// ---- DNS ----

std::string dns(std::string_view text, size_t length) {
  DnsMessage m;
  switch (parse_dns(bytes(text), length, &m)) {
    case Verdict::kNo:
      return "no";
    case Verdict::kMore:
      return "more";
    case Verdict::kYes:
      break;
  }
  return (m.response ? "r" + std::to_string(m.rcode) : "q") + " " + std::to_string(m.questions) +
         " " + std::to_string(m.type);
}

TEST(ParseDns, Messages) {
  const auto named = [](const std::string& name_bytes) {
    return dns_header(0x0100, 1) + name_bytes + u16(16) + u16(1);
  };
  const std::string label63 = u8(63) + std::string(63, 'a');
  const std::string almost = label63 + label63 + label63;  // 192
  const struct {
    const char* claim;
    std::string bytes, expected;
  } rows[] = {
      {"a query", query(28), "q 1 28"},
      {"a response", response(1, 3), "r3 1 1"},
      {"twelve bytes will do", dns_header(0x8005, 0), "r5 0 0"},
      {"eleven will not", dns_header(0x8005, 0).substr(0, 11), "no"},
      {"opcode 6", dns_header(0x3000, 0), "q 0 0"},
      {"opcode 7", dns_header(0x3800, 0), "no"},
      {"32 questions, the first of them looked at", dns_header(0, 32) + question(2), "q 32 2"},
      {"33", dns_header(0, 33) + question(2), "no"},
      {"the root", named(u8(0)), "q 1 16"},
      {"a pointer ends the name", named("\3www\xc0\x0c"), "q 1 16"},
      {"a label of 63", named(label63 + u8(0)), "q 1 16"},
      {"of 64", named(u8(64) + std::string(64, 'a') + u8(0)), "no"},
      {"of the third kind", named(u8(0x80) + std::string(200, 'a') + u8(0)), "no"},
      {"254 bytes of labels", named(almost + u8(61) + std::string(61, 'a') + u8(0)), "q 1 16"},
      {"255", named(almost + u8(62) + std::string(62, 'a') + u8(0)), "no"},
      {"254 and a pointer", named(almost + u8(61) + std::string(61, 'a') + "\xc0\x0c"), "q 1 16"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(dns(row.bytes, row.bytes.size()), row.expected) << row.claim;
  const std::string whole = query(28);
  for (size_t n = 0; n < whole.size(); n++) {
    EXPECT_EQ(dns(whole.substr(0, n), n), "no") << n;
    EXPECT_EQ(dns(whole.substr(0, n), whole.size()), "more") << n;
  }
  // The parser does not wait for bytes that cannot come any more.
  EXPECT_EQ(dns("", 11), "no");
  EXPECT_EQ(dns("", 12), "more");
  const std::string begun = dns_header(0x0100, 1) + "\3";
  EXPECT_EQ(dns(begun, begun.size() + 3 + 1 + 3), "no");
  EXPECT_EQ(dns(begun, begun.size() + 3 + 1 + 4), "more");
}

// ---- the test of the first bytes ----

bool starts(std::string text, bool port_53 = false) {
  const auto n = static_cast<unsigned>(std::min<size_t>(text.size(), FM_START_TEST_BYTES));
  text.resize(FM_START_TEST_BYTES);
  return fm_application_starts(bytes(text).data(), n, port_53) != 0;
}

TEST(ApplicationStarts, TakesStartsAndLittleElse) {
  for (const char* text : {"GET *", "GET / HT", "POST / x", "DELETE /", "OPTIONS ", "SUBSCRIB",
                           "A-B_C /x", "HTTP/1.1 200"})
    EXPECT_TRUE(starts(text)) << text;
  for (const char* text : {"", "G", "GET", "GET ", "GET  /", "GET \r\n", "get / HT", "GE /",
                           "GETx /", "220 ftp", "HTTP/2 2", "SSH-2.0-", "\r\nGET / "})
    EXPECT_FALSE(starts(text)) << text;
  EXPECT_TRUE(starts(handshake(client_hello({5}))));
  EXPECT_FALSE(starts(handshake(server_hello(5))));
  EXPECT_FALSE(starts(record(0x17, "secret")));
  EXPECT_TRUE(starts(framed(query(1)), true));
  EXPECT_FALSE(starts(framed(query(1)), false));
  EXPECT_FALSE(starts(framed(dns_header(0, 2)), true));
}

TEST(ApplicationStarts, MissesNothingThatAParserTakes) {
  std::mt19937_64 engine(1);
  const std::string letters = "AGETHPOS/-_ 1.x\r\n";
  unsigned taken = 0;
  for (int i = 0; i < 300'000; i++) {
    std::string text;
    for (size_t n = engine() % 12; n > 0; n--) text += letters[engine() % letters.size()];
    switch (engine() % 4) {
      case 0:
        text += " HTTP/1.1\n";
        break;
      case 1:
        text = "HTTP/1.1 20" + text;
        break;
      case 2: {
        text = handshake(client_hello({5}));
        text[engine() % 10] = static_cast<char>(engine() % 8);
        break;
      }
      default:
        break;
    }
    uint32_t skip;
    HttpMessage message;
    const bool takes = parse_http(bytes(text), Extent::kAll, &message) == Verdict::kYes ||
                       tls_start(bytes(text), TlsStart::kLater, &skip) == Verdict::kYes;
    taken += takes;
    ASSERT_TRUE(!takes || starts(text)) << text;
  }
  EXPECT_GT(taken, 2'000u);
}

}  // namespace
}  // namespace flowmeter::testing
