// SPDX-License-Identifier: BSD-3-Clause
#include "golden/golden_cases.h"

#include "flowmeter/packet.h"
#include "support/capture_writer.h"

namespace flowmeter::testing {
namespace {

constexpr double kStart = 1'600'000'000;

Packet client(size_t payload, uint8_t flags = FM_ACK) {
  return ipv4("192.0.2.10", "198.51.100.1").tcp(50000, 443, flags, 64240).payload(payload);
}
Packet server(size_t payload, uint8_t flags = FM_ACK) {
  return ipv4("198.51.100.1", "192.0.2.10").tcp(443, 50000, flags, 65160).payload(payload);
}

// A whole connection, one that is reset, one that is reopened on the same ports, and one with
// stragglers.
std::vector<uint8_t> tcp_lifecycle() {
  std::vector<TimedFrame> f;
  double t = kStart;
  const auto add = [&](const Packet& p, double after) { f.push_back(p.at(t += after)); };
  add(client(0, FM_SYN).tcp_options(20), 0);
  add(server(0, FM_SYN | FM_ACK).tcp_options(20), 0.03125);
  add(client(0).pad_to(60), 0.03125);
  add(client(517, FM_ACK | FM_PSH), 0.0078125);
  for (int i = 0; i < 6; i++) add(server(1448).tcp_options(12), 0.015625);
  add(server(300, FM_ACK | FM_PSH).tcp_options(12), 0.015625);
  add(client(0).pad_to(60), 0.25);
  add(client(100, FM_ACK | FM_PSH), 7.5);
  add(client(0, FM_FIN | FM_ACK).pad_to(60), 0.5);
  add(server(0, FM_FIN | FM_ACK).pad_to(60), 0.0625);
  add(client(0).pad_to(60), 0.0625);
  add(server(0, FM_RST).pad_to(60), 4.75);   // a straggler
  add(client(0, FM_SYN).pad_to(74), 0.125);  // reopened on the same ports
  add(server(0, FM_RST | FM_ACK).pad_to(60), 0.125);
  add(server(0, FM_RST | FM_ACK).pad_to(60), 5.5);  // after the linger time: another flow
  return pcap(f, {true, false});
}

// Idle and active time-outs and the gaps of 1 s and 5 s, each at its limit and one nanosecond
// above.
std::vector<uint8_t> limits() {
  std::vector<TimedFrame> f;
  constexpr uint64_t kS = 1'000'000'000, start = 1'600'000'000 * kS;
  const auto udp = [](uint16_t port) {
    return ipv4("192.0.2.10", "198.51.100.1").udp(port, 53).payload(port % 100);
  };
  const uint64_t gaps[] = {kS,      kS + 1,      5 * kS,   5 * kS + 1,
                           60 * kS, 60 * kS + 1, 240 * kS, 240 * kS + 1};
  uint16_t port = 1000;
  for (const uint64_t gap : gaps) {
    port++;
    f.push_back(udp(port).at_ns(start));
    f.push_back(udp(port).at_ns(start + 5));
    f.push_back(udp(port).reversed().at_ns(start + 5 + gap));
    f.push_back(udp(port).at_ns(start + 5 + gap + 1));
    // ICMP flows have no ports in their rows; the address tells them apart.
    const auto echo =
        ipv4("192.0.2.10", "203.0.113." + std::to_string(port % 100)).icmp(8, 0, port);
    f.push_back(echo.at_ns(start));
    f.push_back(echo.at_ns(start + gap));
  }
  for (uint64_t i = 0; i <= 18; i++) {  // the active time-out
    f.push_back(udp(2000).reversed().at_ns(start + i * 100 * kS));
    f.push_back(udp(2001).at_ns(start + i * 100 * kS));
  }
  f.push_back(udp(2001).reversed().at_ns(start + 1800 * kS + 1));
  f.push_back(udp(2001).at_ns(start + 1800 * kS + 2));
  return pcapng(f);
}

// All link layers around one conversation, IPv6 with extension headers, fragments, ICMP, and one
// frame of each class.
std::vector<uint8_t> layers() {
  Pcapng file(ByteOrder::kBig);
  const uint32_t links[] = {1, 0, 9, 12, 14, 101, 108, 113, 228, 229, 276, 105};
  for (const uint32_t link : links) file.interface(link, 9, 1'600'000'000);
  uint64_t time = 0;
  const auto add = [&](const Packet& p) {
    const Frame frame = p;
    uint32_t interface = 0;
    while (links[interface] != frame.link_type) interface++;
    file.enhanced(frame, time += 125'000'000, interface);
  };
  const auto four = [] { return ipv4("10.0.0.1", "10.0.0.2").udp(5000, 53).payload(20); };
  const auto six = [] { return ipv6("2001:db8::1", "2001:db8::2").udp(5000, 53).payload(20); };
  for (const uint32_t link : {1u, 0u, 9u, 12u, 14u, 101u, 108u, 113u, 228u, 276u, 105u})
    add(four().link(link));
  for (const uint32_t link : {1u, 0u, 9u, 12u, 14u, 101u, 108u, 113u, 229u, 276u})
    add(six().reversed().link(link));
  add(four().vlan());
  add(four().qinq());
  add(four().vlan().vlan().vlan().vlan());
  add(four().vlan().vlan().vlan().vlan().vlan());
  add(four().mpls(1));
  add(four().mpls(8));
  add(four().mpls(9));
  add(four().pppoe());
  add(four().link(9).hdlc());
  add(four().network_type(0x0806));
  add(four().pad_to(80));
  add(four().cut_to(42));
  add(four().cut_to(41));
  add(four().ip_length(49));
  add(four().ip_length(0).pad_to(90));
  add(four().ip_options(24));
  add(ipv4("10.0.0.1", "10.0.0.2").protocol(47).payload(30));
  add(six().extension(0).extension(60, 24).extension(43));
  add(six().extension(51, 16));
  add(six().atomic_fragment(9));
  add(ipv4("10.0.0.1", "10.0.0.3").protocol(17).middle_fragment(2, 77).payload(8));
  add(ipv4("10.0.0.1", "10.0.0.3").udp(6000, 53).payload(8).first_fragment(77));
  add(ipv4("10.0.0.1", "10.0.0.3").protocol(17).middle_fragment(2, 77).payload(8));
  add(ipv4("10.0.0.1", "10.0.0.3").protocol(17).last_fragment(3, 77).payload(5));
  add(ipv6("2001:db8::1", "2001:db8::3").tcp(6000, 80, FM_ACK).payload(12).first_fragment(78));
  add(ipv6("2001:db8::1", "2001:db8::3").protocol(60).last_fragment(4, 78).payload(12));
  add(ipv4("10.0.0.1", "10.0.0.2").icmp(8, 0, 1).payload(56));
  add(ipv4("10.0.0.2", "10.0.0.1").icmp(0, 0, 1).payload(56));
  add(ipv4("10.0.0.2", "10.0.0.1").icmp(3, 3).payload(28));
  add(ipv6("fe80::1", "ff02::1:ff00:2").icmp(135, 0).payload(16));
  add(ipv6("::1", "::ffff:192.0.2.1").icmp(129, 0, 5));
  file.simple(four().payload(1));
  return file.bytes();
}

// A clock that steps back: by a little inside flows, and so far that a flow continues before its
// start.
std::vector<uint8_t> clock_steps() {
  std::vector<TimedFrame> f;
  const double steps[] = {0, 0.5, 0.25, 3, -2, 0.75, 6, -10, 2, 7.5, 0.125, -0.125, 300, -1000, 1};
  double t = kStart;
  for (const double step : steps) {
    t += step;
    f.push_back(client(200, FM_ACK | FM_PSH).at(t));
    f.push_back(server(static_cast<size_t>(100 + f.size())).at(t - 0.0625));
  }
  f.push_back(client(0, FM_FIN).at(t - 500));
  f.push_back(server(0, FM_FIN).at(t - 400));
  f.push_back(client(0, FM_SYN).at(t - 2000));
  f.push_back(client(7).at(t - 1000));
  return pcap(f, {false, true});
}

}  // namespace

std::vector<GoldenCase> golden_cases() {
  return {{"tcp-lifecycle", tcp_lifecycle()},
          {"limits", limits()},
          {"layers", layers()},
          {"clock-steps", clock_steps()}};
}

}  // namespace flowmeter::testing
