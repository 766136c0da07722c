// SPDX-License-Identifier: BSD-3-Clause
#include "metrics/listener.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace flowmeter {
namespace {

// Connections that wait to be accepted. Some thousand are accepted per second.
constexpr int kBacklog = 128;
// Who may write to the file may connect: the user and the group.
constexpr mode_t kUmask = 0117;

UniqueFd new_socket(int family) {
  return UniqueFd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

Error cannot_listen(int os_error) {
  if (os_error == EADDRINUSE) return Error{"another program listens there", os_error};
  if (os_error == EADDRNOTAVAIL) return Error{"no interface has this address", os_error};
  return Error{"cannot listen", os_error};
}

// Returns 0 or an errno value.
int bind_tcp(const UniqueFd& socket, const addrinfo& where) {
  if (!socket) return errno;
  const int on = 1, off = 0;
  // Connections of the run before do not keep the port.
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (where.ai_family == AF_INET6)  // "::" is also all IPv4 addresses
    ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  return ::bind(socket.get(), where.ai_addr, where.ai_addrlen) == 0 ? 0 : errno;
}

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());  // MetricsAddress checks the length
  return address;
}

// Makes way for a new socket. What belongs to somebody else, or is used, stays.
Status remove_stale(const std::string& path) {
  struct stat file {};
  if (::lstat(path.c_str(), &file) != 0)
    return errno == ENOENT ? Done{} : Status(cannot_listen(errno));
  if (!S_ISSOCK(file.st_mode)) return Error{"this is a file, and not a socket"};
  const sockaddr_un address = unix_address(path);
  const UniqueFd probe = new_socket(AF_UNIX);
  if (!probe) return cannot_listen(errno);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno == EAGAIN)
    return cannot_listen(EADDRINUSE);
  if (errno != ECONNREFUSED) return cannot_listen(errno);
  if (file.st_uid != ::geteuid()) return Error{"this socket was left by another user: remove it"};
  return ::unlink(path.c_str()) == 0 ? Status(Done{}) : cannot_listen(errno);
}

}  // namespace

Result<MetricsListener> MetricsListener::open(const MetricsAddress& address) {
  MetricsListener listener;
  Status bound =
      address.path.empty() ? listener.bind_port(address) : listener.bind_path(address.path);
  if (!bound) return bound.error();
  return listener;
}

Status MetricsListener::bind_port(const MetricsAddress& address) {
  // All addresses: those of IPv4 only where there is no IPv6.
  int os_error = EAFNOSUPPORT;
  for (const char* host : {address.host.empty() ? "::" : address.host.c_str(), "0.0.0.0"}) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (::getaddrinfo(host, address.port.c_str(), &hints, &found) != 0)
      return cannot_listen(EINVAL);
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, ::freeaddrinfo);
    UniqueFd socket = new_socket(found->ai_family);
    os_error = bind_tcp(socket, *found);
    if (os_error == 0) {
      socket_ = std::move(socket);
      return Done{};
    }
    if (!address.host.empty() || (os_error != EAFNOSUPPORT && os_error != EADDRNOTAVAIL)) break;
  }
  return cannot_listen(os_error);
}

Status MetricsListener::bind_path(const std::string& path) {
  if (Status removed = remove_stale(path); !removed) return removed;
  const sockaddr_un address = unix_address(path);
  UniqueFd socket = new_socket(AF_UNIX);
  if (!socket) return cannot_listen(errno);
  const mode_t before = ::umask(kUmask);
  const int bound =
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int os_error = errno;
  ::umask(before);
  if (bound != 0) return cannot_listen(os_error);
  path_ = path;
  struct stat file {};
  if (::lstat(path.c_str(), &file) != 0 || !S_ISSOCK(file.st_mode)) return cannot_listen(errno);
  device_ = file.st_dev;
  inode_ = file.st_ino;
  socket_ = std::move(socket);
  return Done{};
}

bool MetricsListener::has_file() const {
  struct stat file {};
  return ::lstat(path_.c_str(), &file) == 0 && file.st_dev == device_ && file.st_ino == inode_;
}

Status MetricsListener::listen() {
  if (!path_.empty() && !has_file()) return cannot_listen(EADDRINUSE);
  return ::listen(socket_.get(), kBacklog) == 0 ? Status(Done{}) : cannot_listen(errno);
}

Status MetricsListener::remove() {
  if (path_.empty() || !has_file()) return Done{};
  if (::unlink(path_.c_str()) == 0) return Done{};
  return Error{"cannot remove the socket " + path_, errno};
}

}  // namespace flowmeter
