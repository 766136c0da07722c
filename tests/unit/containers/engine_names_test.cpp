// SPDX-License-Identifier: BSD-3-Clause
#include "containers/engine_names.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "api/embedded_host.h"
#include "containers/cri_message.h"
#include "containers/fake_engine.h"

namespace flowmeter {
namespace {

using namespace testing;
using Clock = std::chrono::steady_clock;

const std::string kId(64, 'a'), kSandbox(64, 'b');
const std::string kDocker = R"([{"Id":")" + kId + R"(","Names":["/web"],"Labels":{}}])";

class Engine : public ::testing::Test {
 protected:
  std::string path() const {
    return ::testing::TempDir() + "engine." + std::to_string(::getpid()) + ".sock";
  }
  void open(const std::string& address) {
    auto engine = EngineNames::open(address, host_);
    ASSERT_TRUE(engine) << engine.error().message();
    engine_ = std::move(*engine);
  }
  // Asks until there is a name, or a line of the log.
  std::optional<ContainerName> name(const std::string& id = kId) {
    const auto end = Clock::now() + std::chrono::seconds(60);
    while (Clock::now() < end) {
      auto name = engine_->find(id);
      if (name) return name;
      for (LogLine& line : host_.take_lines()) lines_.push_back(std::move(line));
      if (!lines_.empty()) return {};
      ::usleep(5000);
    }
    ADD_FAILURE() << "neither a name nor a line in a minute";
    return {};
  }
  void expect_warning(const std::string& words) {
    EXPECT_FALSE(name());
    ASSERT_EQ(lines_.size(), 1u);
    EXPECT_EQ(lines_[0].level, "warning");
    EXPECT_NE(lines_[0].text.find(path()), std::string::npos) << lines_[0].text;
    EXPECT_NE(lines_[0].text.find(words), std::string::npos) << lines_[0].text;
  }

  EmbeddedHost host_;
  std::unique_ptr<EngineNames> engine_;
  std::vector<LogLine> lines_;
};

TEST_F(Engine, DockerIsAskedForAllContainers) {
  std::string asked;
  {
    FakeEngine fake(path(), [&](const std::string& question) {
      asked = question;
      return http_answer(kDocker);
    });
    open(fake.address());
    ASSERT_TRUE(name());
    EXPECT_EQ(name()->container, "web");
    engine_.reset();
  }
  EXPECT_TRUE(asked.starts_with("GET /containers/json?all=1 HTTP/1.1\r\n")) << asked;
}

TEST_F(Engine, ARuntimeIsAskedByGrpcIfItIsNotDocker) {
  FakeEngine fake(
      path(),
      [turn = 0](const std::string& question) mutable {
        if (!question.starts_with("PRI * HTTP/2.0")) return std::string("\0\0\0\4\0\0\0\0\0", 9);
        return ++turn == 1 ? grpc_answer(cri_sandbox(kSandbox, "pod", "uid", "ns"))
                           : grpc_answer(cri_container(kId, kSandbox, "app"));
      },
      /*then_hangs=*/true);
  open(fake.address());
  const auto found = name();
  ASSERT_TRUE(found) << (lines_.empty() ? "" : lines_[0].text);
  EXPECT_EQ(*found, (ContainerName{"app", "pod", "ns", "uid"}));
  EXPECT_EQ(name(kSandbox)->pod, "pod");
}

TEST_F(Engine, NobodyThereIsSaidOnce) {
  open("unix://" + path());
  expect_warning("No such file or directory");
  const auto end = Clock::now() + std::chrono::milliseconds(2500);  // two more questions
  while (Clock::now() < end) {
    engine_->find(kId);
    ::usleep(10'000);
  }
  EXPECT_TRUE(host_.take_lines().empty());
}

TEST_F(Engine, AnEngineThatComesLaterIsHeard) {
  open("unix://" + path());
  expect_warning("No such file");
  FakeEngine fake(path(), [](const std::string&) { return http_answer(kDocker); });
  lines_.clear();
  while (!name() && lines_.empty()) continue;
  EXPECT_EQ(name()->container, "web");
}

TEST_F(Engine, OneThatHangsCostsATimeoutAndNoWait) {
  FakeEngine fake(
      path(), [](const std::string&) { return std::string(); }, true);
  open(fake.address());
  const auto begin = Clock::now();
  EXPECT_FALSE(engine_->find(kId));
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(1));
  expect_warning("timed out");
}

TEST_F(Engine, AHangingOneDoesNotDelayTheEnd) {
  FakeEngine fake(
      path(), [](const std::string&) { return std::string(); }, true);
  open(fake.address());
  engine_->find(kId);
  while (fake.connections() == 0) ::usleep(1000);
  const auto begin = Clock::now();
  engine_.reset();
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(3));  // its time-out is 5 s
  EXPECT_TRUE(host_.take_lines().empty());
}

TEST_F(Engine, OneThatClosesOrAnswersGarbageGivesNoNames) {
  for (const std::string& garbage :
       {std::string(), std::string("\r\n\r\n"), std::string(100'000, '\xff'),
        http_answer("no JSON"), http_answer("{}"), http_answer("[1", "404 Not Found"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[]")}) {
    FakeEngine fake(path(), [&](const std::string&) { return garbage; });
    open(fake.address());
    lines_.clear();
    expect_warning("");
    engine_.reset();
  }
}

TEST_F(Engine, AnAnswerIsBounded) {
  FakeEngine fake(path(), [](const std::string&) {
    return "HTTP/1.1 200 OK\r\n\r\n[" + std::string(64 << 20, ' ');
  });
  open(fake.address());
  expect_warning("");
}

}  // namespace
}  // namespace flowmeter
