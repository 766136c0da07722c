// SPDX-License-Identifier: BSD-3-Clause
#include "ops/service_notification.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <string>

#include "base/unique_fd.h"

namespace flowmeter {

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

}  // namespace flowmeter
