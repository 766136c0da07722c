// SPDX-License-Identifier: BSD-3-Clause
#include "base/log.h"

#include <gtest/gtest.h>

#include "base/repeat_limit.h"

namespace flowmeter {
namespace {

constexpr uint64_t kTime = 1'700'000'000'123'456'789;  // 2023-11-14, 22:13:20 UTC
constexpr LogFormat kText = LogFormat::kText, kLogfmt = LogFormat::kLogfmt,
                    kJson = LogFormat::kJson;

std::string line(LogFormat format, std::string_view message, std::string_view fields = "") {
  return format_log_line(format, LogLevel::kWarning, kTime, message, fields);
}

TEST(LogLine, HasLevelAndMessageInEachFormat) {
  EXPECT_EQ(line(kText, "no room"), "flowmeter-ebpf: warning: no room");
  EXPECT_EQ(line(kLogfmt, "no room"),
            "time=2023-11-14T22:13:20.123456Z level=warning msg=\"no room\"");
  EXPECT_EQ(line(kJson, "no room"),
            R"({"time":"2023-11-14T22:13:20.123456Z","level":"warning","msg":"no room"})");
}

TEST(LogLine, IsTheSameFromASignalHandler) {
  for (const LogFormat format : {kText, kLogfmt, kJson}) {
    const std::string_view message = "no room";
    char text[kLogFrameBytes + 7];
    const char* const end = put_log_line(text, format, LogLevel::kWarning, kTime, message);
    EXPECT_EQ(std::string_view(text, static_cast<size_t>(end - text)), line(format, message));
  }
}

TEST(LogLine, AnAccountHasFields) {
  const std::string counters = "seen=5 metered=3";
  EXPECT_EQ(line(kText, "", counters), "flowmeter-ebpf: warning: seen=5 metered=3");
  EXPECT_EQ(line(kText, "eth0 ingress", counters),
            "flowmeter-ebpf: warning: eth0 ingress: seen=5 metered=3");
  EXPECT_EQ(line(kLogfmt, "", counters),
            "time=2023-11-14T22:13:20.123456Z level=warning msg=account seen=5 metered=3");
  EXPECT_EQ(line(kJson, "eth0 ingress", counters),
            R"({"time":"2023-11-14T22:13:20.123456Z","level":"warning","msg":"account",)"
            R"("of":"eth0 ingress","seen":5,"metered":3})");
}

TEST(LogLine, NothingCommandsATerminalOrEndsTheLine) {
  struct Row {
    const char* what;
    std::string message, text, quoted;
  };
  for (const Row& row : {
           Row{"escape sequence", "\033[2Jx", "\\x1b[2Jx", "\\u001b[2Jx"},
           Row{"line feed", "a\nb", "a\\x0ab", "a\\u000ab"},
           Row{"delete", "a\x7f", "a\\x7f", "a\\u007f"},
           Row{"C1 control in UTF-8", "a\xc2\x9b", "a\\x9b", "a\\u009b"},
           Row{"C1 control as a byte", "a\x9b", "a\\x9b", "a\\ufffd"},
           Row{"cut UTF-8", "a\xe2\x82", "a\\xe2\\x82", "a\\ufffd\\ufffd"},
           Row{"surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80", "\\ufffd\\ufffd\\ufffd"},
           Row{"overlong slash", "\xc0\xaf", "\\xc0\\xaf", "\\ufffd\\ufffd"},
           Row{"quotes", "\"a\\", "\"a\\", "\\\"a\\\\"},
           Row{"letters of the world", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
               "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
       }) {
    SCOPED_TRACE(row.what);
    EXPECT_EQ(line(kText, row.message), "flowmeter-ebpf: warning: " + row.text);
    EXPECT_TRUE(line(kLogfmt, row.message).ends_with("msg=\"" + row.quoted + '"'));
    EXPECT_TRUE(line(kJson, row.message).ends_with("\"msg\":\"" + row.quoted + "\"}"));
  }
}

// Collects what the log would print to standard error.
struct ObservedLog : Log {
  ObservedLog() {
    set_observer([this](std::string_view each) {
      lines.emplace_back(each);
      return true;
    });
  }
  std::vector<std::string> lines;
};

TEST(Log, IsObservedByItsLevel) {
  ObservedLog log;
  log.set_level(LogLevel::kWarning);
  log.line(LogLevel::kInfo, "a line of less");
  log.account("seen=5");
  log.line(LogLevel::kWarning, "a line of its own");
  log.set_level(LogLevel::kInfo);
  log.account("seen=6");
  EXPECT_EQ(log.lines, (std::vector<std::string>{"flowmeter-ebpf: warning: a line of its own",
                                                 "flowmeter-ebpf: info: seen=6"}));
}

TEST(Log, SaysWhatWasSuppressed) {
  ObservedLog log;
  for (int i = 0; i < 12; i++) log.line(LogLevel::kError, "again");
  log.suppressed();
  log.suppressed();
  ASSERT_EQ(log.lines.size(), RepeatLimit::kBurst + 1);
  EXPECT_EQ(log.lines.front(), "flowmeter-ebpf: error: again");
  EXPECT_EQ(log.lines.back(), "flowmeter-ebpf: error: again (7 suppressed)");
}

TEST(RepeatLimit, CountsWhatItSuppresses) {
  RepeatLimit limit;
  uint64_t suppressed = 0;
  for (unsigned i = 0; i < RepeatLimit::kBurst; i++) {
    EXPECT_TRUE(limit.admit("a", 100 + i, &suppressed));
    EXPECT_EQ(suppressed, 0u);
  }
  EXPECT_FALSE(limit.admit("a", 110, &suppressed));
  EXPECT_FALSE(limit.admit("a", 99 + RepeatLimit::kWindowNs, &suppressed));
  EXPECT_TRUE(limit.admit("b", 99 + RepeatLimit::kWindowNs, &suppressed)) << "another line";
  EXPECT_EQ(suppressed, 0u);
  EXPECT_TRUE(limit.admit("a", 100 + RepeatLimit::kWindowNs, &suppressed)) << "the next window";
  EXPECT_EQ(suppressed, 2u);
  EXPECT_TRUE(limit.admit("a", 101 + RepeatLimit::kWindowNs, &suppressed));
  EXPECT_EQ(suppressed, 0u) << "reported once";
  EXPECT_TRUE(limit.take_suppressed().empty());
}

TEST(RepeatLimit, ForgetsTheOldestButNotItsNumber) {
  RepeatLimit limit;
  uint64_t suppressed = 0;
  for (unsigned i = 0; i < RepeatLimit::kBurst + 3; i++) limit.admit("first", 0, &suppressed);
  for (size_t i = 0; i < RepeatLimit::kLines; i++)
    EXPECT_TRUE(limit.admit("line " + std::to_string(i), 1, &suppressed));
  const auto taken = limit.take_suppressed();
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0], (std::pair<std::string, uint64_t>{"first", 3}));
  EXPECT_TRUE(limit.take_suppressed().empty());
}

}  // namespace
}  // namespace flowmeter
