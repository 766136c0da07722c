// SPDX-License-Identifier: BSD-3-Clause
#include "ops/service_notification.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace flowmeter {
namespace {

std::optional<uint64_t> number_in(const char* variable) {
  const char* const value = ::secure_getenv(variable);
  if (!value) return std::nullopt;
  uint64_t number = 0;
  const char* const end = value + std::strlen(value);
  const auto [stop, error] = std::from_chars(value, end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

}  // namespace

Status notify_service(std::string_view lines) {
  // Not the variable of a user who has fewer rights than the program.
  const char* path = ::secure_getenv("NOTIFY_SOCKET");
  if (!path || !*path) return Done{};
  const std::string name(path);
  const std::string doing = "tell the service manager (NOTIFY_SOCKET=" + name + ")";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // An absolute path, or a name in the abstract namespace, written with @ for its leading NUL.
  if (name[0] != '/' && name[0] != '@') return Error{doing, EAFNOSUPPORT};
  if (name.size() >= sizeof(address.sun_path)) return Error{doing, ENAMETOOLONG};
  name.copy(address.sun_path, name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';
  // The exact length matters: NULs after an abstract name would be part of it.
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());

  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return Error{doing, errno};
  ssize_t sent;
  do {
    sent = ::sendto(socket.get(), lines.data(), lines.size(), MSG_NOSIGNAL,
                    reinterpret_cast<const sockaddr*>(&address), length);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? Status(Error{doing, errno}) : Done{};
}

ServiceWatchdog::ServiceWatchdog(Host& host) : host_(host) {
  // Whom the manager watches may be another process, from which this one has the variables.
  const auto watched = number_in("WATCHDOG_PID");
  const auto expected_us = number_in("WATCHDOG_USEC");
  constexpr uint64_t kLongestUs = UINT64_MAX / 1000;
  if (expected_us && *expected_us <= kLongestUs &&
      (!watched || *watched == static_cast<uint64_t>(::getpid())))
    every_ns_ = *expected_us * 1000 / 4;
}

void ServiceWatchdog::note_alive() {
  if (every_ns_ == 0) return;
  const uint64_t now = monotonic_ns();
  if (now < next_ns_) return;
  next_ns_ = now + every_ns_;
  (void)host_.notify_service("WATCHDOG=1");  // that nobody listens was said of READY=1
}

}  // namespace flowmeter
