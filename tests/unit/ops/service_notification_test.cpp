// SPDX-License-Identifier: BSD-3-Clause
// Datagrams to a socket of the test, which plays the service manager: by path and by abstract name;
// and the error if it cannot be reached.
#include "ops/service_notification.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/unique_fd.h"

namespace flowmeter {
namespace {

class ServiceNotification : public ::testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/fmtest-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    directory_ = pattern;
  }
  void TearDown() override {
    ::unsetenv("NOTIFY_SOCKET");
    std::filesystem::remove_all(directory_);
  }

  // Binds to a name and sets $NOTIFY_SOCKET to it.
  void listen(const std::string& name) {
    socket_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    ASSERT_LT(name.size(), sizeof(address.sun_path));
    name.copy(address.sun_path, name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    ASSERT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                     static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
              0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }

  // The next datagram; "" if there is none.
  std::string received() {
    char text[256];
    const ssize_t size = ::recv(socket_.get(), text, sizeof(text), 0);
    return size < 0 ? "" : std::string(text, static_cast<size_t>(size));
  }

  std::string directory_;
  UniqueFd socket_;
};

TEST_F(ServiceNotification, IsOneDatagramToAPath) {
  listen(directory_ + "/notify");
  EXPECT_TRUE(notify_service("READY=1\nSTATUS=metering eth0"));
  EXPECT_EQ(received(), "READY=1\nSTATUS=metering eth0");
  EXPECT_EQ(received(), "");
}

TEST_F(ServiceNotification, ReachesAnAbstractName) {
  listen("@fmtest-notify-" + std::to_string(::getpid()));
  EXPECT_TRUE(notify_service("STOPPING=1"));
  EXPECT_EQ(received(), "STOPPING=1");
}

TEST_F(ServiceNotification, IsNotSentWithoutAServiceManager) {
  listen(directory_ + "/notify");
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(notify_service("READY=1"));
  ::setenv("NOTIFY_SOCKET", "", 1);
  EXPECT_TRUE(notify_service("READY=1"));
  EXPECT_EQ(received(), "");
}

TEST_F(ServiceNotification, SaysWhenNobodyListens) {
  const std::string path = directory_ + "/nobody";
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  const Status sent = notify_service("READY=1");
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().os_error, ENOENT);
  EXPECT_NE(sent.error().message().find(path), std::string::npos) << sent.error().message();
}

TEST_F(ServiceNotification, RefusesANameThatIsNoSocket) {
  ::setenv("NOTIFY_SOCKET", "relative/path", 1);
  EXPECT_EQ(notify_service("READY=1").error().os_error, EAFNOSUPPORT);
  const std::string longest = "/" + std::string(sizeof(sockaddr_un::sun_path), 'x');
  ::setenv("NOTIFY_SOCKET", longest.c_str(), 1);
  EXPECT_EQ(notify_service("READY=1").error().os_error, ENAMETOOLONG);
}

}  // namespace
}  // namespace flowmeter
