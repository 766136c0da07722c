// SPDX-License-Identifier: BSD-3-Clause
// What becomes of rows if librdkafka cannot even be started.
#include "output/kafka_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

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

}  // namespace
}  // namespace flowmeter

#else

TEST(KafkaWriter, IsNotBuilt) {
  GTEST_SKIP() << "built without the headers of librdkafka";
}

#endif
