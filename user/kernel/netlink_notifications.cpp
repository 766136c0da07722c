// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/netlink_notifications.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>

namespace flowmeter {
namespace {

// A notification is one message of some hundred bytes.
constexpr size_t kBufferBytes = 64 * 1024;

}  // namespace

NetlinkNotifications::NetlinkNotifications(UniqueFd fd)
    : fd_(std::move(fd)), buffer_(kBufferBytes) {}

Result<NetlinkNotifications> NetlinkNotifications::open(int protocol, uint32_t groups,
                                                        int buffer_bytes) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return Error{"", errno};
  // More than net.core.rmem_max if permitted; otherwise the buffer only overflows a little earlier.
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof(buffer_bytes)) != 0)
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &buffer_bytes, sizeof(buffer_bytes));
  struct sockaddr_nl address {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (::bind(fd.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) != 0)
    return Error{"", errno};
  return NetlinkNotifications(std::move(fd));
}

Result<NetlinkNotifications::Receipt> NetlinkNotifications::receive(std::string_view& datagram) {
  datagram = {};
  sockaddr_nl sender{};
  iovec part{buffer_.data(), buffer_.size()};
  msghdr message{};
  message.msg_name = &sender;
  message.msg_namelen = sizeof(sender);
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const ssize_t size = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
  if (size < 0) {
    if (errno == EAGAIN) return Receipt::kNothing;
    if (errno == ENOBUFS) return Receipt::kLost;
    return Error{"", errno};
  }
  if (sender.nl_pid != 0) return Receipt::kDatagram;  // not from the kernel: none
  if (message.msg_flags & MSG_TRUNC) return Receipt::kLost;
  datagram = {buffer_.data(), static_cast<size_t>(size)};
  return Receipt::kDatagram;
}

}  // namespace flowmeter
