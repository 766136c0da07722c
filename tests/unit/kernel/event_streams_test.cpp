// SPDX-License-Identifier: BSD-3-Clause
// The reading end of the event streams, with writers in this process. Maps are memory files, and
// Writer writes records as bpf/event.bpf.h does, with the same order of stores.
#include "kernel/event_streams.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <span>
#include <thread>

#include "base/unique_fd.h"

namespace flowmeter {
namespace {

constexpr uint8_t kLongTypes[] = {FM_RECORD_OPEN, FM_RECORD_UNCOUNTED, FM_RECORD_CLOSED,
                                  FM_RECORD_STATE, FM_RECORD_OWNER};

uint64_t now_ns() {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// The contents of this test's records. The number is unique.
struct Record {
  uint64_t time_ns = 0;
  uint64_t number = 0;
  uint8_t type = FM_RECORD_PACKET;

  bool operator==(const Record&) const = default;
};

// The kernel's end of the streams.
class Writer {
 public:
  Writer(uint32_t cpus, uint32_t units_per_stream, bool with_timing, uint64_t begin = 0)
      : cpus_(cpus),
        units_per_stream_(units_per_stream),
        with_timing_(with_timing),
        ends_fd_(::memfd_create("ends", MFD_CLOEXEC)),
        units_fd_(::memfd_create("units", MFD_CLOEXEC)),
        ends_(static_cast<fm_stream*>(map(ends_fd_, cpus * sizeof(fm_stream)))),
        units_(static_cast<fm_packet_record*>(
            map(units_fd_, size_t{cpus} * units_per_stream * sizeof(fm_packet_record)))) {
    for (uint32_t cpu = 0; cpu < cpus; cpu++)
      ends_[cpu].head = ends_[cpu].tail = ends_[cpu].committed[0] = begin;
  }
  ~Writer() {
    ::munmap(ends_, cpus_ * sizeof(fm_stream));
    ::munmap(units_, size_t{cpus_} * units_per_stream_ * sizeof(fm_packet_record));
  }

  EventStreams reader(uint64_t commits = 0) const {
    auto streams = EventStreams::map(ends_fd_.get(), units_fd_.get(), cpus_, units_per_stream_,
                                     fm_state_units(with_timing_, 0), 0, commits);
    EXPECT_TRUE(streams) << streams.error().message();
    return std::move(*streams);
  }

  uint32_t units_of(uint8_t type) const {
    if (type == FM_RECORD_PACKET) return 1;
    if (type == FM_RECORD_OPEN || type == FM_RECORD_UNCOUNTED) return FM_OPEN_UNITS;
    if (type == FM_RECORD_OWNER) return FM_OWNER_UNITS;
    return fm_state_units(with_timing_, 0);
  }

  // False if there is no room.
  bool write(uint32_t cpu, const Record& record) {
    fm_stream& ends = ends_[cpu];
    const uint32_t units = units_of(record.type);
    const uint64_t tail = __atomic_load_n(&ends.tail, __ATOMIC_ACQUIRE);
    if (ends.head + units - tail > units_per_stream_) return false;
    for (uint32_t i = 0; i < units; i++) {
      fm_packet_record unit;
      std::memset(&unit, static_cast<int>(record.number + i), sizeof(unit));
      if (i == 0) {
        unit.time_ns = record.time_ns;
        unit.flow_id = record.number;
        unit.what = record.type;
      }
      units_[cpu * units_per_stream_ + ((ends.head + i) & (units_per_stream_ - 1))] = unit;
    }
    __atomic_store_n(&ends.head, ends.head + units, __ATOMIC_RELEASE);
    return true;
  }

  // The record as it was handed out; its bytes must be those that were written.
  Record read(const void* data, size_t size) const {
    const auto* units = static_cast<const fm_packet_record*>(data);
    const Record record{units->time_ns, units->flow_id, units->what};
    EXPECT_EQ(size, units_of(record.type) * sizeof(fm_packet_record)) << record.number;
    for (size_t i = 1; i < size / sizeof(fm_packet_record); i++) {
      fm_packet_record expected;
      std::memset(&expected, static_cast<int>(record.number + i), sizeof(expected));
      if (std::memcmp(&expected, units + i, sizeof(expected)) != 0)
        ADD_FAILURE() << "unit " << i << " of record " << record.number << " is another's";
    }
    return record;
  }

 private:
  static void* map(const UniqueFd& fd, size_t bytes) {
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(bytes)), 0);
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    EXPECT_NE(memory, MAP_FAILED);
    return memory;
  }

  uint32_t cpus_, units_per_stream_;
  bool with_timing_;
  UniqueFd ends_fd_, units_fd_;
  fm_stream* ends_;
  fm_packet_record* units_;
};

class Drained {
 public:
  explicit Drained(const Writer& writer) : writer_(writer) {}
  EventStreams::Consumer consumer() {
    return [this](const void* data, size_t size) { records.push_back(writer_.read(data, size)); };
  }
  std::vector<Record> records;

 private:
  const Writer& writer_;
};

std::string describe(uint64_t seed) {
  return "seed " + std::to_string(seed);
}

// Compares with a sorted reference: all times differ, so there is one right order.
TEST(EventStreams, MergeByTimeIsTheSortedRecords) {
  for (uint64_t seed = 1; seed <= 100; seed++) {
    SCOPED_TRACE(describe(seed));
    std::mt19937_64 random(seed);
    const auto pick = [&](uint64_t below) { return random() % below; };
    const auto cpus = static_cast<uint32_t>(1 + pick(64));
    const bool with_timing = pick(2) != 0;
    // Near 2^32, too: the kernel computes places in 32 bits.
    Writer writer(cpus, 64, with_timing, pick(2) ? pick(1000) : (1ull << 32) - pick(1000));
    EventStreams streams = writer.reader();
    Drained drained(writer);
    const auto consumer = drained.consumer();

    std::vector<Record> reference;  // in the order of their times, as they are made so
    uint64_t time_ns = 1000;
    size_t written = 0;
    for (int step = 0; step < 400; step++) {
      const uint64_t burst = pick(20);
      for (uint64_t i = 0; i < burst; i++) {
        time_ns += 1 + pick(1000);
        const uint8_t type = pick(4) ? static_cast<uint8_t>(FM_RECORD_PACKET)
                                     : kLongTypes[pick(std::size(kLongTypes))];
        const Record record{time_ns, ++written, type};
        if (writer.write(static_cast<uint32_t>(pick(cpus)), record)) reference.push_back(record);
      }
      const uint64_t until = pick(3) ? time_ns : time_ns - std::min(time_ns, pick(20'000));
      const size_t limit = pick(2) ? SIZE_MAX : pick(30);
      const size_t before = drained.records.size();
      const auto due = static_cast<size_t>(
          std::upper_bound(reference.begin(), reference.end(), until,
                           [](uint64_t t, const Record& r) { return t < r.time_ns; }) -
          reference.begin());
      const size_t expected = std::min(due > before ? due - before : 0, limit);
      ASSERT_EQ(streams.drain(until, limit, consumer), expected);
      ASSERT_EQ(drained.records.size(), before + expected);
      ASSERT_EQ(streams.oldest_waiting_ns(),
                before + expected < reference.size() ? reference[before + expected].time_ns : 0);
      if (pick(2)) streams.release();
    }
    streams.drain(UINT64_MAX, SIZE_MAX, consumer);
    ASSERT_EQ(drained.records, reference);
    ASSERT_GT(reference.size(), 300u) << "hardly anything found room";
  }
}

TEST(EventStreams, RecordsOfOneTimeKeepTheirStreamsOrder) {
  for (uint64_t seed = 1; seed <= 50; seed++) {
    SCOPED_TRACE(describe(seed));
    std::mt19937_64 random(seed);
    Writer writer(4, 256, false);
    EventStreams streams = writer.reader();
    Drained drained(writer);
    uint64_t number = 0;
    for (uint32_t cpu = 0; cpu < 4; cpu++)
      for (uint64_t i = 0, time_ns = 10; i < 200; i++, time_ns += random() % 2)
        ASSERT_TRUE(writer.write(cpu, {time_ns, number++, FM_RECORD_PACKET}));
    EXPECT_EQ(streams.drain(UINT64_MAX, SIZE_MAX, drained.consumer()), 800u);
    std::vector<uint64_t> next = {0, 200, 400, 600};
    uint64_t time_ns = 0;
    for (const Record& record : drained.records) {
      EXPECT_GE(record.time_ns, time_ns);
      time_ns = record.time_ns;
      EXPECT_EQ(record.number, next[record.number / 200]++);
    }
  }
}

// A record starts at each place, so that every split over the stream's end occurs.
TEST(EventStreams, LongRecordsWrapAroundTheEnd) {
  for (const bool with_timing : {false, true})
    for (const uint8_t type : kLongTypes)
      for (uint64_t begin = 0; begin < 64; begin++) {
        SCOPED_TRACE(begin);
        Writer writer(2, 64, with_timing, begin);
        EventStreams streams = writer.reader();
        Drained drained(writer);
        const std::vector<Record> records = {{1, 7, type}, {2, 8, FM_RECORD_PACKET}, {3, 9, type}};
        for (const Record& record : records) ASSERT_TRUE(writer.write(1, record));
        EXPECT_EQ(streams.drain(3, SIZE_MAX, drained.consumer()), 3u);
        EXPECT_EQ(drained.records, records);
      }
}

TEST(EventStreams, ReleaseMakesRoomAndNothingElseDoes) {
  Writer writer(1, 64, false);
  EventStreams streams = writer.reader();
  Drained drained(writer);
  const auto fill = [&] {
    uint64_t count = 0;
    while (writer.write(0, {1, count, FM_RECORD_PACKET})) count++;
    return count;
  };
  EXPECT_EQ(fill(), 64u);
  EXPECT_EQ(streams.drain(1, SIZE_MAX, drained.consumer()), 64u);
  EXPECT_EQ(fill(), 0u) << "there is room before the release";
  streams.release();
  EXPECT_EQ(fill(), 64u);
  EXPECT_EQ(streams.drain(1, 10, drained.consumer()), 10u);
  streams.release();
  EXPECT_EQ(fill(), 10u) << "as much as was handed out";
}

// A reader may end anywhere; what counts for the next one is the number of commits.
TEST(EventStreams, AnotherReaderStartsAtTheLastCommit) {
  Writer writer(3, 64, true, 40);
  std::vector<Record> records;
  for (uint64_t i = 0; i < 12; i++)
    records.push_back({10 + i, i, i % 5 ? uint8_t{FM_RECORD_PACKET} : uint8_t{FM_RECORD_OPEN}});
  for (const Record& record : records)
    ASSERT_TRUE(writer.write(static_cast<uint32_t>(record.number % 3), record));
  const auto rest = [&](size_t from) {
    return std::vector<Record>(records.begin() + static_cast<ptrdiff_t>(from), records.end());
  };
  const auto drained_by_another = [&](uint64_t commits) {
    EventStreams another = writer.reader(commits);
    Drained drained(writer);
    another.drain(100, SIZE_MAX, drained.consumer());
    return drained.records;
  };
  EXPECT_EQ(drained_by_another(0), records);
  EventStreams first = writer.reader(0);
  Drained drained(writer);
  EXPECT_FALSE(first.advanced());
  EXPECT_EQ(first.drain(13, SIZE_MAX, drained.consumer()), 4u);
  EXPECT_TRUE(first.advanced());
  first.mark();
  EXPECT_EQ(first.drain(16, SIZE_MAX, drained.consumer()), 3u);
  first.store_mark(1);
  EXPECT_EQ(drained_by_another(0), records) << "the commit has not taken effect";
  EXPECT_EQ(drained_by_another(1), rest(4)) << "killed before the release";
  first.release_marked();
  EXPECT_EQ(drained_by_another(1), rest(4));
  EXPECT_TRUE(first.advanced());
  first.mark();
  first.store_mark(2);
  first.release_marked();
  EXPECT_FALSE(first.advanced());
  EXPECT_EQ(drained_by_another(2), rest(7));
}

TEST(EventStreams, WhatCannotBeMappedIsAnError) {
  const UniqueFd empty(::memfd_create("empty", MFD_CLOEXEC));
  auto streams = EventStreams::map(-1, empty.get(), 1, 64, false);
  ASSERT_FALSE(streams);
  EXPECT_NE(streams.error().message().find("event streams"), std::string::npos);
}

// One thread per CPU, like the kernel's programs: a record is stamped and written under its flow's
// lock. The reader must get each flow's records whole, once and in their order.
TEST(EventStreams, WithAWriterOnEachStreamEveryFlowIsInOrder) {
  constexpr uint32_t kCpus = 4, kUnits = 128;
  constexpr uint64_t kFlows = 5, kRecordsPerWriter = 25'000;
  Writer writer(kCpus, kUnits, true);
  EventStreams streams = writer.reader();
  struct Flow {
    std::mutex lock;
    uint64_t written = 0;
    uint64_t read = 0;
    uint64_t out_of_order = 0;
  };
  std::vector<Flow> flows(kFlows);
  std::atomic<uint32_t> running{kCpus};
  std::vector<std::jthread> writers;
  for (uint32_t cpu = 0; cpu < kCpus; cpu++)
    writers.emplace_back([&, cpu] {
      std::mt19937_64 random(cpu);
      for (uint64_t i = 0; i < kRecordsPerWriter;) {
        const uint64_t flow = random() % kFlows;
        const uint8_t type =
            random() % 8 ? uint8_t{FM_RECORD_PACKET} : kLongTypes[random() % std::size(kLongTypes)];
        const std::unique_lock<std::mutex> lock(flows[flow].lock);
        const uint64_t number = flows[flow].written * kFlows + flow;
        if (writer.write(cpu, {now_ns(), number, type})) {
          flows[flow].written++;
          i++;
        } else {
          std::this_thread::yield();
        }
      }
      running--;
    });
  std::mt19937_64 random(99);
  size_t drained = 0;
  const auto take = [&](const void* data, size_t size) {
    const Record record = writer.read(data, size);
    Flow& flow = flows[record.number % kFlows];
    flow.out_of_order += record.number / kFlows != flow.read;
    flow.read++;
  };
  bool last = false;
  while (!last) {
    last = running == 0;  // before the drain, which then has all of it
    const size_t limit = last ? SIZE_MAX : 1 + random() % 200;
    const size_t size = streams.drain(now_ns(), limit, take);
    drained += size;
    if (random() % 2 || size == 0) streams.release();
  }
  EXPECT_EQ(drained, kCpus * kRecordsPerWriter);
  for (const Flow& flow : flows) {
    EXPECT_EQ(flow.read, flow.written);
    EXPECT_EQ(flow.out_of_order, 0u);
  }
}

}  // namespace
}  // namespace flowmeter
