// SPDX-License-Identifier: BSD-3-Clause
#include "metrics/server.h"

#ifdef FLOWMETER_MICROHTTPD

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <exception>
#include <list>
#include <string>
#include <system_error>

#include "base/clock.h"
#include "metrics/process.h"

namespace flowmeter {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
// A text may be shown again for so long: the numbers do not change within it.
constexpr uint64_t kTextLifeNs = FM_SECOND_NS;
// The most that a request may have before its body, which nobody needs.
constexpr size_t kRequestBytes = 8 * 1024;
constexpr char kIndex[] = "flowmeter-ebpf\n/metrics\n/healthz\n/readyz\n";

}  // namespace

class MetricsServer::Service {
 public:
  Service(const Microhttpd& http, const MetricsServer& server) : http_(http), server_(server) {}
  ~Service() {
    if (daemon_) http_.stop_daemon(daemon_);
    for (Text& text : texts_)
      if (text.response) http_.destroy_response(text.response);
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  Status listen(int descriptor);
  // Serves until `stops`, of which wake tells.
  void serve(int wake, const std::atomic<bool>& stops);

 private:
  struct Open {
    MHD_Connection* connection;
    int descriptor;
    uint64_t since_ns;
    bool ended = false;  // here; the library sees it and closes the connection
  };
  struct Text {
    MHD_Response* response = nullptr;
    uint64_t made_ns = 0;
    std::shared_ptr<const MetricsSnapshot> of;
  };

  static MHD_Result on_request(void* self, MHD_Connection* connection, const char* path,
                               const char* method, const char* version, const char* upload,
                               size_t* upload_bytes, void** of_request);
  static void on_connection(void* self, MHD_Connection* connection, void** of_connection,
                            MHD_ConnectionNotificationCode what);
  MHD_Result answer(MHD_Connection* connection, std::string_view path, std::string_view method);
  MHD_Result say(MHD_Connection* connection, unsigned status, const std::string& text);
  MHD_Result health(MHD_Connection* connection);
  MHD_Result readiness(MHD_Connection* connection);
  MHD_Response* response_of(const std::string& text, const char* type) const;
  MHD_Response* metrics(MetricsFormat format);
  bool hangs(const MetricsSnapshot& snapshot) const;
  void opened(MHD_Connection* connection);
  void closed(MHD_Connection* connection);
  void end_overdue();
  int patience_ms() const;

  const Microhttpd& http_;
  const MetricsServer& server_;
  const ProcessReader process_;
  MHD_Daemon* daemon_ = nullptr;
  std::list<Open> open_;   // the oldest first
  bool has_room_ = false;  // for those that wait: the library looks for them when it runs again
  Text texts_[2];          // by format
};

Status MetricsServer::Service::listen(int descriptor) {
  daemon_ = http_.start_daemon(
      MHD_USE_EPOLL, 0, nullptr, nullptr, on_request, this, MHD_OPTION_LISTEN_SOCKET, descriptor,
      MHD_OPTION_NOTIFY_CONNECTION, on_connection, this, MHD_OPTION_CONNECTION_LIMIT,
      static_cast<unsigned>(2 * kMostConnections), MHD_OPTION_CONNECTION_TIMEOUT,
      static_cast<unsigned>(kLifetimeNs / FM_SECOND_NS), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
      kRequestBytes, MHD_OPTION_END);
  if (daemon_) return Done{};
  return Error{"--metrics: libmicrohttpd cannot serve", errno};
}

void MetricsServer::Service::serve(int wake, const std::atomic<bool>& stops) {
  const MHD_DaemonInfo* const info = http_.get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
  pollfd ready[] = {{info ? info->epoll_fd : -1, POLLIN, 0}, {wake, POLLIN, 0}};
  while (!stops) {
    ::poll(ready, 2, std::exchange(has_room_, false) ? 0 : patience_ms());
    http_.run(daemon_);
    end_overdue();
    // Whatever comes, and even if descriptors run out, this thread takes little time from others.
    const timespec pause{0, kMillisecond};
    ::nanosleep(&pause, nullptr);
  }
}

// How long nothing has to be done if nothing comes. -1: for ever.
int MetricsServer::Service::patience_ms() const {
  MHD_UNSIGNED_LONG_LONG wanted_ms = 0;
  const bool waits = http_.get_timeout(daemon_, &wanted_ms) == MHD_YES;
  constexpr MHD_UNSIGNED_LONG_LONG kLook = 100;  // end_overdue()
  if (!waits) wanted_ms = kLook;
  return open_.empty() && !waits ? -1 : static_cast<int>(std::min(wanted_ms, kLook));
}

void MetricsServer::Service::end_overdue() {
  const uint64_t now = monotonic_ns();
  size_t left = open_.size();
  for (Open& each : open_) {
    const bool too_many = left-- > kMostConnections;
    if (each.ended || (!too_many && now - each.since_ns <= server_.lifetime_ns_)) continue;
    each.ended = true;
    ::shutdown(each.descriptor, SHUT_RDWR);
  }
}

void MetricsServer::Service::opened(MHD_Connection* connection) {
  const MHD_ConnectionInfo* const info =
      http_.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (!info) return;
  open_.push_back({connection, info->connect_fd, monotonic_ns()});
}

void MetricsServer::Service::closed(MHD_Connection* connection) {
  open_.remove_if([&](const Open& each) { return each.connection == connection; });
  has_room_ = true;
}

void MetricsServer::Service::on_connection(void* self, MHD_Connection* connection, void**,
                                           MHD_ConnectionNotificationCode what) {
  Service& service = *static_cast<Service*>(self);
  try {
    if (what == MHD_CONNECTION_NOTIFY_STARTED)
      service.opened(connection);
    else
      service.closed(connection);
  } catch (const std::exception&) {
    // No memory: the library's own time-out ends it.
  }
}

MHD_Result MetricsServer::Service::on_request(void* self, MHD_Connection* connection,
                                              const char* path, const char* method, const char*,
                                              const char*, size_t*, void**) {
  try {
    return static_cast<Service*>(self)->answer(connection, path, method);
  } catch (const std::exception&) {
    return MHD_NO;  // no memory: the connection is closed
  }
}

MHD_Response* MetricsServer::Service::response_of(const std::string& text, const char* type) const {
  MHD_Response* const response = http_.create_response_from_buffer(
      text.size(), const_cast<char*>(text.data()), MHD_RESPMEM_MUST_COPY);
  if (!response) throw std::bad_alloc();
  http_.add_response_header(response, "Content-Type", type);
  http_.add_response_header(response, "Connection", "close");
  http_.add_response_header(response, "Cache-Control", "no-store");
  return response;
}

MHD_Result MetricsServer::Service::say(MHD_Connection* connection, unsigned status,
                                       const std::string& text) {
  MHD_Response* const response = response_of(text, "text/plain; charset=utf-8");
  if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
    http_.add_response_header(response, "Allow", "GET, HEAD");
  const MHD_Result queued = http_.queue_response(connection, status, response);
  http_.destroy_response(response);
  return queued;
}

MHD_Result MetricsServer::Service::answer(MHD_Connection* connection, std::string_view path,
                                          std::string_view method) {
  if (method != "GET" && method != "HEAD")
    return say(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
  if (path == "/healthz") return health(connection);
  if (path == "/readyz") return readiness(connection);
  if (path == "/") return say(connection, MHD_HTTP_OK, kIndex);
  if (path != "/metrics") return say(connection, MHD_HTTP_NOT_FOUND, "not found\n");
  const char* const accept = http_.lookup_connection_value(connection, MHD_HEADER_KIND, "Accept");
  return http_.queue_response(connection, MHD_HTTP_OK,
                              metrics(accepted_format(accept ? accept : "")));
}

bool MetricsServer::Service::hangs(const MetricsSnapshot& snapshot) const {
  // What ends has its own limits of time (--drain).
  const uint64_t now = monotonic_ns();
  return snapshot.state != MetricsSnapshot::State::kEnding && now > snapshot.made_ns &&
         now - snapshot.made_ns > kStaleNs;
}

MHD_Result MetricsServer::Service::health(MHD_Connection* connection) {
  if (hangs(*server_.snapshot_.load()))
    return say(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the metering loop hangs\n");
  return say(connection, MHD_HTTP_OK, "ok\n");
}

MHD_Result MetricsServer::Service::readiness(MHD_Connection* connection) {
  const auto snapshot = server_.snapshot_.load();
  const std::string why = hangs(*snapshot) ? "the metering loop hangs" : snapshot->unready();
  if (why.empty()) return say(connection, MHD_HTTP_OK, "ready\n");
  return say(connection, MHD_HTTP_SERVICE_UNAVAILABLE, why + "\n");
}

MHD_Response* MetricsServer::Service::metrics(MetricsFormat format) {
  Text& text = texts_[static_cast<size_t>(format)];
  auto snapshot = server_.snapshot_.load();
  const uint64_t now = monotonic_ns();
  if (text.response && text.of == snapshot && now - text.made_ns < kTextLifeNs)
    return text.response;
  MHD_Response* const made =
      response_of(metrics_text(*snapshot, process_.read(), now, format), content_type(format));
  if (text.response) http_.destroy_response(text.response);  // who still reads it keeps it
  text = {made, now, std::move(snapshot)};
  return made;
}

MetricsServer::MetricsServer(const Microhttpd& http, uint64_t lifetime_ns)
    : http_(http), lifetime_ns_(lifetime_ns) {}

Result<std::unique_ptr<MetricsServer>> MetricsServer::create(uint64_t lifetime_ns) {
  auto http = load_microhttpd();
  if (!http) return http.error();
  std::unique_ptr<MetricsServer> server(new MetricsServer(**http, lifetime_ns));
  auto starting = std::make_shared<MetricsSnapshot>();
  starting->made_ns = monotonic_ns();
  server->publish(std::move(starting));
  server->service_ = std::make_unique<Service>(server->http_, *server);
  server->wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!server->wake_) return Error{"--metrics", errno};
  return server;
}

Status MetricsServer::start(MetricsListener& listener) {
  if (Status listens = service_->listen(listener.descriptor()); !listens) return listens;
  (void)listener.release();  // the library closes it
  // Signals must reach the metering thread.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  Status started = Done{};
  try {
    thread_ = std::thread([this] { service_->serve(wake_.get(), stops_); });
  } catch (const std::system_error& error) {
    started = Error{"--metrics: cannot start a thread", error.code().value()};
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

void MetricsServer::stop() {
  if (!thread_.joinable()) return;
  stops_ = true;
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));
  thread_.join();
}

MetricsServer::~MetricsServer() {
  stop();
}

}  // namespace flowmeter

#else

namespace flowmeter {

class MetricsServer::Service {};

MetricsServer::MetricsServer(const Microhttpd& http, uint64_t lifetime_ns)
    : http_(http), lifetime_ns_(lifetime_ns) {}
Result<std::unique_ptr<MetricsServer>> MetricsServer::create(uint64_t) {
  return load_microhttpd().error();
}
Status MetricsServer::start(MetricsListener&) {
  return load_microhttpd().error();
}
void MetricsServer::stop() {}
MetricsServer::~MetricsServer() = default;

}  // namespace flowmeter

#endif
