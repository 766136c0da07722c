// SPDX-License-Identifier: BSD-3-Clause
// The server and its socket: answers, clients that are slow or too many, and what is in the place
// of a socket.
#include "metrics/server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/clock.h"

namespace flowmeter {
namespace {

constexpr int kPatienceMs = 60'000;

class MetricsServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/fmtest-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/x.sock";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void serve(uint64_t lifetime_ns = MetricsServer::kLifetimeNs) {
    auto server = MetricsServer::create(lifetime_ns);
    if (!server) GTEST_SKIP() << server.error().message();
    server_ = std::move(*server);
    auto listener = take();
    ASSERT_TRUE(static_cast<bool>(listener)) << listener.error().message();
    listener_ = std::move(*listener);
    Status listens = listener_.listen();
    ASSERT_TRUE(static_cast<bool>(listens)) << listens.error().message();
    Status started = server_->start(listener_);
    ASSERT_TRUE(static_cast<bool>(started)) << started.error().message();
  }
  Result<MetricsListener> take() const {
    MetricsAddress address;
    address.path = path_;
    return MetricsListener::open(address);
  }
  void publish(MetricsSnapshot::State state, uint64_t made_ns = monotonic_ns()) {
    auto snapshot = std::make_shared<MetricsSnapshot>();
    snapshot->state = state;
    snapshot->made_ns = made_ns;
    server_->publish(std::move(snapshot));
  }

  UniqueFd connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return client;
  }
  // What the server says before it closes the connection.
  static std::string rest_of(const UniqueFd& client) {
    std::string all;
    for (char part[4096];;) {
      pollfd ready{client.get(), POLLIN, 0};
      if (::poll(&ready, 1, kPatienceMs) != 1) return all + "(it does not close)";
      const ssize_t size = ::recv(client.get(), part, sizeof(part), 0);
      if (size <= 0) return all;
      all.append(part, static_cast<size_t>(size));
    }
  }
  std::string ask(const std::string& request) const {
    const UniqueFd client = connect();
    EXPECT_EQ(::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(request.size()));
    return rest_of(client);
  }
  std::string get(const std::string& path) const {
    return ask("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
  }

  std::string directory_, path_;
  MetricsListener listener_;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, AnswersByPathAndMethod) {
  ASSERT_NO_FATAL_FAILURE(serve());
  if (IsSkipped()) return;
  publish(MetricsSnapshot::State::kMetering);
  EXPECT_TRUE(get("/metrics").starts_with("HTTP/1.1 200 ")) << get("/metrics");
  EXPECT_NE(get("/metrics?x=1").find("\nflowmeter_open_flows 0\n"), std::string::npos);
  EXPECT_TRUE(get("/healthz").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(get("/readyz").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(get("/").starts_with("HTTP/1.1 200 "));
  for (const char* path : {"/x", "/metrics/", "/metrics/..", "//metrics", "*"})
    EXPECT_TRUE(get(path).starts_with("HTTP/1.1 404 ")) << path;
  const std::string head = ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 ")) << head;
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
  const std::string post =
      ask("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx");
  EXPECT_TRUE(post.starts_with("HTTP/1.1 405 ")) << post;
  EXPECT_NE(post.find("Allow: GET, HEAD"), std::string::npos) << post;
}

TEST_F(MetricsServerTest, SaysHowTheRunIs) {
  ASSERT_NO_FATAL_FAILURE(serve());
  if (IsSkipped()) return;
  EXPECT_TRUE(get("/healthz").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(get("/readyz").starts_with("HTTP/1.1 503 ")) << "not attached yet";
  const uint64_t long_ago = monotonic_ns() - 2 * MetricsServer::kStaleNs;
  publish(MetricsSnapshot::State::kMetering, long_ago);
  EXPECT_TRUE(get("/healthz").starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(get("/readyz").starts_with("HTTP/1.1 503 "));
  EXPECT_TRUE(get("/metrics").starts_with("HTTP/1.1 200 ")) << "they say how old they are";
  publish(MetricsSnapshot::State::kEnding, long_ago);
  EXPECT_TRUE(get("/healthz").starts_with("HTTP/1.1 200 "));
  EXPECT_TRUE(get("/readyz").starts_with("HTTP/1.1 503 "));
}

TEST_F(MetricsServerTest, RefusesWhatIsNoRequest) {
  ASSERT_NO_FATAL_FAILURE(serve());
  if (IsSkipped()) return;
  for (const std::string& request :
       {std::string("\r\n\r\n\r\n\r\nx\r\n\r\n"), std::string("GET\r\n\r\n"),
        "GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n",
        "GET /" + std::string(100'000, 'x') + " HTTP/1.1\r\nHost: x\r\n\r\n",
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15)}) {
    const UniqueFd client = connect();
    (void)!::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL);
    ::shutdown(client.get(), SHUT_WR);
    EXPECT_EQ(rest_of(client).find(" 200 "), std::string::npos) << request.substr(0, 20);
  }
  EXPECT_TRUE(get("/healthz").starts_with("HTTP/1.1 200 "));
}

TEST_F(MetricsServerTest, ManyIdleClientsHoldNobodyUp) {
  ASSERT_NO_FATAL_FAILURE(serve());
  if (IsSkipped()) return;
  std::vector<UniqueFd> idle;
  for (size_t i = 0; i < 2 * MetricsServer::kMostConnections; i++) {
    idle.push_back(connect());
    (void)!::send(idle.back().get(), "GET /metr", 9, MSG_NOSIGNAL);
  }
  EXPECT_TRUE(get("/healthz").starts_with("HTTP/1.1 200 "));
  EXPECT_EQ(rest_of(idle.front()), "") << "the oldest makes room";
  EXPECT_TRUE(get("/metrics").starts_with("HTTP/1.1 200 "));
}

TEST_F(MetricsServerTest, ASlowClientIsEnded) {
  ASSERT_NO_FATAL_FAILURE(serve(FM_SECOND_NS / 5));
  if (IsSkipped()) return;
  const UniqueFd client = connect();
  // A byte now and then, so that the connection is never idle.
  const std::string request = "GET /metrics HTTP/1.1\r\nX: ";
  const uint64_t end = monotonic_ns() + uint64_t{kPatienceMs} * 1'000'000;
  bool ended = false;
  for (size_t i = 0; !ended && monotonic_ns() < end; i++) {
    const char byte = i < request.size() ? request[i] : 'x';
    (void)!::send(client.get(), &byte, 1, MSG_NOSIGNAL);
    pollfd ready{client.get(), POLLIN, 0};
    ended = ::poll(&ready, 1, 10) == 1;
  }
  EXPECT_TRUE(ended);
  EXPECT_EQ(rest_of(client), "");
}

TEST_F(MetricsServerTest, TheSocketIsForUserAndGroupAndIsRemoved) {
  auto listener = take();
  ASSERT_TRUE(static_cast<bool>(listener));
  struct stat file {};
  ASSERT_EQ(::stat(path_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode, mode_t{S_IFSOCK | 0660});
  ASSERT_TRUE(static_cast<bool>(listener->listen()));
  auto second = take();
  ASSERT_FALSE(static_cast<bool>(second));
  EXPECT_EQ(second.error().message(), "another program listens there: Address already in use");
  EXPECT_TRUE(static_cast<bool>(listener->remove()));
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(MetricsServerTest, ASocketThatNobodyListensOnIsReplaced) {
  ASSERT_TRUE(static_cast<bool>(take()));  // its descriptor is closed, and its file stays
  ASSERT_TRUE(std::filesystem::is_socket(path_));
  auto listener = take();
  ASSERT_TRUE(static_cast<bool>(listener)) << listener.error().message();
  // Another program's socket in its place is not removed.
  std::filesystem::remove(path_);
  auto other = take();
  ASSERT_TRUE(static_cast<bool>(other));
  EXPECT_TRUE(static_cast<bool>(listener->remove()));
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(MetricsServerTest, NobodyConnectsBeforeItListens) {
  auto listener = take();
  ASSERT_TRUE(static_cast<bool>(listener));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_NE(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(errno, ECONNREFUSED);
  ASSERT_TRUE(static_cast<bool>(listener->listen()));
  EXPECT_TRUE(static_cast<bool>(connect()));
}

TEST_F(MetricsServerTest, OneOfTwoThatStartAtTheSameTimeListens) {
  auto first = take(), second = take();
  ASSERT_TRUE(static_cast<bool>(first));
  ASSERT_TRUE(static_cast<bool>(second));
  EXPECT_TRUE(static_cast<bool>(second->listen()));
  Status listens = first->listen();
  ASSERT_FALSE(static_cast<bool>(listens));
  EXPECT_EQ(listens.error().message(), "another program listens there: Address already in use");
  EXPECT_TRUE(static_cast<bool>(first->remove()));
  connect();  // the second one's file is still there

  MetricsAddress port;
  port.host = "127.0.0.1";
  port.port = "29464";
  auto third = MetricsListener::open(port), fourth = MetricsListener::open(port);
  ASSERT_TRUE(static_cast<bool>(third));
  ASSERT_TRUE(static_cast<bool>(fourth));
  EXPECT_TRUE(static_cast<bool>(third->listen()));
  EXPECT_FALSE(static_cast<bool>(fourth->listen()));
}

TEST_F(MetricsServerTest, AFileInItsPlaceStays) {
  std::ofstream(path_) << "text";
  auto listener = take();
  ASSERT_FALSE(static_cast<bool>(listener));
  EXPECT_EQ(listener.error().message(), "this is a file, and not a socket");
  std::filesystem::remove(path_);
  std::filesystem::create_symlink(directory_ + "/elsewhere", path_);
  EXPECT_FALSE(static_cast<bool>(take())) << "nor is a link followed";
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/elsewhere"));
}

}  // namespace
}  // namespace flowmeter
