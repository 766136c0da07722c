// SPDX-License-Identifier: BSD-3-Clause
// Rows between two threads: what a bounded queue takes and drops, and when it waits.
#include "output/queued_sink.h"

#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <thread>

#include "api/embedded_host.h"
#include "output/sink_group.h"

namespace flowmeter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

FlowRecord any_record() {
  static const fm_flow_key key{};
  static const fm_flow flow{};
  return {key, flow, {}, FM_END_INPUT};
}

// Rows of 1000 bytes.
class Row1000 final : public RowFormat {
 public:
  char* put_row(char* at, const FlowRecord&) const override {
    std::memset(at, 'x', 999);
    at[999] = '\n';
    return at + 1000;
  }
  size_t bound() const override { return 1000; }
};

// Takes no rows until it is released.
class HeldWriter final : public RowWriter {
 public:
  explicit HeldWriter(std::shared_future<void> go, Status result = Done{})
      : go_(std::move(go)), result_(std::move(result)) {}
  const std::string& name() const override { return name_; }
  Status run(RowQueue& queue) override {
    go_.wait();
    if (!result_) return result_;
    Rows rows;
    while (!queue.finished())
      if (queue.take(&rows, RowQueue::Time::max())) written_ += rows.count;
    return Done{};
  }

 private:
  std::string name_ = "held";
  std::shared_future<void> go_;
  Status result_;
};

struct Held {
  std::promise<void> go;
  std::unique_ptr<QueuedSink> sink;

  Held(size_t queue_bytes, OnFull on_full, Status result = Done{}, bool commits = false) {
    sink = std::make_unique<QueuedSink>(
        std::make_unique<Row1000>(),
        std::make_unique<HeldWriter>(go.get_future().share(), std::move(result)),
        QueuedSink::Options{queue_bytes, on_full, seconds(10), commits});
  }
};

TEST(QueuedSink, DropsWhatHasNoRoomAndCountsIt) {
  Held held(10'000, OnFull::kDrop);
  for (int i = 0; i < 25; i++) {
    held.sink->write(any_record());
    ASSERT_TRUE(held.sink->flush()) << "waits for nobody";
  }
  EXPECT_EQ(held.sink->accounts()[0].text(),
            "output held: rows=25 written=0 waiting=10 dropped=15");
  held.go.set_value();
  const Status finished = held.sink->finish();
  ASSERT_FALSE(finished);
  EXPECT_NE(finished.error().message().find("15 of 25 rows were dropped"), std::string::npos)
      << finished.error().message();
  EXPECT_EQ(held.sink->accounts()[0].text(),
            "output held: rows=25 written=10 waiting=0 dropped=15");
}

TEST(QueuedSink, WaitsForRoomUnderBlock) {
  Held held(10'000, OnFull::kBlock);
  auto producer = std::async(std::launch::async, [&] {
    for (int i = 0; i < 25; i++) {
      held.sink->write(any_record());
      (void)!held.sink->flush();
    }
    return static_cast<bool>(held.sink->finish());
  });
  EXPECT_EQ(producer.wait_for(milliseconds(100)), std::future_status::timeout);
  held.go.set_value();
  ASSERT_EQ(producer.wait_for(seconds(60)), std::future_status::ready);
  EXPECT_TRUE(producer.get());
  EXPECT_EQ(held.sink->accounts()[0].text(), "output held: rows=25 written=25 waiting=0 dropped=0");
}

TEST(QueuedSink, AFailedWriterFreesTheOneThatWaits) {
  Held held(10'000, OnFull::kBlock, Error{"gone"});
  auto producer = std::async(std::launch::async, [&] {
    for (int i = 0; i < 25; i++) {
      held.sink->write(any_record());
      (void)!held.sink->flush();
    }
  });
  EXPECT_EQ(producer.wait_for(milliseconds(100)), std::future_status::timeout);
  held.go.set_value();
  ASSERT_EQ(producer.wait_for(seconds(60)), std::future_status::ready);
  const Status finished = held.sink->finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().message(), "gone");
  EXPECT_TRUE(held.sink->failed());
  EXPECT_EQ(held.sink->accounts()[0].text(), "output held: rows=25 written=0 waiting=0 dropped=25");
}

// The next batch waits for the commit of the one before, without a limit.
TEST(QueuedSink, HandsOverOneBatchAtATimeIfItCommits) {
  Held held(10'000, OnFull::kDrop, Done{}, /*commits=*/true);
  QueuedSink& sink = *held.sink;
  const auto write = [&](int rows) {
    for (int i = 0; i < rows; i++) sink.write(any_record());
  };
  write(3);
  EXPECT_TRUE(sink.safe()) << "nothing was flushed";
  ASSERT_TRUE(sink.flush());
  EXPECT_FALSE(sink.safe());
  write(9);
  EXPECT_FALSE(sink.full());
  write(200);
  EXPECT_TRUE(sink.full());
  ASSERT_TRUE(sink.retry()) << "takes no later rows";
  held.go.set_value();
  for (int i = 0; i < 10'000 && !sink.safe(); i++) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(sink.accounts()[0].text(), "output held: rows=212 written=3 waiting=209 dropped=0");
  ASSERT_TRUE(sink.flush());
  EXPECT_FALSE(sink.full());
  ASSERT_TRUE(sink.finish());
  EXPECT_EQ(sink.accounts()[0].text(), "output held: rows=212 written=212 waiting=0 dropped=0");
}

TEST(RowQueue, RowsInHandCount) {
  RowQueue queue(100, OnFull::kDrop);
  const std::string sixty(60, 'x');
  Rows rows;
  EXPECT_TRUE(queue.append(sixty, 1));
  ASSERT_TRUE(queue.take(&rows, RowQueue::now()));
  EXPECT_FALSE(queue.append(sixty, 1)) << "60 in hand and 60 more";
  EXPECT_FALSE(queue.take(&rows, RowQueue::now())) << "nothing there; nothing in hand now";
  EXPECT_TRUE(queue.append(sixty, 1));
}

TEST(RowQueue, MoreThanTheLimitGoesThroughAnEmptyOne) {
  RowQueue queue(100, OnFull::kBlock);
  EXPECT_TRUE(queue.append(std::string(200, 'x'), 1));
}

TEST(RowQueue, ProgressMovesTheDeadlineUnderBlockOnly) {
  for (const OnFull policy : {OnFull::kBlock, OnFull::kDrop}) {
    RowQueue queue(100, policy);
    queue.close(milliseconds(0));
    EXPECT_TRUE(queue.overdue());
    RowQueue other(100, policy);
    other.close(seconds(1));
    const auto begin = RowQueue::now();
    while (RowQueue::now() < begin + milliseconds(1200)) {
      other.note_progress();
      other.pause(RowQueue::now() + milliseconds(10));
    }
    EXPECT_EQ(other.overdue(), policy == OnFull::kDrop);
  }
}

class FakeSink final : public RecordSink {
 public:
  FakeSink(unsigned* rows, const bool* broken) : rows_(rows), broken_(broken) {}
  bool safe() const override { return is_safe; }
  unsigned flushes = 0, retries = 0;
  bool is_safe = true;
  void write(const FlowRecord&) override { ++*rows_; }
  bool failed() const override { return *broken_; }
  Status flush() override {
    flushes++;
    if (*broken_) return Error{"broken"};
    return Done{};
  }
  Status retry() override {
    retries++;
    return Done{};
  }

 private:
  unsigned* rows_;
  const bool* broken_;
};

TEST(SinkGroup, FailsWithTheLastOfThem) {
  unsigned rows[2] = {};
  bool broken[2] = {};
  EmbeddedHost host;
  SinkGroup group(host);
  for (int i = 0; i < 2; i++) group.add(std::make_unique<FakeSink>(&rows[i], &broken[i]));
  group.write(any_record());
  EXPECT_TRUE(group.flush());
  EXPECT_TRUE(group.complete());

  broken[0] = true;
  EXPECT_TRUE(group.flush()) << "the other goes on";
  EXPECT_TRUE(group.flush());
  const std::vector<LogLine> lines = host.take_lines();
  ASSERT_EQ(lines.size(), 1u) << "reported once";
  EXPECT_EQ(lines[0].text, "broken");
  EXPECT_FALSE(group.failed());
  EXPECT_FALSE(group.complete());
  group.write(any_record());
  EXPECT_EQ(rows[1], 2u);

  broken[1] = true;
  EXPECT_TRUE(group.failed());
  EXPECT_FALSE(group.flush());
}

// A flush that is repeated for one of them takes no later rows of the others.
TEST(SinkGroup, TriesAgainWithoutLaterRows) {
  unsigned rows = 0;
  const bool broken = false;
  EmbeddedHost host;
  SinkGroup group(host);
  FakeSink* sinks[2];
  for (FakeSink*& sink : sinks) {
    auto made = std::make_unique<FakeSink>(&rows, &broken);
    sink = made.get();
    group.add(std::move(made));
  }
  EXPECT_TRUE(group.flush());
  EXPECT_TRUE(group.safe());
  sinks[1]->is_safe = false;
  EXPECT_FALSE(group.safe());
  EXPECT_TRUE(group.retry());
  for (const FakeSink* sink : sinks) {
    EXPECT_EQ(sink->flushes, 1u);
    EXPECT_EQ(sink->retries, 1u);
  }
}

}  // namespace
}  // namespace flowmeter
