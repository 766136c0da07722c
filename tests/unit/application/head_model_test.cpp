// SPDX-License-Identifier: BSD-3-Clause
// Random conversations, cut, reordered, repeated and lost at random: the application layer against
// the plain model, and the same stream whole against the same stream in pieces.
#include "application/head_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "application/messages.h"

namespace flowmeter::testing {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}
  size_t below(size_t n) { return engine_() % n; }
  bool one_in(size_t n) { return below(n) == 0; }
  template <typename T>
  const T& of(const std::vector<T>& choices) {
    return choices[below(choices.size())];
  }

 private:
  std::mt19937_64 engine_;
};

std::string http(Random& random, bool request) {
  static const std::vector<std::string> requests = {
      "GET / HTTP/1.1\r\n",  "POST /x HTTP/1.0\n",
      "FOO /y HTTP/1.1\r\n", "USER me\r\n",
      "GET /z RTSP/1.0\r\n", "PUT /" + std::string(300, 'p') + " HTTP/1.1\r\n",
      "HEAD /unfinished"};
  static const std::vector<std::string> responses = {"HTTP/1.1 200 OK\r\n", "HTTP/1.0 404\n",
                                                     "HTTP/1.1 100 Continue\r\n", "HTTP/2 200\r\n",
                                                     "HTTP/1.1 099 x\r\n"};
  static const std::vector<std::string> headers = {"Host: a\r\n",
                                                   "Content-Length: 12\r\n",
                                                   "content-length :\t7 \n",
                                                   "Content-Length: x\r\n",
                                                   "X: " + std::string(700, 'x') + "\r\n",
                                                   "GET / HTTP/1.1\r\n"};
  std::string message = random.of(request ? requests : responses);
  for (size_t i = random.below(4); i > 0; i--) message += random.of(headers);
  if (!random.one_in(5)) message += "\r\n";
  return message;
}

std::string tls(Random& random) {
  static const std::vector<std::string> messages = {
      client_hello({0x0a0a, 5, 6, 7}, {offered({0x0304, 0x0303}), {1, "x"}}),
      client_hello({8}),
      server_hello(6, {chosen(0x0304)}),
      server_hello(9),
      message(11, std::string(1500, 'c')),
      message(14, ""),
      message(16, "key"),
      message(3, "not in clear"),
      message(1, "too short")};
  std::string all = random.one_in(4) ? warning() : "";
  std::string joined = random.of(std::vector<std::string>(messages.begin(), messages.begin() + 4));
  for (size_t i = random.below(4); i > 0; i--) joined += random.of(messages);
  while (!joined.empty()) {
    const size_t size = random.one_in(3) ? 1 + random.below(joined.size()) : joined.size();
    all += handshake(joined.substr(0, size));
    joined.erase(0, size);
    if (random.one_in(8)) all += warning();
    if (random.one_in(8)) all += change_cipher_spec();
    if (random.one_in(20)) all += record(0x17, "secret");
  }
  return all;
}

std::string dns(Random& random) {
  std::string m = random.one_in(2) ? query(static_cast<unsigned>(random.below(5)))
                                   : response(static_cast<unsigned>(random.below(5)),
                                              static_cast<unsigned>(random.below(4)));
  if (random.one_in(6)) m = dns_header(0x0100, 0);
  if (random.one_in(15)) m = dns_header(0x7800, 1);
  if (random.one_in(20)) m += std::string(random.below(3000), 'x');
  return framed(m);
}

std::string noise(Random& random) {
  std::string text(1 + random.below(random.one_in(3) ? 2500 : 40), '.');
  if (random.one_in(4)) text[0] = random.of(std::vector<char>{'A', 'H', '\x16', '\x15', 'G'});
  return text;
}

struct Piece {
  uint32_t offset, length;
};

struct Generated {
  std::vector<ModelPacket> packets;
  bool port_53;
};

// With no faults, the segments of a direction are few enough for the head, and in any order.
Generated generate(Random& random, bool faults) {
  Generated g{{}, random.one_in(4)};
  std::vector<ModelPacket> of[2];
  const uint32_t first[2] = {static_cast<uint32_t>(random.below(2) ? 0u - random.below(9000) : 77),
                             static_cast<uint32_t>(random.below(1u << 31))};
  for (unsigned d = 0; d < 2; d++) {
    std::string stream;
    std::vector<uint32_t> cuts = {0};
    for (size_t i = 1 + random.below(faults ? 14 : 6); i > 0; i--) {
      const size_t kind = random.below(10);
      stream += g.port_53 && kind < 7 ? dns(random)
                : kind < 4            ? http(random, (d == 0) != random.one_in(8))
                : kind < 7            ? tls(random)
                                      : noise(random);
      cuts.push_back(static_cast<uint32_t>(stream.size()));
      if (random.one_in(3)) cuts.push_back(static_cast<uint32_t>(random.below(stream.size())));
    }
    std::ranges::sort(cuts);
    std::vector<Piece> pieces;
    for (size_t i = 1; i < cuts.size(); i++)
      if (cuts[i] > cuts[i - 1]) pieces.push_back({cuts[i - 1], cuts[i] - cuts[i - 1]});
    if (faults) {
      const size_t whole = pieces.size();
      for (size_t i = 0; i < whole; i++) {
        // A copy starts where a segment started, and may have another length.
        if (!random.one_in(6)) continue;
        const auto left = static_cast<uint32_t>(stream.size()) - pieces[i].offset;
        pieces.push_back({pieces[i].offset, 1 + static_cast<uint32_t>(random.below(left))});
        std::swap(pieces.back(), pieces[random.below(pieces.size())]);
      }
      for (size_t i = 0; i + 1 < pieces.size(); i++)
        if (random.one_in(6))
          std::swap(pieces[i],
                    pieces[i + 1 + random.below(std::min<size_t>(5, pieces.size() - i - 1))]);
      if (random.one_in(4))
        pieces.erase(pieces.begin() + static_cast<ptrdiff_t>(random.below(pieces.size())));
    }
    const bool syn = !faults || !random.one_in(4);
    if (syn) of[d].push_back({d, first[d], 0, true, ""});
    for (const Piece& p : pieces) {
      std::string captured = stream.substr(p.offset, p.length);
      if (faults && random.one_in(12)) captured.resize(random.below(captured.size() + 1));
      of[d].push_back({d, first[d] + 1 + p.offset, p.length, false, captured});
    }
  }
  size_t next[2] = {0, 0};
  while (next[0] < of[0].size() || next[1] < of[1].size()) {
    const unsigned d = next[0] == of[0].size()   ? 1
                       : next[1] == of[1].size() ? 0
                                                 : static_cast<unsigned>(random.below(2));
    g.packets.push_back(of[d][next[d]++]);
  }
  return g;
}

// pause(conversation) is called after each packet.
template <typename Pause>
std::string layer_result(ApplicationLayer& layer, const Generated& g, Pause&& pause) {
  Conversation c(layer);
  if (g.port_53) c.on_port_53();
  for (const ModelPacket& p : g.packets) {
    c.raw({static_cast<uint8_t>(p.direction), p.sequence, p.length, p.syn, bytes(p.captured)});
    pause(c);
  }
  return c.result();
}

std::string layer_result(ApplicationLayer& layer, const Generated& g) {
  return layer_result(layer, g, [](Conversation&) {});
}

std::string describe(const Generated& g) {
  std::string lines = g.port_53 ? "port 53\n" : "";
  for (const ModelPacket& p : g.packets) {
    std::string start;
    for (const char c : p.captured.substr(0, 24))
      start +=
          c >= ' ' && c <= '~' ? std::string(1, c) : "\\" + std::to_string(static_cast<uint8_t>(c));
    lines += std::to_string(p.direction) + (p.syn ? " SYN " : " ") + std::to_string(p.sequence) +
             "+" + std::to_string(p.length) + " captured " + std::to_string(p.captured.size()) +
             " " + start + "\n";
  }
  return lines;
}

// Whether the model knows more than the layer. If a segment starts inside bytes that had come
// before, where no segment had started, the layer may have dropped those, and takes the bytes of
// the segment instead of the stream's.
bool beyond_the_layer(const Generated& g) {
  for (unsigned d = 0; d < 2; d++) {
    std::vector<Piece> seen;
    for (const ModelPacket& p : g.packets) {
      if (p.direction != d || p.length == 0) continue;
      const auto inside = [&](const Piece& s) { return p.sequence - s.offset - 1 < s.length - 1; };
      if (std::ranges::none_of(seen, [&](const Piece& s) { return s.offset == p.sequence; }) &&
          std::ranges::any_of(seen, inside))
        return true;
      seen.push_back({p.sequence, p.length});
    }
  }
  return false;
}

TEST(HeadModel, TheLayerComesToTheResultsOfTheModel) {
  ApplicationLayer layer(4);
  std::map<std::string, int> kinds;
  for (uint64_t seed = 0; seed < 4000; seed++) {
    Random random(seed);
    const Generated g = generate(random, true);
    if (beyond_the_layer(g)) continue;
    const std::string expected = model_result(g.packets, g.port_53);
    ASSERT_EQ(layer_result(layer, g), expected) << "seed " << seed << "\n" << describe(g);
    for (const char* kind : {"HTTP", "TLS", "DNS", "nothing"})
      kinds[kind] += expected.find(kind) != expected.npos;
  }
  EXPECT_EQ(layer.statistics().heads, 0u);
  for (const auto& [kind, count] : kinds) EXPECT_GT(count, 30) << kind;
}

TEST(HeadModel, AFlowThatGoesOnInAnotherLayerComesToTheSameResult) {
  ApplicationLayer layer(4), first(4), second(4);
  uint64_t with_heads = 0;
  for (uint64_t seed = 0; seed < 4000; seed++) {
    Random random(seed);
    const Generated g = generate(random, true);
    const std::string expected = layer_result(layer, g);
    bool in_second = false;
    const auto restart = [&](Conversation& c) {
      if (random.one_in(3)) return;
      ApplicationLayer& earlier = in_second ? second : first;
      ApplicationLayer& later = in_second ? first : second;
      in_second = !in_second;
      const auto [heads, head_bytes] =
          std::pair(earlier.statistics().heads, earlier.statistics().head_bytes);
      with_heads += heads > 0;
      ASSERT_TRUE(c.continue_in(later, c.saved()));
      later.restored();
      ASSERT_EQ(earlier.statistics().heads, 0u);
      ASSERT_EQ(later.statistics().heads, heads);
      ASSERT_EQ(later.statistics().head_bytes, head_bytes);
    };
    ASSERT_EQ(layer_result(first, g, restart), expected) << "seed " << seed << "\n" << describe(g);
    ASSERT_EQ(first.statistics().heads + second.statistics().heads, 0u);
  }
  EXPECT_GT(with_heads, 1000u);
}

// Any cut and any order within the head gives the result of one segment, unless a cut makes a
// message start where none did.
TEST(HeadModel, CutAndOrderDoNotMatter) {
  const std::string hello =
      handshake(client_hello({0x1301, 0x1302}, {offered({0x0304, 0x0303}), {1, "abc"}}));
  const std::string streams[] = {
      "POST /form HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n12345",
      "HTTP/1.1 404 not found\r\ncontent-length: 5\r\n\r\n12345",
      warning() + hello + handshake(message(16, "key exchange")) + change_cipher_spec(),
      handshake(server_hello(0x1302, {chosen(0x0304)}) + message(11, std::string(40, 'c')) +
                message(14, "")),
  };
  ApplicationLayer layer(4);
  for (const std::string& stream : streams) {
    for (const bool with_syn : {true, false}) {
      const auto result = [&](const std::vector<Piece>& pieces) {
        Conversation c(layer);
        if (with_syn) c.syn(0);
        for (const Piece& p : pieces) c.at(0, p.offset, stream.substr(p.offset, p.length));
        return c.result();
      };
      const auto size = static_cast<uint32_t>(stream.size());
      const std::string whole = result({{0, size}});
      ASSERT_NE(whole, "nothing");
      for (uint32_t cut = 1; cut < size; cut++) {
        ASSERT_EQ(result({{0, cut}, {cut, size - cut}}), whole) << stream << " cut at " << cut;
        if (with_syn) {
          ASSERT_EQ(result({{cut, size - cut}, {0, cut}}), whole) << stream << " cut at " << cut;
        }
        for (uint32_t next = cut + 1; next < size; next += 3) {
          std::vector<Piece> pieces = {{0, cut}, {cut, next - cut}, {next, size - next}};
          std::vector<int> order = {0, 1, 2};
          do {
            if (!with_syn && order[0] != 0) continue;
            ASSERT_EQ(result({pieces[static_cast<size_t>(order[0])],
                              pieces[static_cast<size_t>(order[1])],
                              pieces[static_cast<size_t>(order[2])]}),
                      whole)
                << stream << " cut at " << cut << " and " << next;
          } while (std::next_permutation(order.begin(), order.end()));
        }
      }
    }
  }
}

}  // namespace
}  // namespace flowmeter::testing
