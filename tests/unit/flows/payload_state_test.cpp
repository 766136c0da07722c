// SPDX-License-Identifier: BSD-3-Clause
// Flows whose payload is read pass from one daemon to the next: as if nothing had happened if the
// first one was stopped. If it was killed, what payload said is unknown.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <map>
#include <random>

#include "application/conversation_rows.h"
#include "base/unique_fd.h"
#include "flows/flow_state_fixture.h"
#include "support/capture_writer.h"

namespace flowmeter::live_flows_testing {
namespace {

using testing::kGet, testing::kOk;

class PayloadState : public FlowStateTest {
 protected:
  PayloadState() : FlowStateTest(with_application()) {}

  static fm_settings with_application() {
    fm_settings s = settings();
    s.with_application = 1;
    s.bulk_min_packets = 2;
    return s;
  }
  fm_packet from(unsigned direction, uint16_t port, uint64_t time_ns) {
    fm_packet p = packet(port, time_ns);
    p.direction = static_cast<uint8_t>(direction);
    return p;
  }
};

// One flow of the random traffic: what both ends send, and how far they are.
struct Talk {
  uint64_t id = 0, packets = 0;
  std::array<std::string, 2> stream;
  std::array<size_t, 2> sent{};
};

class RestartedPayload : public PayloadState {
 protected:
  std::string message(unsigned direction, bool dns) {
    const std::string messages[] = {
        direction ? kOk : kGet,
        direction ? testing::handshake(testing::server_hello(6))
                  : testing::handshake(testing::client_hello({5, 6, 7})),
        "POST /" + std::string(pick(900), 'p') + " HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        std::string(1 + pick(50), '.')};
    if (dns && pick(4) != 0)
      return testing::framed(direction ? testing::response(28, 3) : testing::query(28));
    return messages[pick(std::size(messages))];
  }

  // The payload comes in order, early or twice, in pieces of any size.
  void talk(Talk& flow, uint16_t port, unsigned direction) {
    std::string& stream = flow.stream[direction];
    size_t& sent = flow.sent[direction];
    while (stream.size() < sent + 1000) stream += message(direction, port == 53);
    const size_t size = 1 + pick(pick(2) ? 20 : 600);
    const size_t at = pick(8) == 0 ? pick(sent + 1) : pick(8) == 0 ? sent + pick(100) : sent;
    payload(flow.id, direction, static_cast<uint32_t>(1000 + at), stream.substr(at, size));
    sent = std::max(sent, at == sent || pick(2) ? at + size : sent);
  }

  // What a kernel and its packets do at random, the same for the same seed.
  template <typename Pause>
  std::vector<Row> rows_of(uint64_t seed, Pause&& pause) {
    random_.seed(seed);
    std::vector<Talk> talks(8);
    uint64_t next_id = 1, now = kSecond;
    begin_anew();
    for (uint64_t step = 1; step <= 400; step++) {
      now += 1 + pick(kSecond);
      const size_t number = pick(talks.size());
      const auto port = static_cast<uint16_t>(number == 0 ? 53 : 1000 + number);
      Talk& flow = talks[number];
      const auto direction = static_cast<unsigned>(pick(2));
      if (flow.id && pick(30) == 0) {
        close(flow.id, port, flow.packets, FM_END_IDLE);
        flow = {};
      } else {
        const fm_packet p = from(direction, port, now);
        flow.packets++;
        if (flow.id)
          send(flow.id, p);
        else
          open(flow.id = next_id++, p);
        if (pick(10) != 0) talk(flow, port, direction);
      }
      pause(step, pick(4) == 0);
    }
    flows.settle();
    flows.finish(FM_END_INPUT);
    return sink.rows;
  }

 private:
  uint64_t pick(uint64_t below) { return random_() % below; }
  std::mt19937_64 random_;
};

TEST_F(RestartedPayload, NobodyNoticesAPlannedRestart) {
  uint64_t restarts = 0, heads = 0;
  std::map<std::string, int> kinds;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::vector<Row> expected = rows_of(seed, [](uint64_t, bool) {});
    const std::vector<Row> found = rows_of(seed, [&](uint64_t step, bool now) {
      if (step % 7 == 0) save(step);
      if (!now) return;
      restarts++;
      heads += flows.applications().statistics().heads;
      save(step, LiveFlows::Copied::kAll);
      restart(true);
    });
    ASSERT_EQ(found.size(), expected.size());
    // finish() writes them in the order of their slots.
    EXPECT_TRUE(std::is_permutation(found.begin(), found.end(), expected.begin()));
    for (const Row& row : expected)
      for (const char* kind : {"HTTP", "TLS", "DNS", "bulks 1 "})
        kinds[kind] += row.payload.find(kind) != row.payload.npos;
  }
  EXPECT_GT(restarts, 1000u);
  EXPECT_GT(heads, restarts) << "unfinished messages at a restart";
  for (const auto& [kind, count] : kinds) EXPECT_GT(count, 20) << kind;
}

TEST_F(PayloadState, AfterAKillWhatPayloadSaidIsUnknown) {
  for (const bool exact : {false, true}) {
    SCOPED_TRACE(exact ? "when nothing had happened since the copy" : "under load");
    begin_anew();
    open(1, packet(1000, 1 * kSecond));
    payload(1, 0, 1000, kGet);
    save(1);
    restart(exact);
    send(1, packet(1000, 2 * kSecond));
    payload(1, 0, static_cast<uint32_t>(1000 + kGet.size()), kGet);
    close_announced(1, 1000, 2, FM_END_IDLE);
    ASSERT_EQ(sink.rows.size(), 1u);
    EXPECT_EQ(sink.rows[0].packets, 2u);
    EXPECT_NE(sink.rows[0].payload.find("unknown"), std::string::npos) << sink.rows[0].payload;
  }
}

TEST_F(PayloadState, AFlowThatCameAfterTheRestartIsKnown) {
  open(1, packet(1000, 1 * kSecond));
  save(1);
  restart(false);
  open(2, packet(1001, 2 * kSecond));
  payload(2, 0, 1000, kGet);
  close(2, 1001, 1, FM_END_IDLE);
  ASSERT_EQ(sink.rows.size(), 1u);
  EXPECT_EQ(sink.rows[0].payload.find("HTTP 1/0 GET 0 0, bulks"), 0u) << sink.rows[0].payload;
}

// The next copy does not keep it, so nothing of it stays in the file.
TEST_F(PayloadState, PayloadIsOnlyInTheFileUntilTheNextCopy) {
  const auto is_in_file = [this] {
    const std::vector<uint8_t> bytes = testing::read_file(path());
    return !std::ranges::search(bytes, std::string_view("GET /secret")).empty();
  };
  open(1, packet(1000, 1 * kSecond));
  payload(1, 0, 1000, "GET /secret");
  save(1);
  EXPECT_FALSE(is_in_file());
  save(2, LiveFlows::Copied::kAll);
  EXPECT_TRUE(is_in_file());
  restart(true);
  save(3);
  EXPECT_FALSE(is_in_file());
}

TEST_F(PayloadState, ADamagedFileIsAnError) {
  open(1, packet(1000, 1 * kSecond));
  payload(1, 0, 1000, "GET /unfinished");
  open(2, packet(53, 1 * kSecond));
  payload(2, 0, 1000, testing::framed(testing::query(1)) + "more");
  open(3, packet(1001, 1 * kSecond));
  payload(3, 0, 1000, testing::handshake(testing::client_hello({5, 6, 7})));
  save(1, LiveFlows::Copied::kAll);
  const std::vector<std::byte> rest = *state_file().rest();
  const auto size = static_cast<off_t>(std::filesystem::file_size(path()));
  const off_t rest_at = size - static_cast<off_t>(rest.size());
  const UniqueFd file(::open(path().c_str(), O_RDWR | O_CLOEXEC));
  const auto fails = [this] {
    Status restored = try_restart(true);
    ASSERT_FALSE(restored);
    EXPECT_EQ(restored.error().message(), "the flows' state " + path() + " is damaged");
  };
  std::mt19937_64 random(1);
  for (int i = 0; i < 100; i++) {
    const size_t at = random() % rest.size();
    const std::byte damaged = rest[at] ^ static_cast<std::byte>(1 + random() % 255);
    ASSERT_EQ(::pwrite(file.get(), &damaged, 1, rest_at + static_cast<off_t>(at)), 1);
    fails();
    ASSERT_EQ(::pwrite(file.get(), &rest[at], 1, rest_at + static_cast<off_t>(at)), 1);
  }
  ASSERT_EQ(::ftruncate(file.get(), size - 1), 0);
  fails();
  // A whole copy of something else.
  for (size_t i = 0; i < 100; i++) {
    const size_t part = random() % rest.size();
    ASSERT_TRUE(state_file().end(std::span(rest).first(part), 1));
    fails();
  }
  ASSERT_TRUE(state_file().end(rest, 1));
  restart(true);
  EXPECT_EQ(flows.open_flows(), 3u);
}

}  // namespace
}  // namespace flowmeter::live_flows_testing
