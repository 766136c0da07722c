// SPDX-License-Identifier: BSD-3-Clause
// What --kafka and the file of --kafka-config may say.
#include "output/kafka_config.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <thread>

namespace flowmeter {
namespace {

TEST(KafkaTarget, BrokersAndTopic) {
  const struct {
    std::string text, brokers, topic;
  } kGood[] = {
      {"h/t", "h", "t"},
      {"h:9092/t", "h:9092", "t"},
      {"a.example:1,b-2:65535,c/flows.v1_x-y", "a.example:1,b-2:65535,c", "flows.v1_x-y"},
      {"[::1]:9092,[fe80::1%eth0]/t", "[::1]:9092,[fe80::1%eth0]", "t"},
      {"10.0.0.1:9092/" + std::string(249, 't'), "10.0.0.1:9092", std::string(249, 't')},
  };
  for (const auto& [text, brokers, topic] : kGood) {
    auto target = parse_kafka_target(text);
    ASSERT_TRUE(target) << text << ": " << target.error().message();
    EXPECT_EQ(target->brokers, brokers);
    EXPECT_EQ(target->topic, topic);
    EXPECT_EQ(target->name(), "kafka://" + text);
  }
}

TEST(KafkaTarget, WhatIsWrong) {
  for (const std::string text :
       {"",          "h",        "/t",      "h/",    "h:/t",   "h:0/t",
        "h:65536/t", "h:1x/t",   "h:1:2/t", "::1/t", "[::1/t", "[]/t",
        "[::1]x/t",  "[::1]:/t", "h,/t",    ",h/t",  "h,h/t",  "h h/t",
        "h/a/t",     "h/t t",    "h/.",     "h/..",  "h/t\n",  "user:password@h:1/t"})
    EXPECT_FALSE(parse_kafka_target(text)) << text;
  EXPECT_FALSE(parse_kafka_target("h/" + std::string(250, 't')));
}

TEST(KafkaProperties, LinesOfAFile) {
  auto read = parse_kafka_properties(
      "# a comment\n\n  security.protocol = ssl \r\nssl.key.password=a=b # c\nlinger.ms=", "FILE");
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_EQ(read->size(), 3u);
  EXPECT_EQ((*read)[0].name, "security.protocol");
  EXPECT_EQ((*read)[0].value, "ssl");
  EXPECT_EQ((*read)[0].from, "FILE, line 3");
  EXPECT_FALSE((*read)[0].is_secret());
  EXPECT_EQ((*read)[1].value, "a=b # c");
  EXPECT_TRUE((*read)[1].is_secret());
  EXPECT_EQ((*read)[2].value, "");
}

TEST(KafkaProperties, WhatWouldBreakThePromise) {
  for (const std::string line : {"acks=1",
                                 "acks=0",
                                 "request.required.acks=1",
                                 "enable.idempotence=false",
                                 "delivery.report.only.error=true",
                                 "transactional.id=x",
                                 "partitioner=random",
                                 "enable.ssl.certificate.verification=false",
                                 "ssl.endpoint.identification.algorithm=none",
                                 "plugin.library.paths=x",
                                 "ssl.engine.location=x",
                                 "ssl.providers=legacy",
                                 "sasl.mechanism=GSSAPI",
                                 "sasl.mechanisms=GSSAPI",
                                 "sasl.kerberos.keytab=x",
                                 "test.mock.num.brokers=3",
                                 "bootstrap.servers=h",
                                 "metadata.broker.list=h",
                                 "security.protocol=SASL_SSL",
                                 "log.queue=true",
                                 "enable.gapless.guarantee=true",
                                 "sasl.mechanism=OAUTHBEARER",
                                 "sasl.oauthbearer.config=x",
                                 "ut_handle_ProduceResponse=AAAA",
                                 "ssl.engine.callback.data=AAAA",
                                 "connect_cb=AAAA",
                                 "opaque=AAAA",
                                 "queuing.strategy=lifo",
                                 "statistics.interval.ms=1",
                                 "nope=1"}) {
    auto read = parse_kafka_properties(line, "FILE");
    ASSERT_FALSE(read) << line;
    EXPECT_TRUE(read.error().usage);
    EXPECT_EQ(read.error().message().find("FILE"), 0u) << read.error().message();
  }
}

TEST(KafkaProperties, WhatMayBeSet) {
  for (const std::string text :
       {"acks=all", "acks=-1", "enable.idempotence=true", "partitioner=consistent_random",
        "linger.ms=5\ncompression.codec=zstd\nbatch.size=100000\nmessage.timeout.ms=60000",
        "security.protocol=sasl_ssl\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=u\n"
        "sasl.password=p\nssl.ca.location=/etc/ca.pem"}) {
    auto read = parse_kafka_properties(text, "FILE");
    EXPECT_TRUE(read) << text << ": " << read.error().message();
  }
}

TEST(KafkaProperties, FromAPipe) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::string name = "/proc/self/fd/" + std::to_string(ends[0]);
  ASSERT_EQ(::write(ends[1], "linger.ms=5\n", 12), 12);
  std::thread writer([&] {
    EXPECT_EQ(::write(ends[1], "acks=all\n", 9), 9);
    ::close(ends[1]);
  });
  auto read = read_kafka_properties(name);
  writer.join();
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->size(), 2u);
  EXPECT_TRUE(read_kafka_properties("/dev/null")->empty());
  ::close(ends[0]);
  // A writer that ends without a word.
  const std::string fifo = ::testing::TempDir() + "kafka-fifo-" + std::to_string(::getpid());
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  std::thread silent([&] { ::close(::open(fifo.c_str(), O_WRONLY)); });
  auto nothing = read_kafka_properties(fifo);
  EXPECT_FALSE(nothing);
  const int other = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK);  // if it was still waiting
  silent.join();
  ::close(other);
  ::unlink(fifo.c_str());
}

TEST(KafkaProperties, FilesThatARunReads) {
  auto read = parse_kafka_properties(
      "ssl.ca.location=/a\nssl.key.location=/b\nssl.key.password=/c\nssl.crl.location=", "FILE");
  ASSERT_TRUE(read);
  const auto files = files_of(*read);
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].value, "/a");
  EXPECT_EQ(files[1].value, "/b");
  auto probe = parse_kafka_properties("ssl.ca.location=probe", "FILE");
  ASSERT_TRUE(probe);
  EXPECT_TRUE(files_of(*probe).empty());
}

}  // namespace
}  // namespace flowmeter
