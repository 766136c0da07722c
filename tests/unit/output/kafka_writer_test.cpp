// SPDX-License-Identifier: BSD-3-Clause
// What becomes of rows if librdkafka cannot even be started.
#include "output/kafka_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "api/embedded_host.h"
#include "output/kafka_library.h"

#ifdef FLOWMETER_KAFKA

namespace flowmeter {
namespace {

TEST(KafkaWriter, AStartThatFailsLeavesTheRowsInTheSpool) {
  if (auto loaded = load_kafka(); !loaded) GTEST_SKIP() << loaded.error().message();
  std::string name = ::testing::TempDir() + "kafka-writer-XXXXXX";
  const std::filesystem::path directory = ::mkdtemp(name.data());
  std::filesystem::create_directory(directory / "authorities");
  KafkaSettings settings;
  settings.target = {"127.0.0.1:1", "t"};
  settings.properties = {{"security.protocol", "ssl", "test"},
                         {"ssl.ca.location", directory / "authorities", "test"}};
  EmbeddedHost host;
  auto writer = KafkaWriter::open(settings, {.spool = directory / "spool"}, host);
  ASSERT_TRUE(writer) << writer.error().message();
  std::filesystem::remove(directory / "authorities");  // so that no producer can be made

  RowQueue queue(1 << 20, OnFull::kBlock);
  ASSERT_TRUE(queue.append("k\ts\tm\t{\"n\":1}\nk\ts\tm\t{\"n\":2}\n", 2));
  queue.close(RowQueue::seconds(0.5));
  const Status done = (*writer)->run(queue);
  EXPECT_TRUE(done) << done.error().message();
  EXPECT_EQ((*writer)->written(), 2u);
  OutputAccount account;
  (*writer)->describe(account);
  EXPECT_EQ(account.delivery->spooled, 2u);
  bool told = false;
  for (const LogLine& line : host.take_lines())
    told = told || (line.level == "warning" && line.text.find("trying again") != std::string::npos);
  EXPECT_TRUE(told);
  writer->reset();
  std::filesystem::remove_all(directory);
}

// The metering thread waits for room; librdkafka would go on trying for an hour.
TEST(KafkaWriter, AStopEndsTheWaitAlsoIfTheSpoolIsFull) {
  if (auto loaded = load_kafka(); !loaded) GTEST_SKIP() << loaded.error().message();
  std::string directory = ::testing::TempDir() + "kafka-writer-XXXXXX";
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  EmbeddedHost host;
  auto writer =
      KafkaWriter::open({{"127.0.0.1:1", "t"}, {{"message.timeout.ms", "3600000", "test"}}},
                        {.spool = directory, .spool_limit_mib = 0}, host);
  ASSERT_TRUE(writer) << writer.error().message();
  const auto patience = RowQueue::seconds(0.1);
  RowQueue queue(10, OnFull::kBlock, patience);
  ASSERT_TRUE(queue.append("k\ts\tm\t{}\n", 1));
  Status done = Done{};
  std::thread output([&] { done = (*writer)->run(queue); });
  host.stop();
  EXPECT_TRUE(queue.append("k\ts\tm\t{}\n", 1));
  queue.close(patience);
  output.join();
  EXPECT_FALSE(done);
  EXPECT_EQ((*writer)->given_up(), 2u);
  writer->reset();
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace flowmeter

#else

TEST(KafkaWriter, IsNotBuilt) {
  GTEST_SKIP() << "built without the headers of librdkafka";
}

#endif
