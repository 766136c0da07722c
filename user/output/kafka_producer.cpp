// SPDX-License-Identifier: BSD-3-Clause
#include "output/kafka_producer.h"

#ifdef FLOWMETER_KAFKA

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/repeat_limit.h"

namespace flowmeter {
namespace {

constexpr int kPauseMs = 100;  // between two calls of meanwhile()
constexpr auto kLongestEnd = std::chrono::seconds(2);
// Below this, each row is sent alone: no row is smaller.
constexpr size_t kLeastBatchBytes = 400, kBatchShrinks = 4;

// Before those of --kafka-config, which may change them (but for what kafka_config.cpp reserves).
constexpr std::pair<const char*, const char*> kDefaults[] = {
    {"client.id", "flowmeter-ebpf"},
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"partitioner", "murmur2_random"},  // as the Java clients
    {"compression.codec", "lz4"},
    {"linger.ms", "50"},
    // librdkafka tries this long by itself, so that a new leader of a partition goes unnoticed.
    // Then the row is given up to the queue or spool.
    {"message.timeout.ms", "30000"},
    {"topic.metadata.propagation.max.ms", "5000"},  // until a missing topic is reported
    {"reconnect.backoff.max.ms", "2000"},           // after an outage, rows should not wait long
    {"socket.keepalive.enable", "true"},
    {"ssl.endpoint.identification.algorithm", "https"},  // librdkafka before 2.0: none
};

// Answers about a whole batch of which some rows are the cause.
bool is_about_rows(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
      return true;
    default:
      return false;
  }
}

// What the user can do about an error, if librdkafka's words do not say it.
const char* advice(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
      return "the topic does not exist: create it";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      return "allow this user to write to the topic";
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return "allow this user IdempotentWrite on the cluster";
    case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:  // a row is stamped when it is sent
      return "clocks differ, or message.timestamp.*.max.ms of the topic is too small";
    default:
      return "";
  }
}

// "text (after 3ms in state CONNECT, 4 identical error(s) suppressed)" without what changes.
std::string without_counts(std::string text) {
  const size_t counts = text.rfind(" (after ");
  if (counts != std::string::npos && text.ends_with(')')) text.resize(counts);
  return text;
}

}  // namespace

// What librdkafka's threads use. It outlives the producer if one of them hangs.
struct KafkaProducer::Voice {
  KafkaProducer* self;  // only for what librdkafka does on the thread that calls it
  std::mutex mutex;
  std::function<void(const std::string& line)> log;  // empty: nobody listens any more
  RepeatLimit limit;

  // Without a broker, the same line comes every 50 ms, with other numbers in it.
  void say(const char* part, const char* text) {
    std::string line = std::string("librdkafka: ") + part + ": " + text;
    std::string shape;
    for (const char c : line)
      if (c < '0' || c > '9') shape += c;
    const std::lock_guard lock(mutex);
    uint64_t suppressed = 0;
    if (!log || !limit.admit(shape, monotonic_ns(), &suppressed)) return;
    if (suppressed > 0) line += " (" + std::to_string(suppressed) + " similar lines suppressed)";
    log(line);
  }
};

Result<std::unique_ptr<KafkaProducer>> KafkaProducer::open(
    KafkaSettings settings, std::function<void(const std::string& line)> log) {
  auto loaded = load_kafka();
  if (!loaded) return loaded.error();
  auto producer = std::unique_ptr<KafkaProducer>(new KafkaProducer(**loaded, std::move(settings)));
  producer->voice_ = std::make_shared<Voice>();
  producer->voice_->self = producer.get();
  if (Status checked = producer->check(); !checked) return checked.error();
  producer->voice_->log = std::move(log);
  return producer;
}

KafkaProducer::~KafkaProducer() {
  end();
  if (headers_) kafka_.headers_destroy(headers_);
  const std::lock_guard lock(voice_->mutex);
  voice_->log = nullptr;
}

// Without the brokers.
Result<rd_kafka_conf_t*> KafkaProducer::make_conf() const {
  rd_kafka_conf_t* conf = kafka_.conf_new();
  char why[512];
  const auto set = [&](const std::string& name, const std::string& value) {
    return kafka_.conf_set(conf, name.c_str(), value.c_str(), why, sizeof(why)) == RD_KAFKA_CONF_OK;
  };
  // One that this librdkafka does not know changes nothing for it.
  for (const auto& [name, value] : kDefaults) (void)set(name, value);
  for (const KafkaProperty& property : settings_.properties) {
    if (set(property.name, property.value)) continue;
    kafka_.conf_destroy(conf);
    return usage_error(property.from + ": " +
                       (property.is_secret() ? property.name + " has no valid value" : why));
  }
  if (batch_bytes_ < configured_batch_bytes_) (void)set("batch.size", std::to_string(batch_bytes_));
  kafka_.conf_set_opaque(conf, voice_.get());
  kafka_.conf_set_dr_msg_cb(conf, on_answer);
  kafka_.conf_set_error_cb(conf, on_error);
  kafka_.conf_set_log_cb(conf, on_log);
  return conf;
}

// Whether the properties are possible, also together, and their files can be read. Its threads end
// here.
Status KafkaProducer::check() {
  // In clearer words than those of the TLS library.
  for (const KafkaProperty& file : files_of(settings_.properties))
    if (::access(file.value.c_str(), R_OK) != 0)
      return Error{file.from + ": " + file.name + ": cannot read " + file.value, errno, true};
  auto conf = make_conf();
  if (!conf) return conf.error();
  char text[512] = "";
  size_t size = sizeof(text);
  if (kafka_.conf_get(*conf, "batch.size", text, &size) == RD_KAFKA_CONF_OK)
    std::from_chars(text, text + sizeof(text), configured_batch_bytes_);
  batch_bytes_ = configured_batch_bytes_;
  size = sizeof(text);
  if (kafka_.conf_get(*conf, "message.timeout.ms", text, &size) == RD_KAFKA_CONF_OK &&
      std::string_view(text) == "0") {
    kafka_.conf_destroy(*conf);
    return usage_error(place_of("message.timeout.ms", "delivery.timeout.ms") +
                       " cannot be 0: a row would be waited for without end");
  }
  rd_kafka_t* trial = kafka_.create(RD_KAFKA_PRODUCER, *conf, text, sizeof(text));
  if (!trial) {
    kafka_.conf_destroy(*conf);
    return usage_error((settings_.properties.empty()
                            ? "--kafka"
                            : settings_.properties.front().from.substr(
                                  0, settings_.properties.front().from.rfind(", line "))) +
                       ": " + text);
  }
  kafka_.destroy(trial);
  return Done{};
}

// Of a property that --kafka-config sets, for messages.
std::string KafkaProducer::place_of(std::string_view name, std::string_view alias) const {
  for (const KafkaProperty& property : settings_.properties)
    if (property.name == name || property.name == alias)
      return property.from + ": " + property.name;
  return std::string(name);
}

Status KafkaProducer::start() {
  auto conf = make_conf();
  if (!conf) return conf.error();
  char why[512] = "";
  kafka_.conf_set(*conf, "bootstrap.servers", settings_.target.brokers.c_str(), why, sizeof(why));
  producer_ = kafka_.create(RD_KAFKA_PRODUCER, *conf, why, sizeof(why));
  if (!producer_) {
    kafka_.conf_destroy(*conf);
    return Error{why};
  }
  topic_ = kafka_.topic_new(producer_, settings_.target.topic.c_str(), nullptr);
  if (!topic_) {
    end();
    return Error{kafka_.err2str(kafka_.last_error())};
  }
  is_new_ = true;
  is_stale_ = false;
  return Done{};
}

// Ends the producer, and with it what it has not sent. A thread of it that resolves a name can
// hang for long: it is then left behind.
void KafkaProducer::end() {
  if (!producer_) return;
  if (topic_) kafka_.topic_destroy(std::exchange(topic_, nullptr));
  struct Ending {
    std::mutex mutex;
    std::condition_variable news;
    bool done = false;
  };
  const auto ending = std::make_shared<Ending>();
  const auto destroy = [kafka = &kafka_, producer = std::exchange(producer_, nullptr), ending,
                        voice = voice_] {
    kafka->destroy(producer);
    const std::lock_guard lock(ending->mutex);
    ending->done = true;
    ending->news.notify_one();
  };
  std::thread thread;
  try {
    thread = std::thread(destroy);
  } catch (const std::system_error&) {  // no threads left
    return destroy();
  }
  std::unique_lock lock(ending->mutex);
  const bool done = ending->news.wait_for(lock, kLongestEnd, [&] { return ending->done; });
  lock.unlock();
  if (done)
    thread.join();
  else
    thread.detach();
}

// Finds the rows of the next batch.
void KafkaProducer::split(std::string_view text, size_t at) {
  rows_.clear();
  const size_t most = at + kMostBytes;
  while (at < text.size() && rows_.size() < kMostRows && (rows_.empty() || at < most)) {
    const size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    rows_.push_back({at, end, Fate::kUnsent});
    at = end;
  }
}

// Without the line feed.
KafkaProducer::Parts KafkaProducer::parts_of(std::string_view text, const Row& row) {
  std::string_view line = text.substr(row.begin, row.end - row.begin);
  if (line.ends_with('\n')) line.remove_suffix(1);
  Parts parts;
  for (std::string_view* part : {&parts.key, &parts.schema, &parts.meter}) {
    const size_t tab = line.find('\t');
    if (tab == std::string_view::npos) break;
    *part = line.substr(0, tab);
    line.remove_prefix(tab + 1);
  }
  parts.value = line;
  return parts;
}

// Those of the row before are usually the same.
void KafkaProducer::make_headers(std::string_view schema, std::string_view meter) {
  if (headers_ && schema == schema_ && meter == meter_) return;
  if (headers_) kafka_.headers_destroy(headers_);
  headers_ = kafka_.headers_new(2);
  schema_ = schema;
  meter_ = meter;
  kafka_.header_add(headers_, "schema", -1, schema_.data(), static_cast<ssize_t>(schema_.size()));
  kafka_.header_add(headers_, "meter", -1, meter_.data(), static_cast<ssize_t>(meter_.size()));
}

KafkaProducer::Outcome KafkaProducer::send(std::string_view text, size_t at,
                                           const std::function<bool()>& meanwhile) {
  split(text, at);
  failure_.clear();
  refusal_.clear();
  const size_t batch_bytes = batch_bytes_;
  while (send_unsent(text, meanwhile) && may_send_again()) {
  }
  Outcome result = outcome(text);
  if (is_stale_) end();
  // Rows at fault were found: the others need no small batches. (If they do, too, the next batch
  // shows it.)
  if (batch_bytes_ != batch_bytes && std::any_of(rows_.begin(), rows_.end(), [](const Row& row) {
        return row.fate == Fate::kRefused;
      })) {
    batch_bytes_ = batch_bytes;
    end();
  }
  return result;
}

// Sends the rows that are kUnsent, and waits. False: the batch has failed.
bool KafkaProducer::send_unsent(std::string_view text, const std::function<bool()>& meanwhile) {
  if (!producer_)
    if (Status started = start(); !started) {
      failure_ = started.error().message();
      return false;
    }
  bool goes_on = true;
  for (size_t row = 0; row < rows_.size() && goes_on; row++)
    if (rows_[row].fate == Fate::kUnsent) goes_on = hand_over(text, row, meanwhile);
  if (goes_on) goes_on = wait_for_answers(meanwhile);
  if (goes_on) return true;
  // The run ends. librdkafka gives up what it has, and tells it.
  if (failure_.empty())
    failure_ = !trouble_.empty()        ? trouble_
               : !last_failure_.empty() ? last_failure_
                                        : "no acknowledgement before the run ended";
  // Not if one of its threads hangs, which a blocking purge would wait for.
  kafka_.purge(producer_,
               RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
  for (int i = 0; i < 10 && outstanding_ > 0; i++) kafka_.poll(producer_, kPauseMs);
  for (Row& row : rows_)
    if (row.fate == Fate::kSent) row.fate = Fate::kFailed;
  outstanding_ = 0;
  end();
  return false;
}

// Gives one row to librdkafka; waits while its queue is full. False: meanwhile() ended the wait.
bool KafkaProducer::hand_over(std::string_view text, size_t row,
                              const std::function<bool()>& meanwhile) {
  const auto [key, schema, meter, value] = parts_of(text, rows_[row]);
  make_headers(schema, meter);
  rd_kafka_vu_t parts[6] = {};
  parts[0].vtype = RD_KAFKA_VTYPE_RKT;
  parts[0].u.rkt = topic_;
  parts[1].vtype = RD_KAFKA_VTYPE_KEY;
  parts[1].u.mem = {const_cast<char*>(key.data()), key.size()};
  parts[2].vtype = RD_KAFKA_VTYPE_VALUE;
  parts[2].u.mem = {const_cast<char*>(value.data()), value.size()};
  parts[3].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  parts[3].u.i = RD_KAFKA_MSG_F_COPY;
  parts[4].vtype = RD_KAFKA_VTYPE_OPAQUE;
  parts[4].u.ptr = reinterpret_cast<void*>(row);
  parts[5].vtype = RD_KAFKA_VTYPE_HEADERS;
  for (;;) {
    parts[5].u.headers = kafka_.headers_copy(headers_);
    rd_kafka_error_t* const refused = kafka_.produceva(producer_, parts, std::size(parts));
    if (!refused) break;
    const rd_kafka_resp_err_t error = kafka_.error_code(refused);
    kafka_.error_destroy(refused);
    kafka_.headers_destroy(parts[5].u.headers);
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      note_fate(row, error);
      // No batch was involved: the row itself is too large for message.max.bytes.
      if (rows_[row].fate == Fate::kSuspect) rows_[row].fate = Fate::kRefused;
      return true;
    }
    if (outstanding_ == 0) {  // so it will not become emptier
      failure_ = "one row does not fit into queue.buffering.max.kbytes";
      return false;
    }
    kafka_.poll(producer_, kPauseMs);
    if (!meanwhile()) return false;
  }
  rows_[row].fate = Fate::kSent;
  outstanding_++;
  return true;
}

bool KafkaProducer::wait_for_answers(const std::function<bool()>& meanwhile) {
  do {
    kafka_.flush(producer_, kPauseMs);  // without it, rows would wait for linger.ms
    if (!meanwhile()) return outstanding_ == 0;
  } while (outstanding_ > 0);
  return true;
}

// Whether rows without an acknowledgement can be sent at once, by another producer. Requires: no
// row is outstanding.
bool KafkaProducer::may_send_again() {
  const auto make = [this](Fate from, Fate to) {
    size_t changed = 0;
    for (Row& row : rows_)
      if (row.fate == from) row.fate = to, changed++;
    return changed > 0;
  };
  char why[512] = "";
  if (kafka_.fatal_error(producer_, why, sizeof(why)) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    failure_ = why;
    voice_->say("FATAL", why);
    const bool is_hopeless = is_new_;  // another one would fail in the same way, now
    end();
    if (is_hopeless) return make(Fate::kSuspect, Fate::kFailed), false;
    const bool some = make(Fate::kFailed, Fate::kUnsent);
    return make(Fate::kSuspect, Fate::kUnsent) || some;
  }
  // A single one was alone in its batch.
  const auto suspects = std::count_if(rows_.begin(), rows_.end(),
                                      [](const Row& row) { return row.fate == Fate::kSuspect; });
  if (batch_bytes_ == 1 || suspects == 1) return make(Fate::kSuspect, Fate::kRefused), false;
  if (!make(Fate::kSuspect, Fate::kUnsent)) return false;
  batch_bytes_ /= kBatchShrinks;
  if (batch_bytes_ < kLeastBatchBytes) batch_bytes_ = 1;
  end();
  return true;
}

void KafkaProducer::note_fate(size_t row, rd_kafka_resp_err_t error) {
  Row& noted = rows_.at(row);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    noted.fate = Fate::kTaken;
    is_new_ = false;
    acknowledged_++;
    trouble_.clear();
    last_failure_.clear();
    return;
  }
  std::string text = kafka_.err2str(error);
  if (is_about_rows(error)) {
    noted.fate = Fate::kSuspect;
    refusal_ = text;
    return;
  }
  noted.fate = Fate::kFailed;
  if (error == RD_KAFKA_RESP_ERR__PURGE_QUEUE || error == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
    return;  // the reason is what led to it
  if (error == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT && !trouble_.empty()) text = trouble_;
  if (const char* what = advice(error); *what) {
    text.append(" (").append(what).append(")");
    is_stale_ = true;
  }
  failure_ = last_failure_ = text;
}

void KafkaProducer::note_trouble(rd_kafka_resp_err_t error, const char* text) {
  // Its own lines said why before.
  if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !trouble_.empty()) return;
  if (error != RD_KAFKA_RESP_ERR__FATAL) trouble_ = without_counts(text);
}

KafkaProducer::Outcome KafkaProducer::outcome(std::string_view text) const {
  Outcome result;
  result.end = rows_.empty() ? 0 : rows_.front().begin;
  for (const Row& row : rows_) {
    if (row.fate != Fate::kTaken && row.fate != Fate::kRefused) {
      result.failure = failure_.empty() ? "no acknowledgement" : failure_;
      break;
    }
    result.end = row.end;
    if (row.fate == Fate::kTaken) {
      result.taken++;
      continue;
    }
    result.refused++;
    result.refused_rows.append(parts_of(text, row).value).append("\n");
  }
  if (result.refused > 0) result.refusal = refusal_;
  return result;
}

void KafkaProducer::on_answer(rd_kafka_t*, const rd_kafka_message_t* message, void* voice) {
  KafkaProducer& self = *static_cast<Voice*>(voice)->self;
  self.outstanding_--;
  self.note_fate(reinterpret_cast<size_t>(message->_private), message->err);
}

void KafkaProducer::on_error(rd_kafka_t*, int error, const char* text, void* voice) {
  static_cast<Voice*>(voice)->self->note_trouble(static_cast<rd_kafka_resp_err_t>(error), text);
}

void KafkaProducer::on_log(const rd_kafka_t* rk, int, const char* part, const char* text) {
  auto loaded = load_kafka();
  if (loaded) static_cast<Voice*>((*loaded)->opaque(rk))->say(part, text);
}

}  // namespace flowmeter

#endif
