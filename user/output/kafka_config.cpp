// SPDX-License-Identifier: BSD-3-Clause
#include "output/kafka_config.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "base/option.h"
#include "base/unique_fd.h"
#include "base/utf8.h"
#include "output/output_mode.h"

namespace flowmeter {
namespace {

constexpr size_t kMostFileBytes = 64 * 1024, kMostTopicBytes = 249;
constexpr int kPatienceMs = 10'000;  // with the writer of a pipe
constexpr std::string_view kBlanks = " \t\r";

bool is_word(std::string_view text, std::string_view more) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [more](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           more.find(c) != std::string_view::npos;
  });
}

// What is wrong with a broker "host", "host:port", "[address]" or "[address]:port"; empty: nothing.
std::string wrong_broker(std::string_view broker) {
  const std::string shown = "\"" + std::string(broker) + "\"";
  std::string_view host = broker, port;
  if (broker.starts_with('[')) {
    const size_t end = broker.find(']');
    if (end == std::string_view::npos) return shown + " has no ]";
    host = broker.substr(1, end - 1);
    port = broker.substr(end + 1);
    if (!is_word(host, ":.%_-")) return shown + " has no IPv6 address in its brackets";
    if (!port.empty() && port[0] != ':') return shown + " is not [address]:port";
  } else {
    const size_t colon = std::min(broker.find(':'), broker.size());
    host = broker.substr(0, colon);
    port = broker.substr(colon);
    if (port.find(':', 1) != std::string_view::npos)
      return shown + " is not host:port (an IPv6 address belongs into brackets)";
    if (!is_word(host, "._-")) return shown + " is not host:port";
  }
  if (!port.empty() && !to_count(std::string(port.substr(1)), 1, 65535))
    return shown + " has no port from 1 to 65535";
  return "";
}

// Properties that the file must not set, or only to one of these values.
struct Reserved {
  std::string_view name;  // ends in '.': all that begin so
  std::string_view values;
  std::string_view why;
};
constexpr std::string_view kNamedByKafka = "--kafka names the brokers";
constexpr std::string_view kAtLeastOnce = "rows would be lost or doubled without notice";
constexpr std::string_view kVerifies = "the brokers' certificates are always verified";
constexpr std::string_view kLoadsCode = "it loads code into the program";
constexpr std::string_view kMechanisms = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512";
constexpr std::string_view kPasswords =
    "Kerberos runs other programs, and no token can be had for OAUTHBEARER";
constexpr std::string_view kNotForThis = "no property for this use has that name";
constexpr Reserved kReserved[] = {
    {"bootstrap.servers", "", kNamedByKafka},
    {"metadata.broker.list", "", kNamedByKafka},
    {"acks", "all,-1", kAtLeastOnce},
    {"request.required.acks", "all,-1", kAtLeastOnce},
    {"enable.idempotence", "true", kAtLeastOnce},
    {"enable.gapless.guarantee", "false", kAtLeastOnce},
    {"delivery.report.only.error", "false", kAtLeastOnce},
    {"transactional.id", "", "each row is sent once it is there, not in a transaction"},
    {"partitioner", "consistent,consistent_random,murmur2,murmur2_random,fnv1a,fnv1a_random",
     "all rows of a flow belong into one partition"},
    {"enable.ssl.certificate.verification", "true", kVerifies},
    {"ssl.endpoint.identification.algorithm", "https", kVerifies},
    {"plugin.library.paths", "", kLoadsCode},
    {"ssl.engine.location", "", kLoadsCode},
    {"ssl.engine.id", "", kLoadsCode},
    {"ssl.providers", "", kLoadsCode},
    {"sasl.mechanism", kMechanisms, kPasswords},
    {"sasl.mechanisms", kMechanisms, kPasswords},
    {"sasl.kerberos.", "", kPasswords},
    {"sasl.oauthbearer.", "", kPasswords},
};

// The others that may be set, with every value that librdkafka accepts. Only what is here: among
// the rest are the addresses of functions, and later versions will have more.
constexpr std::string_view kAllowed[] = {
    "api.version.fallback.ms",
    "api.version.request",
    "api.version.request.timeout.ms",
    "batch.num.messages",
    "batch.size",
    "broker.address.family",
    "broker.address.ttl",
    "broker.version.fallback",
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "compression.codec",
    "compression.level",
    "compression.type",
    "connections.max.idle.ms",
    "debug",
    "delivery.timeout.ms",
    "linger.ms",
    "log.connection.close",
    "log.thread.name",
    "log_level",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.copy.max.bytes",
    "message.max.bytes",
    "message.send.max.retries",
    "message.timeout.ms",
    "metadata.max.age.ms",
    "metadata.recovery.rebootstrap.trigger.ms",
    "metadata.recovery.strategy",
    "queue.buffering.backpressure.threshold",
    "queue.buffering.max.kbytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retries",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "socket.connection.setup.timeout.ms",
    "socket.keepalive.enable",
    "socket.max.fails",
    "socket.nagle.disable",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.sigalgs.list",
    "sticky.partitioning.linger.ms",
    "topic.metadata.propagation.max.ms",
    "topic.metadata.refresh.fast.interval.ms",
    "topic.metadata.refresh.interval.ms",
    "topic.metadata.refresh.sparse",
};

bool is_one_of(std::string_view value, std::string_view list) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    if (value == list.substr(0, end)) return true;
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return false;
}

Status check_property(const KafkaProperty& property) {
  bool is_known =
      std::find(std::begin(kAllowed), std::end(kAllowed), property.name) != std::end(kAllowed);
  for (const Reserved& reserved : kReserved) {
    const bool same = reserved.name.ends_with('.') ? property.name.starts_with(reserved.name)
                                                   : property.name == reserved.name;
    is_known = is_known || same;
    if (!same || is_one_of(property.value, reserved.values)) continue;
    std::string text = property.from + ": " + property.name;
    text += reserved.values.empty() ? " cannot be set: "
                                    : " can only be " + std::string(reserved.values) + ": ";
    return usage_error(text.append(reserved.why));
  }
  if (!is_known)
    return usage_error(property.from + ": " + property.name +
                       " cannot be set: " + std::string(kNotForThis));
  return Done{};
}

// Without a mechanism librdkafka uses Kerberos.
Status check_mechanism(const std::vector<KafkaProperty>& properties, const std::string& from) {
  const auto find = [&](std::string_view name) {
    return std::find_if(properties.begin(), properties.end(),
                        [name](const KafkaProperty& each) { return each.name == name; });
  };
  const auto protocol = find("security.protocol");
  if (protocol == properties.end()) return Done{};
  std::string value = protocol->value;
  for (char& c : value)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  if (value.starts_with("sasl") && find("sasl.mechanism") == properties.end() &&
      find("sasl.mechanisms") == properties.end())
    return usage_error(from + ": security.protocol=" + protocol->value +
                       " needs sasl.mechanism (PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512)");
  return Done{};
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace

Result<KafkaTarget> parse_kafka_target(const std::string& text) {
  const auto wrong = [&text](const std::string& why) {
    return usage_error("--kafka \"" + text + "\": " + why + " (it is host1:9092,host2:9092/topic)");
  };
  const size_t slash = text.rfind('/');
  if (slash == std::string::npos) return wrong("the topic is missing");
  KafkaTarget target{text.substr(0, slash), text.substr(slash + 1)};
  if (target.topic == "." || target.topic == ".." || target.topic.size() > kMostTopicBytes ||
      !is_word(target.topic, "._-"))
    return wrong("a topic has 1 to 249 letters, digits, '.', '_' and '-'");
  std::set<std::string_view> known;
  for (std::string_view rest = target.brokers;;) {
    const size_t end = std::min(rest.find(','), rest.size());
    const std::string_view broker = rest.substr(0, end);
    if (std::string why = wrong_broker(broker); !why.empty()) return wrong(why);
    if (!known.insert(broker).second)
      return wrong("\"" + std::string(broker) + "\" is named twice");
    if (end == rest.size()) break;
    rest.remove_prefix(end + 1);
  }
  return target;
}

bool KafkaProperty::is_secret() const {
  constexpr std::string_view kSecrets[] = {"password", "pem"};
  return std::any_of(std::begin(kSecrets), std::end(kSecrets), [this](std::string_view part) {
    return name.find(part) != std::string::npos;
  });
}

Result<std::vector<KafkaProperty>> parse_kafka_properties(std::string_view text,
                                                          const std::string& from) {
  std::vector<KafkaProperty> properties;
  std::map<std::string, size_t> lines;
  for (size_t number = 1; !text.empty(); number++) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line[0] == '#') continue;
    const std::string place = from + ", line " + std::to_string(number);
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || has_control_character(line))
      return usage_error(place + " is not name=value");
    KafkaProperty property{std::string(trimmed(line.substr(0, equals))),
                           std::string(trimmed(line.substr(equals + 1))), place};
    if (!is_word(property.name, "._-")) return usage_error(place + " is not name=value");
    const auto [known, is_new] = lines.emplace(property.name, number);
    if (!is_new)
      return usage_error(place + ": " + property.name + " is in line " +
                         std::to_string(known->second) + ", too");
    if (Status allowed = check_property(property); !allowed) return allowed.error();
    properties.push_back(std::move(property));
  }
  if (Status allowed = check_mechanism(properties, from); !allowed) return allowed.error();
  return properties;
}

Result<std::vector<KafkaProperty>> read_kafka_properties(const std::string& file) {
  const std::string from = "--kafka-config " + file;
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return Error{"cannot read " + from, errno, true};
  std::string text(kMostFileBytes + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(fd.get(), text.data() + size, text.size() - size);
    if (got > 0) {
      size += static_cast<size_t>(got);
      continue;
    }
    const bool is_early = got == 0 && size == 0 && S_ISFIFO(status.st_mode);  // no writer yet
    if (got < 0 && errno != EAGAIN) return Error{"cannot read " + from, errno, true};
    if (got == 0 && !is_early) break;
    pollfd writer = {fd.get(), POLLIN, 0};
    const int ready = ::poll(&writer, 1, kPatienceMs);
    if (ready > 0 && (writer.revents & POLLIN)) continue;
    if (ready > 0 && size > 0) break;
    return usage_error(from + ": nothing comes out of this pipe");
  }
  if (size > kMostFileBytes)
    return usage_error(from + " is longer than 64 KiB: it holds lines name=value");
  text.resize(size);
  return parse_kafka_properties(text, from);
}

bool everyone_can_read(const std::string& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 && everyone_can_read(status);
}

std::vector<KafkaProperty> files_of(const std::vector<KafkaProperty>& properties) {
  constexpr std::string_view kNames[] = {"ssl.ca.location", "ssl.certificate.location",
                                         "ssl.key.location", "ssl.keystore.location",
                                         "ssl.crl.location"};
  constexpr std::string_view kProbe = "probe";  // of ssl.ca.location: where systems have them
  std::vector<KafkaProperty> files;
  for (const KafkaProperty& property : properties)
    if (std::find(std::begin(kNames), std::end(kNames), property.name) != std::end(kNames) &&
        !property.value.empty() && (property.name != "ssl.ca.location" || property.value != kProbe))
      files.push_back(property);
  return files;
}

}  // namespace flowmeter
