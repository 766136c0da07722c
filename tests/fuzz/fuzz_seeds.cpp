// SPDX-License-Identifier: BSD-3-Clause
// fuzz_seeds DIRECTORY: writes seed inputs for the fuzzers to DIRECTORY/parse, DIRECTORY/capture
// and so on.
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "application/messages.h"
#include "flowmeter/packet.h"
#include "golden/golden_cases.h"
#include "support/capture_writer.h"

namespace {

using namespace flowmeter;
using namespace flowmeter::testing;

std::vector<Packet> packets() {
  const auto four = [] { return ipv4("10.0.0.1", "10.0.0.2").udp(5000, 53).payload(20); };
  const auto six = [] { return ipv6("2001:db8::1", "2001:db8::2").udp(5000, 53).payload(20); };
  std::vector<Packet> all = {
      ipv4("10.0.0.1", "10.0.0.2").tcp(1, 2, FM_SYN).tcp_options(20),
      ipv4("10.0.0.1", "10.0.0.2").icmp(8, 0, 1).payload(8),
      four().ip_options(12),
      four().ip_length(0).pad_to(70),
      four().first_fragment(),
      ipv4("10.0.0.1", "10.0.0.2").protocol(17).last_fragment(3).payload(8),
      ipv4("10.0.0.1", "10.0.0.2").protocol(47).payload(8),
      four().vlan(),
      four().vlan().vlan().vlan().vlan().vlan(),
      four().mpls(3),
      four().pppoe(),
      six().extension(0).extension(43, 24).extension(60),
      six().extension(51, 16),
      six().first_fragment(),
      ipv6("2001:db8::1", "2001:db8::2").protocol(60).last_fragment(3).payload(8),
      ipv6("fe80::1", "fe80::2").icmp(128, 0, 1).payload(8),
  };
  for (const uint32_t link : {0u, 9u, 12u, 14u, 101u, 108u, 113u, 228u, 276u})
    all.push_back(four().link(link));
  for (const uint32_t link : {0u, 9u, 101u, 113u, 229u, 276u}) all.push_back(six().link(link));
  return all;
}

// parse_fuzz.cpp describes the four bytes before the frame.
std::vector<uint8_t> parse_seed(const Frame& frame) {
  const uint32_t links[] = {0, 1, 9, 12, 14, 101, 108, 113, 228, 229, 276, 105};
  uint8_t number = 0;
  while (links[number] != frame.link_type) number++;
  std::vector<uint8_t> bytes = {number, 0, 0, 0};
  bytes.insert(bytes.end(), frame.bytes.begin(), frame.bytes.end());
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || argv[1][0] == '-') {
    const bool help = argc == 2 && std::strcmp(argv[1], "--help") == 0;
    std::fprintf(help ? stdout : stderr, "usage: fuzz_seeds DIRECTORY\n");
    return help ? 0 : 2;
  }
  const std::filesystem::path directory = argv[1];
  for (const char* kind :
       {"parse", "capture", "http_fuzz", "tls_fuzz", "dns_fuzz", "application_fuzz"})
    std::filesystem::create_directories(directory / kind);
  unsigned number = 0;
  bool written = true;
  const auto put = [&](const char* kind, const std::vector<uint8_t>& bytes) {
    written &= write_file(directory / kind / std::to_string(number++), bytes);
  };
  std::vector<TimedFrame> ethernet;
  for (const Packet& packet : packets()) {
    const Frame frame = packet;
    put("parse", parse_seed(frame));
    put("capture", pcap({{number * 1'000'000'000ull, frame}}, {number % 2 == 0, number % 3 == 0}));
    if (frame.link_type == 1) ethernet.push_back({number * 1'000'000'000ull, frame});
  }
  put("capture", pcap(ethernet));
  put("capture", pcapng(ethernet));
  const Frame one = packets()[0];
  put("capture", Pcapng(ByteOrder::kBig)
                     .interface(1, 9, -5)
                     .interface(1, 0x8a)
                     .enhanced(one, 7, 1)
                     .simple(one)
                     .obsolete(one, 9)
                     .block(5, 8)
                     .section(ByteOrder::kLittle)
                     .interface(1, 0)
                     .enhanced(one, ~0ull)
                     .bytes());
  for (const GoldenCase& golden : golden_cases()) put("capture", golden.capture);

  const std::string get = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n12345";
  const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length : 5\t\n\n12345";
  const std::string client =
      warning() + handshake(client_hello({0x0a0a, 5, 6}, {offered({0x0304, 0x0303}), {1, "x"}}));
  const std::string hello = server_hello(5, {chosen(0x0304)});
  const std::string server = handshake(hello.substr(0, 20)) + handshake(hello.substr(20)) +
                             change_cipher_spec() + handshake(hello + message(14, ""));
  const auto put_text = [&](const char* kind, const std::string& text) {
    put(kind, {text.begin(), text.end()});
  };
  for (const std::string& text : {get, ok}) put_text("http_fuzz", text);
  for (const std::string& text : {client, server}) put_text("tls_fuzz", u8(9) + text);
  for (const std::string& text : {query(28), response(1, 3)}) put_text("dns_fuzz", text);
  // application_fuzz.cpp describes the format of these packets.
  std::string packets = u8(0);
  for (const std::string& text : {get, ok, client, server, framed(query(1))})
    for (const unsigned flags : {0x48u, 0x42u, 0x44u, 0x11u})
      packets += u8(flags) + u16(0) + u16(text.size()) + text;
  put_text("application_fuzz", packets);
  if (!written) std::fprintf(stderr, "cannot write to %s\n", argv[1]);
  return written ? 0 : 1;
}
