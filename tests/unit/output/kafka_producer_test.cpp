// SPDX-License-Identifier: BSD-3-Clause
// Rows sent to librdkafka's mock cluster, which fails as it is told to: what the caller learns
// about each row, and that no row that counts as taken is missing in the topic.
#include "output/kafka_producer.h"

#include <gtest/gtest.h>

#ifdef FLOWMETER_KAFKA

#include <dlfcn.h>
#include <librdkafka/rdkafka_mock.h>

#include <map>
#include <mutex>
#include <random>
#include <string>

namespace flowmeter {
namespace {

constexpr int16_t kProduce = 0, kInitProducerId = 22;
constexpr int kPartitions = 4;
constexpr char kTopic[] = "flows";

// clang-format off
#define FM_TEST_FUNCTIONS(X) \
  X(mock_cluster_new) X(mock_cluster_destroy) X(mock_cluster_bootstraps) \
  X(mock_push_request_errors_array) X(mock_clear_request_errors) X(mock_topic_create) \
  X(mock_broker_set_down) X(mock_broker_set_up) X(mock_broker_set_rtt) X(consume_start) \
  X(consume_stop) X(consume_batch) X(message_destroy) X(message_headers) X(header_get_all) \
  X(query_watermark_offsets)
// clang-format on

// What only a test uses of librdkafka.
struct TestFunctions {
#define FM_TEST_FUNCTION(name) decltype(&::rd_kafka_##name) name = nullptr;
  FM_TEST_FUNCTIONS(FM_TEST_FUNCTION)
#undef FM_TEST_FUNCTION

  TestFunctions() {
    void* const library = ::dlopen("librdkafka.so.1", RTLD_NOW | RTLD_LOCAL);
#define FM_TEST_FIND(name) \
  name = reinterpret_cast<decltype(name)>(::dlsym(library, "rd_kafka_" #name));
    FM_TEST_FUNCTIONS(FM_TEST_FIND)
#undef FM_TEST_FIND
  }
};

std::string row(size_t number) {
  return "key" + std::to_string(number % 100) + "\ttest/1\tm\t{\"n\":" + std::to_string(number) +
         "}\n";
}

std::string rows(size_t first, size_t count) {
  std::string text;
  for (size_t i = first; i < first + count; i++) text += row(i);
  return text;
}

class KafkaMock : public testing::Test {
 protected:
  void SetUp() override {
    auto loaded = load_kafka();
    if (!loaded) GTEST_SKIP() << loaded.error().message();
    kafka_ = *loaded;
    owner_ = handle(RD_KAFKA_PRODUCER, "");
    cluster_ = test_.mock_cluster_new(owner_, 3);
    ASSERT_NE(cluster_, nullptr);
    ASSERT_EQ(test_.mock_topic_create(cluster_, kTopic, kPartitions, 1),
              RD_KAFKA_RESP_ERR_NO_ERROR);
  }

  void TearDown() override {
    producer_.reset();
    if (cluster_) test_.mock_cluster_destroy(cluster_);
    if (owner_) kafka_->destroy(owner_);
  }

  rd_kafka_t* handle(rd_kafka_type_t type, const std::string& brokers) {
    rd_kafka_conf_t* conf = kafka_->conf_new();
    char why[512];
    kafka_->conf_set(conf, "log_level", "0", why, sizeof(why));
    kafka_->conf_set(conf, "group.id", "test", why, sizeof(why));
    kafka_->conf_set(conf, "fetch.wait.max.ms", "10", why, sizeof(why));
    kafka_->conf_set(conf, "fetch.error.backoff.ms", "10", why, sizeof(why));
    if (!brokers.empty())
      kafka_->conf_set(conf, "bootstrap.servers", brokers.c_str(), why, sizeof(why));
    return kafka_->create(type, conf, why, sizeof(why));
  }

  void open(std::vector<KafkaProperty> more = {}) {
    KafkaSettings settings;
    settings.target = {test_.mock_cluster_bootstraps(cluster_), kTopic};
    settings.properties = {{"retry.backoff.ms", "5", "test"},
                           {"reconnect.backoff.ms", "5", "test"},
                           {"reconnect.backoff.max.ms", "50", "test"}};
    for (KafkaProperty& property : more) settings.properties.push_back(std::move(property));
    auto opened = KafkaProducer::open(settings, [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      log_ += line + "\n";
    });
    ASSERT_TRUE(opened) << opened.error().message();
    producer_ = std::move(*opened);
  }

  bool logged(const std::string& text) {
    const std::lock_guard lock(mutex_);
    return log_.find(text) != std::string::npos;
  }

  void inject(int16_t request, const std::vector<rd_kafka_resp_err_t>& errors) {
    test_.mock_push_request_errors_array(cluster_, request, errors.size(), errors.data());
  }

  // Sends all of the text as a DeliveryWriter does, until nothing is left. At most `attempts`
  // times.
  KafkaProducer::Outcome send_all(const std::string& text, int attempts) {
    KafkaProducer::Outcome sum;
    for (size_t at = 0; at < text.size() && attempts-- > 0;) {
      const auto outcome = producer_->send(text, at, [] { return true; });
      at = sum.end = outcome.end;
      sum.taken += outcome.taken;
      sum.refused += outcome.refused;
      sum.refused_rows += outcome.refused_rows;
      sum.failure = outcome.failure;
      if (!outcome.refusal.empty()) sum.refusal = outcome.refusal;
    }
    return sum;
  }

  // How often each value is in the topic. *keys: the partitions of each key.
  std::map<std::string, int> topic(std::map<std::string, std::map<int, int>>* keys = nullptr) {
    std::map<std::string, int> found;
    rd_kafka_t* consumer = handle(RD_KAFKA_CONSUMER, test_.mock_cluster_bootstraps(cluster_));
    rd_kafka_topic_t* of_topic = kafka_->topic_new(consumer, kTopic, nullptr);
    for (int32_t partition = 0; partition < kPartitions; partition++) {
      int64_t low = 0, high = 0, at = 0;
      EXPECT_EQ(test_.query_watermark_offsets(consumer, kTopic, partition, &low, &high, 10'000),
                RD_KAFKA_RESP_ERR_NO_ERROR);
      test_.consume_start(of_topic, partition, RD_KAFKA_OFFSET_BEGINNING);
      while (at < high) {
        rd_kafka_message_t* batch[1000];
        const ssize_t count =
            test_.consume_batch(of_topic, partition, 1000, batch,
                                std::min(std::size(batch), static_cast<size_t>(high - at)));
        for (ssize_t i = 0; i < count; i++) {
          const rd_kafka_message_t& message = *batch[i];
          if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            at = message.offset + 1;
            found[{static_cast<const char*>(message.payload), message.len}]++;
            if (keys)
              (*keys)[{static_cast<const char*>(message.key), message.key_len}][partition]++;
            headers_of_[{static_cast<const char*>(message.payload), message.len}] =
                headers(batch[i]);
          }
          test_.message_destroy(batch[i]);
        }
      }
      test_.consume_stop(of_topic, partition);
    }
    kafka_->topic_destroy(of_topic);
    kafka_->destroy(consumer);
    return found;
  }

  std::map<std::string, std::string> headers(const rd_kafka_message_t* message) {
    std::map<std::string, std::string> found;
    rd_kafka_headers_t* all = nullptr;
    if (test_.message_headers(message, &all) != RD_KAFKA_RESP_ERR_NO_ERROR) return found;
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    for (size_t i = 0; test_.header_get_all(all, i, &name, &value, &size) == 0; i++)
      found[name] = {static_cast<const char*>(value), size};
    return found;
  }

  // Rows first to first + count - 1 are in the topic, and nothing else.
  void expect_at_least_once(size_t first, size_t count) {
    const auto found = topic();
    EXPECT_EQ(found.size(), count);
    for (size_t i = first; i < first + count; i++)
      EXPECT_GE(found.count("{\"n\":" + std::to_string(i) + "}"), 1u) << "row " << i;
  }

  const Kafka* kafka_ = nullptr;
  const TestFunctions test_;
  rd_kafka_t* owner_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
  std::mutex mutex_;
  std::string log_;
  std::unique_ptr<KafkaProducer> producer_;
  // Of the messages that topic() has read, by value.
  std::map<std::string, std::map<std::string, std::string>> headers_of_;
};

TEST_F(KafkaMock, RowsOfAKeyAreInOnePartition) {
  open();
  const auto outcome = send_all(rows(0, 5000), 1);
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.taken, 5000u);
  std::map<std::string, std::map<int, int>> keys;
  EXPECT_EQ(topic(&keys).size(), 5000u);
  EXPECT_EQ(keys.size(), 100u);
  std::map<int, int> partitions;
  for (const auto& [key, of_key] : keys) {
    EXPECT_EQ(of_key.size(), 1u) << key;
    partitions[of_key.begin()->first]++;
  }
  EXPECT_EQ(partitions.size(), static_cast<size_t>(kPartitions));
  EXPECT_EQ(headers_of_["{\"n\":7}"],
            (std::map<std::string, std::string>{{"schema", "test/1"}, {"meter", "m"}}));
}

// As from a spool, after the columns were changed.
TEST_F(KafkaMock, ARowHasItsOwnHeaders) {
  open();
  EXPECT_EQ(send_all(rows(0, 10) + "k\tother/2\tn\t{\"other\":1}\n" + rows(10, 10), 1).taken, 21u);
  (void)topic();
  EXPECT_EQ(headers_of_["{\"other\":1}"],
            (std::map<std::string, std::string>{{"schema", "other/2"}, {"meter", "n"}}));
  EXPECT_EQ(headers_of_["{\"n\":10}"],
            (std::map<std::string, std::string>{{"schema", "test/1"}, {"meter", "m"}}));
}

TEST_F(KafkaMock, ABatchIsBounded) {
  open();
  const std::string text = rows(0, KafkaProducer::kMostRows + 10);
  const auto outcome = producer_->send(text, 0, [] { return true; });
  EXPECT_EQ(outcome.taken, KafkaProducer::kMostRows);
  EXPECT_EQ(outcome.end, rows(0, KafkaProducer::kMostRows).size());
}

TEST_F(KafkaMock, FailuresThatPassAreNotNoticed) {
  using Error = rd_kafka_resp_err_t;
  for (const Error error :
       {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR__TRANSPORT}) {
    SCOPED_TRACE(kafka_->err2str(error));
    open();
    (void)send_all("k\ttest/1\tm\t{\"n\":0}\n", 1);
    inject(kProduce, {error, RD_KAFKA_RESP_ERR_NO_ERROR, error});
    const auto outcome = send_all(rows(0, 1000), 1);
    EXPECT_EQ(outcome.failure, "");
    EXPECT_EQ(outcome.taken, 1000u);
    expect_at_least_once(0, 1000);
    test_.mock_clear_request_errors(cluster_, kProduce);
  }
}

TEST_F(KafkaMock, AFreshBrokerThatLoads) {
  inject(kInitProducerId, {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                           RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS});
  open();
  EXPECT_EQ(send_all(rows(0, 100), 1).taken, 100u);
}

TEST_F(KafkaMock, AProducerThatFailsForGoodIsReplaced) {
  open();
  EXPECT_EQ(send_all(rows(0, 1000), 1).taken, 1000u);
  EXPECT_FALSE(logged("FATAL"));
  // With one partition, requests follow one another, and the first of them is the one that fails.
  inject(kProduce, std::vector(1, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER));
  const auto outcome = send_all(rows(1000, 1000), 5);
  EXPECT_TRUE(logged("FATAL")) << "the mock cluster did not make the producer fail";
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.taken, 1000u);
  expect_at_least_once(0, 2000);
}

// Such as "not allowed to write idempotently": it is tried again later, not at once and for ever.
TEST_F(KafkaMock, AProducerThatIsNotAllowed) {
  inject(kInitProducerId, {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED});
  open();
  const auto first = send_all(rows(0, 100), 1);
  EXPECT_EQ(first.taken, 0u);
  EXPECT_NE(first.failure, "");
  const auto then = send_all(rows(0, 100), 1);
  EXPECT_EQ(then.failure, "");
  EXPECT_EQ(then.taken, 100u);
  expect_at_least_once(0, 100);
}

TEST_F(KafkaMock, ABatchThatIsTooLargeIsMadeSmaller) {
  open();
  (void)send_all(rows(0, 1), 1);
  inject(kProduce, std::vector(kPartitions, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE));
  const auto outcome = send_all(rows(0, 1000), 1);
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.taken, 1000u);
  EXPECT_EQ(outcome.refused, 0u);
  EXPECT_LT(producer_->batch_bytes(), 1'000'000u);
  expect_at_least_once(0, 1000);
}

TEST_F(KafkaMock, ARowThatIsTooLargeIsRefusedAlone) {
  open({{"message.max.bytes", "2000", "test"}});
  std::string text = rows(0, 10) + "k\ttest/1\tm\t" + std::string(5000, 'x') + "\n" + rows(10, 10);
  const auto outcome = send_all(text, 1);
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.taken, 20u);
  EXPECT_EQ(outcome.refused, 1u);
  EXPECT_EQ(outcome.refused_rows, std::string(5000, 'x') + "\n");
  EXPECT_NE(outcome.refusal.find("too large"), std::string::npos) << outcome.refusal;
  EXPECT_EQ(outcome.end, text.size());
  expect_at_least_once(0, 20);
}

// Others are not sent in small batches for it, neither with it nor later.
TEST_F(KafkaMock, ARowThatIsRefusedAlone) {
  open();
  (void)send_all(rows(0, 1), 1);
  const size_t batch_bytes = producer_->batch_bytes();
  inject(kProduce, {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE});
  const auto outcome = send_all(row(1), 1);
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.taken, 0u);
  EXPECT_EQ(outcome.refused, 1u);
  EXPECT_EQ(producer_->batch_bytes(), batch_bytes);
}

TEST_F(KafkaMock, RowsThatAreRefusedAfterAllSizes) {
  open();
  (void)send_all(rows(0, 1), 1);
  const size_t batch_bytes = producer_->batch_bytes();
  inject(kProduce, std::vector(200, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE));
  const auto outcome = send_all(rows(1, 5), 1);
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.taken, 0u);
  EXPECT_EQ(outcome.refused, 5u);
  test_.mock_clear_request_errors(cluster_, kProduce);
  EXPECT_EQ(send_all(rows(10, 10), 1).taken, 10u);
  EXPECT_EQ(producer_->batch_bytes(), batch_bytes);
}

TEST_F(KafkaMock, ATopicThatIsNotAllowedUntilLater) {
  open();
  EXPECT_EQ(send_all(rows(0, 1), 1).taken, 1u);
  inject(kProduce, std::vector(kPartitions, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED));
  const auto first = send_all(rows(0, 100), 1);
  EXPECT_NE(first.failure.find("allow this user to write"), std::string::npos) << first.failure;
  const auto then = send_all(rows(0, 100), 5);
  EXPECT_EQ(then.taken, 100u) << then.failure;
  expect_at_least_once(0, 100);
}

// Clocks can be set right, so no row is given up for it.
TEST_F(KafkaMock, ClocksThatDiffer) {
  open();
  EXPECT_EQ(send_all(rows(0, 1), 1).taken, 1u);
  inject(kProduce, std::vector(kPartitions, RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP));
  const auto first = send_all(rows(0, 100), 1);
  EXPECT_EQ(first.refused, 0u);
  EXPECT_NE(first.failure.find("clocks differ"), std::string::npos) << first.failure;
  const auto then = send_all(rows(0, 100), 5);
  EXPECT_EQ(then.taken, 100u) << then.failure;
  expect_at_least_once(0, 100);
}

TEST_F(KafkaMock, AFullQueueOfTheLibraryIsWaitedFor) {
  open({{"queue.buffering.max.messages", "10", "test"}, {"linger.ms", "1", "test"}});
  int calls = 0;
  const auto outcome = producer_->send(rows(0, 300), 0, [&] { return ++calls > 0; });
  EXPECT_EQ(outcome.failure, "");
  EXPECT_EQ(outcome.taken, 300u);
  EXPECT_GE(calls, 2);
  expect_at_least_once(0, 300);
}

TEST_F(KafkaMock, AQueueOfTheLibraryThatHasNoRoomForOneRow) {
  open({{"queue.buffering.max.kbytes", "1", "test"}});
  int calls = 0;
  const std::string large = "k\ttest/1\tm\t{\"x\":\"" + std::string(5000, 'x') + "\"}\n";
  const auto outcome = producer_->send(rows(0, 1) + large, 0, [&] { return ++calls < 100; });
  EXPECT_EQ(outcome.failure, "one row does not fit into queue.buffering.max.kbytes");
  EXPECT_EQ(outcome.taken, 1u);
}

TEST_F(KafkaMock, BrokersThatAreAwayForLongerThanTheMessageTimeout) {
  open({{"message.timeout.ms", "300", "test"}});
  EXPECT_EQ(send_all(rows(0, 100), 1).taken, 100u);
  test_.mock_broker_set_down(cluster_, -1);
  const auto away = send_all(rows(100, 100), 1);
  EXPECT_EQ(away.taken, 0u);
  EXPECT_NE(away.failure, "");
  EXPECT_EQ(away.end, 0u);
  test_.mock_broker_set_up(cluster_, -1);
  const auto back = send_all(rows(100, 100), 100);
  EXPECT_EQ(back.taken, 100u) << back.failure;
  expect_at_least_once(0, 200);
}

// The brokers have the rows, but their answers come too late.
TEST_F(KafkaMock, AnswersThatAreLost) {
  open({{"message.timeout.ms", "500", "test"}, {"socket.timeout.ms", "300", "test"}});
  EXPECT_EQ(send_all(rows(0, 100), 1).taken, 100u);
  test_.mock_broker_set_rtt(cluster_, -1, 2000);
  const auto away = send_all(rows(100, 100), 1);
  EXPECT_NE(away.failure, "");
  test_.mock_broker_set_rtt(cluster_, -1, 0);
  const auto back = send_all(rows(100, 100).substr(away.end), 100);
  EXPECT_EQ(away.taken + back.taken, 100u) << back.failure;
  expect_at_least_once(0, 200);
}

TEST_F(KafkaMock, TheEndOfARunEndsTheWait) {
  open();
  test_.mock_broker_set_down(cluster_, -1);
  const auto begin = std::chrono::steady_clock::now();
  int calls = 0;
  const auto outcome = producer_->send(rows(0, 100), 0, [&] { return ++calls < 3; });
  EXPECT_EQ(outcome.taken, 0u);
  EXPECT_NE(outcome.failure, "");
  EXPECT_EQ(calls, 3);
  producer_.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20))
      << "message.timeout.ms is 30 s";
}

// Any series of failures: what counts as taken is in the topic, in the end everything.
TEST_F(KafkaMock, NothingIsLostWhateverHappens) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::minstd_rand random(seed);
  const rd_kafka_resp_err_t errors[] = {RD_KAFKA_RESP_ERR_NO_ERROR,
                                        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                        RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
                                        RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                                        RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
                                        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
                                        RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
                                        RD_KAFKA_RESP_ERR__TRANSPORT};
  open({{"message.timeout.ms", "2000", "test"}, {"batch.num.messages", "50", "test"}});
  size_t sent = 0;
  for (int round = 0; round < 8; round++) {
    std::vector<rd_kafka_resp_err_t> some;
    for (int i = 0; i < 4; i++) some.push_back(errors[random() % std::size(errors)]);
    inject(kProduce, some);
    const size_t count = 100 + random() % 400;
    const auto outcome = send_all(rows(sent, count), 50);
    EXPECT_EQ(outcome.taken, count) << outcome.failure << "; " << outcome.refusal;
    sent += count;
  }
  expect_at_least_once(0, sent);
}

}  // namespace
}  // namespace flowmeter

#else

TEST(KafkaMock, IsNotBuilt) {
  GTEST_SKIP() << "built without the headers of librdkafka";
}

#endif
