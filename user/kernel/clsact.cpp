// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clsact.h"

#include <fcntl.h>
#include <linux/if_ether.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "kernel/traffic_control.h"

namespace flowmeter {
namespace {

constexpr std::string_view kNamePrefix = "flowmeter-ebpf/";
constexpr std::string_view kMadeQdisc = "/qdisc";
constexpr size_t kTokenLength = 16;
// The priority that the kernel assigns to a filter without one. It leaves room on both sides.
constexpr uint16_t kFirstPriority = 49152;

// The contents of the name of one of our filters.
struct Ownership {
  std::string token;
  bool made_qdisc = false;
};

std::optional<Ownership> ownership(const TrafficFilter& filter) {
  std::string_view rest = filter.name;
  if (filter.kind != "bpf" || !rest.starts_with(kNamePrefix)) return std::nullopt;
  rest.remove_prefix(kNamePrefix.size());
  const size_t pid_length = rest.find('/');  // the rest is for people
  if (pid_length == rest.npos) return std::nullopt;
  rest.remove_prefix(pid_length + 1);
  if (rest.find('/') != kTokenLength) return std::nullopt;
  return Ownership{std::string(rest.substr(0, kTokenLength)), rest.ends_with(kMadeQdisc)};
}

struct AbstractAddress {
  explicit AbstractAddress(const std::string& token) {
    address.sun_family = AF_UNIX;
    const std::string name = std::string(kNamePrefix) + token;
    name.copy(address.sun_path + 1, sizeof(address.sun_path) - 1);
    length = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + 1 + name.size());
  }
  const struct sockaddr* get() const { return reinterpret_cast<const struct sockaddr*>(&address); }

  struct sockaddr_un address {};
  socklen_t length;
};

UniqueFd unix_socket() {
  return UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

bool is_dead(const std::string& token) {
  const UniqueFd socket = unix_socket();
  const AbstractAddress address(token);
  return socket && ::connect(socket.get(), address.get(), address.length) != 0 &&
         errno == ECONNREFUSED;
}

// Only one of our processes at a time changes filters in a network namespace, because "the qdisc is
// empty, so delete it" takes two requests. The lock is on the namespace itself. A process that
// holds it for long is not ours, so the wait for it is limited.
class NamespaceLock {
 public:
  NamespaceLock() : file_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    for (int ms = 0; ms < 2000 && file_; ms++) {
      if (::flock(file_.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) break;
      ::usleep(1000);
    }
  }

 private:
  UniqueFd file_;
};

// If this fails, an empty qdisc remains. Requires: we made it; the NamespaceLock.
void delete_clsact_if_empty(unsigned interface_index) {
  if (auto empty = clsact_is_empty(interface_index); empty && *empty)
    (void)delete_clsact(interface_index);
}

using Which = std::function<bool(const TrafficFilter&, const Ownership&)>;

// Removes those of our filters on an interface that `which` selects and, after the last filter, the
// qdisc if we made it. If a filter's name says that we made the qdisc, it is still the same qdisc,
// because filters vanish with their qdisc. Requires: the NamespaceLock.
size_t remove_filters(unsigned interface_index, const Which& which) {
  size_t removed = 0;
  bool made_qdisc = false;
  for (const Direction direction : {Direction::kIngress, Direction::kEgress}) {
    auto filters = list_filters(interface_index, direction);
    if (!filters) continue;
    for (const TrafficFilter& filter : *filters) {
      const auto owned = ownership(filter);
      if (!owned || !which(filter, *owned) || !delete_filter(filter)) continue;
      removed++;
      made_qdisc = made_qdisc || owned->made_qdisc;
    }
  }
  if (made_qdisc) delete_clsact_if_empty(interface_index);
  return removed;
}

// The same on all interfaces.
Result<size_t> remove_all_filters(const Which& which) {
  const NamespaceLock lock;
  auto qdiscs = list_ingress_qdiscs();
  if (!qdiscs) return Error{"cannot list qdiscs", qdiscs.error().os_error};
  size_t removed = 0;
  for (const IngressQdisc& qdisc : *qdiscs) removed += remove_filters(qdisc.interface_index, which);
  return removed;
}

// The main function of the guardian. It waits until the other end of the socket is closed, however
// the process ends, and then removes the filters that the process left. Signals that a terminal or
// a service manager sends to a whole session or service must not end it earlier. SIGKILL may.
[[noreturn]] void guard(int process, const std::string& token) {
  ::setsid();
  ::prctl(PR_SET_NAME, "flowmeter-guard");
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGALRM, SIGUSR1, SIGUSR2})
    ::signal(signal, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);

  // Closes every inherited descriptor. Otherwise a reader would wait forever for the end of the
  // process's output, and its BPF links would never be detached. Leaves its directory, so that it
  // does not keep a mount busy.
  if (::chdir("/") != 0) ::_exit(1);
  constexpr int kProcess = 3;
  if (process != kProcess && ::dup2(process, kProcess) < 0) ::_exit(1);
  ::close_range(kProcess + 1, ~0u, 0);
  const int null = ::open("/dev/null", O_RDWR);
  for (int standard = 0; standard < kProcess; standard++) ::dup2(null, standard);
  if (null > kProcess) ::close(null);

  char byte = 0;
  if (::write(kProcess, &byte, 1) != 1) ::_exit(1);  // ready
  while (::read(kProcess, &byte, 1) < 0 && errno == EINTR) {
  }
  const auto removed = remove_all_filters(
      [&](const TrafficFilter&, const Ownership& owned) { return owned.token == token; });
  ::_exit(removed ? 0 : 1);
}

}  // namespace

// The identity of this process in the names of its filters. Exists as long as the process has
// filters.
class FilterOwner {
 public:
  static Result<std::shared_ptr<FilterOwner>> of_this_process();
  FilterOwner(const FilterOwner&) = delete;
  FilterOwner& operator=(const FilterOwner&) = delete;
  // The guardian ends when its socket is closed. It removes filters that could not be removed here,
  // for instance because this process has dropped its capabilities.
  ~FilterOwner() {
    { const UniqueFd closed = std::move(guard_); }
    while (guardian_ > 0 && ::waitpid(guardian_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  std::string name_filter(bool made_qdisc) {
    return std::string(kNamePrefix) + std::to_string(::getpid()) + "/" + token_ + "/" +
           std::to_string(++filters_) + std::string(made_qdisc ? kMadeQdisc : "");
  }

 private:
  FilterOwner() = default;
  Status show_alive();
  Status start_guardian();

  std::string token_;
  UniqueFd alive_;  // bound to the token
  UniqueFd guard_;  // connected to the guardian, which sends one byte when it is ready
  pid_t guardian_ = -1;
  uint64_t filters_ = 0;
};

Result<std::shared_ptr<FilterOwner>> FilterOwner::of_this_process() {
  static std::weak_ptr<FilterOwner> only;
  std::shared_ptr<FilterOwner> owner = only.lock();
  if (owner) return owner;
  owner.reset(new FilterOwner);
  if (Status alive = owner->show_alive(); !alive) return alive.error();
  if (Status started = owner->start_guardian(); !started) return started.error();
  only = owner;
  return owner;
}

Status FilterOwner::show_alive() {
  unsigned char random[kTokenLength / 2];
  if (::getrandom(random, sizeof(random), 0) != sizeof(random)) return Error{"getrandom", errno};
  for (const unsigned char byte : random) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", byte);
    token_ += digits;
  }
  alive_ = unix_socket();
  const AbstractAddress address(token_);
  if (!alive_ || ::bind(alive_.get(), address.get(), address.length) != 0)
    return Error{"cannot bind an abstract Unix socket", errno};
  return Done{};
}

Status FilterOwner::start_guardian() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Error{"cannot create a socket pair", errno};
  guard_ = UniqueFd(ends[0]);
  UniqueFd other(ends[1]);
  sigset_t all, before;
  sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, &before);  // until the child ignores them
  guardian_ = ::fork();
  if (guardian_ == 0) guard(other.get(), token_);
  const int os_error = errno;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (guardian_ < 0) return Error{"cannot fork the guardian of the filters", os_error};
  { const UniqueFd closed = std::move(other); }
  char byte = 0;
  ssize_t size = 0;
  while ((size = ::read(guard_.get(), &byte, 1)) < 0 && errno == EINTR) {
  }
  if (size != 1) return Error{"the guardian of the filters could not start"};
  return Done{};
}

namespace {

// Finds a free priority before or after all existing ones. Nothing can be before priority 1; if
// that exists, 1 itself is used, because the newest filter of a priority runs first.
Result<uint16_t> choose_priority(const std::vector<TrafficFilter>& filters, AttachOrder order) {
  const TrafficFilter* outermost = nullptr;
  for (const TrafficFilter& filter : filters) {
    if (filter.chain != 0) continue;  // reached by jumps only
    if (!outermost || (order == AttachOrder::kFirst ? filter.priority < outermost->priority
                                                    : filter.priority > outermost->priority))
      outermost = &filter;
  }
  if (!outermost) return kFirstPriority;
  if (order == AttachOrder::kLast) {
    if (outermost->priority == UINT16_MAX)
      return Error{"the last priority, 65535, is taken; --attach-order first or --hook tcx works"};
    return static_cast<uint16_t>(outermost->priority + 1);
  }
  if (outermost->priority > 1) return static_cast<uint16_t>(outermost->priority - 1);
  if (outermost->kind != "bpf" || outermost->protocol != ETH_P_ALL)
    return Error{"the first priority, 1, is taken by a filter of kind " + outermost->kind +
                 "; --attach-order last or --hook tcx works"};
  return uint16_t{1};
}

std::string reason(const Error& error) {
  return error.os_error == EPERM ? "CAP_NET_ADMIN is needed" : error.message();
}

// Sets made_now if there was no qdisc before. Requires: the NamespaceLock.
Status ensure_clsact(unsigned interface_index, bool& made_now) {
  Status created = create_clsact(interface_index);
  made_now = static_cast<bool>(created);
  if (created) return created;
  if (created.error().os_error == ENOENT)
    return Error{"this kernel has no clsact qdisc (CONFIG_NET_SCH_INGRESS); use --hook tcx"};
  if (created.error().os_error != EEXIST) return created;
  auto qdisc = ingress_qdisc(interface_index);
  if (!qdisc) return qdisc.error();
  if (qdisc->empty() || *qdisc == "clsact") return Done{};
  return Error{"its qdisc of kind " + *qdisc +
               " belongs to another program and excludes a clsact qdisc; --hook tcx needs none"};
}

}  // namespace

Result<std::unique_ptr<ClsactFilter>> ClsactFilter::attach(int program_fd,
                                                           const Interface& interface,
                                                           Direction direction, AttachOrder order) {
  const auto failed = [&](const Error& error) {
    return Error{"cannot attach to " + interface.name +
                 (direction == Direction::kIngress ? " ingress" : " egress") +
                 " (clsact): " + reason(error)};
  };
  // Forks before the lock is taken, because the guardian would keep a copy of it.
  auto owner = FilterOwner::of_this_process();
  if (!owner) return failed(owner.error());

  const NamespaceLock lock;
  remove_filters(interface.index,
                 [](const TrafficFilter&, const Ownership& owned) { return is_dead(owned.token); });
  bool made_now = false;
  if (Status ready = ensure_clsact(interface.index, made_now); !ready) return failed(ready.error());
  const auto give_up = [&](const Error& error) {
    if (made_now) delete_clsact_if_empty(interface.index);
    return failed(error);
  };

  // The last of our processes to end removes a qdisc that we made.
  bool made_qdisc = made_now;
  std::vector<TrafficFilter> neighbours;
  for (const Direction each : {Direction::kIngress, Direction::kEgress}) {
    auto filters = list_filters(interface.index, each);
    if (!filters) return give_up(filters.error());
    for (const TrafficFilter& filter : *filters)
      if (const auto owned = ownership(filter)) made_qdisc = made_qdisc || owned->made_qdisc;
    if (each == direction) neighbours = std::move(*filters);
  }

  TrafficFilter filter;
  filter.interface_index = interface.index;
  filter.direction = direction;
  filter.protocol = ETH_P_ALL;
  filter.kind = "bpf";
  filter.name = (*owner)->name_filter(made_qdisc);
  Status added = Done{};
  if (auto priority = choose_priority(neighbours, order); priority) {
    filter.priority = *priority;
    added = add_filter(filter, program_fd);
    if (!added && added.error().os_error == ENOENT)
      added = Error{"this kernel has no BPF filters (CONFIG_NET_CLS_BPF); use --hook tcx"};
  } else {
    added = priority.error();
  }
  if (!added) return give_up(added.error());
  return std::unique_ptr<ClsactFilter>(
      new ClsactFilter(*owner, filter.name, interface.index, direction));
}

ClsactFilter::~ClsactFilter() {
  const NamespaceLock lock;
  remove_filters(interface_index_, [this](const TrafficFilter& filter, const Ownership&) {
    return filter.name == name_;
  });
}

bool ClsactFilter::in_place() const {
  auto filters = list_filters(interface_index_, direction_);
  if (!filters) return filters.error().is_shortage();  // then it is not known
  return std::any_of(filters->begin(), filters->end(),
                     [this](const auto& filter) { return filter.name == name_; });
}

Result<size_t> remove_stale_filters() {
  return remove_all_filters(
      [](const TrafficFilter&, const Ownership& owned) { return is_dead(owned.token); });
}

}  // namespace flowmeter
