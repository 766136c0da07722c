// SPDX-License-Identifier: BSD-3-Clause
#include "metrics/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>

namespace flowmeter {
namespace {

constexpr char kUnix[] = "unix:";

bool is_ip_address(const std::string& host, int family) {
  // getaddrinfo knows the index of an interface ("fe80::1%lo"), but also takes "1" and
  // "0177.0.0.1".
  in6_addr parsed{};
  if (::inet_pton(family, host.substr(0, host.find('%')).c_str(), &parsed) != 1) return false;
  addrinfo hints{};
  hints.ai_family = family;
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return false;
  ::freeaddrinfo(found);
  return true;
}

bool is_port(const std::string& text) {
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, port);
  return read.ec == std::errc() && read.ptr == end && port > 0;
}

Result<MetricsAddress> unix_socket(std::string path) {
  if (path.empty() || path[0] != '/')
    return Error{"the path of a socket is absolute: \"" + path + "\" is not"};
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return Error{"the path of a socket has at most " +
                 std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes"};
  MetricsAddress address;
  address.path = std::move(path);
  return address;
}

}  // namespace

Result<MetricsAddress> MetricsAddress::parse(const std::string& text) {
  if (text.starts_with(kUnix)) return unix_socket(text.substr(sizeof(kUnix) - 1));
  if (text.starts_with("/")) return unix_socket(text);
  const Error wrong{"\"" + text +
                    "\" is not an address (127.0.0.1:9464, [::1]:9464, :9464 for all addresses, or "
                    "/run/NAME.sock)"};
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return wrong;
  MetricsAddress address;
  address.host = text.substr(0, colon);
  address.port = text.substr(colon + 1);
  if (!is_port(address.port)) return wrong;
  std::string& host = address.host;
  if (host.empty()) return address;
  if (host == "localhost") {
    host = "127.0.0.1";
  } else if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (!is_ip_address(host, AF_INET6)) return wrong;
  } else if (!is_ip_address(host, AF_INET)) {
    return wrong;
  }
  return address;
}

}  // namespace flowmeter
