// SPDX-License-Identifier: BSD-3-Clause
// A container engine that answers each connection with given bytes, whatever it is asked.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/unique_fd.h"

namespace flowmeter::testing {

class FakeEngine {
 public:
  // question: what has come in the first read; of HTTP/2 the first request.
  using Answer = std::function<std::string(const std::string& question)>;

  // then_hangs: leaves connections open after the answer, as far as their protocol is its own:
  // a runtime closes those that do not speak HTTP/2.
  FakeEngine(std::string path, Answer answer, bool then_hangs = false)
      : path_(std::move(path)),
        answer_(std::move(answer)),
        then_hangs_(then_hangs),
        listener_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ::unlink(path_.c_str());
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
        ::listen(listener_.get(), 16) != 0)
      std::abort();
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeEngine() {
    stops_ = true;
    thread_.join();
    ::unlink(path_.c_str());
  }

  std::string address() const { return "unix://" + path_; }
  int connections() const { return connections_; }

 private:
  bool wait(int fd, short events) const {
    pollfd waits{fd, events, 0};
    while (!stops_)
      if (::poll(&waits, 1, 20) > 0) return true;
    return false;
  }

  // Whether a frame of HTTP/2 has come that ends a request: an answer before it is an error.
  static bool is_whole(std::string_view question) {
    constexpr size_t kFrameHead = 9;
    size_t at = kHttp2.size();
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(question[at + i]); };
    while (at + kFrameHead <= question.size()) {
      const size_t size = size_t{byte(0)} << 16 | size_t{byte(1)} << 8 | byte(2);
      const bool is_request = byte(3) <= 1;  // DATA, HEADERS
      const bool ends = byte(4) & 1;         // END_STREAM
      at += kFrameHead + size;
      if (is_request && ends && at <= question.size()) return true;
    }
    return false;
  }

  void serve() {
    while (wait(listener_.get(), POLLIN)) {
      const UniqueFd peer(::accept(listener_.get(), nullptr, nullptr));
      connections_++;
      char question[4096];
      std::string asked;
      bool is_http2 = false;
      do {
        if (!wait(peer.get(), POLLIN)) return;
        const ssize_t size = ::recv(peer.get(), question, sizeof(question), 0);
        if (size <= 0) break;
        asked.append(question, static_cast<size_t>(size));
        is_http2 = asked.starts_with(kHttp2);
      } while (is_http2 && !is_whole(asked));
      const std::string answer = answer_(asked);
      for (size_t sent = 0; sent < answer.size() && wait(peer.get(), POLLOUT);) {
        const ssize_t put = ::send(peer.get(), answer.data() + sent, answer.size() - sent,
                                   MSG_NOSIGNAL | MSG_DONTWAIT);
        if (put <= 0) break;
        sent += static_cast<size_t>(put);
      }
      const bool closes = !answer.empty() && !is_http2;
      while (then_hangs_ && !closes && wait(peer.get(), POLLIN))
        if (::recv(peer.get(), question, sizeof(question), 0) <= 0) break;
    }
  }

  static constexpr std::string_view kHttp2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

  const std::string path_;
  const Answer answer_;
  const bool then_hangs_;
  const UniqueFd listener_;
  std::atomic<bool> stops_ = false;
  std::atomic<int> connections_ = 0;
  std::thread thread_;
};

inline std::string http_answer(const std::string& body, const std::string& status = "200 OK") {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\n\r\n" + body;
}

// An answer by gRPC to the first call of a connection.
inline std::string grpc_answer(const std::string& message) {
  const auto big_endian = [](size_t value, int bytes) {
    std::string text;
    while (bytes-- > 0) text.push_back(static_cast<char>(value >> (8 * bytes)));
    return text;
  };
  const auto frame = [&](char type, char flags, size_t stream, const std::string& body) {
    return big_endian(body.size(), 3) + type + flags + big_endian(stream, 4) + body;
  };
  const auto header = [](const std::string& name, const std::string& value) {
    return std::string(1, '\0') + static_cast<char>(name.size()) + name +
           static_cast<char>(value.size()) + value;
  };
  constexpr char kData = 0, kHeaders = 1, kSettings = 4, kEndOfHeaders = 4, kEndOfStream = 1;
  return frame(kSettings, 0, 0, "") + frame(kSettings, 1, 0, "") +
         frame(kHeaders, kEndOfHeaders, 1, "\x88" + header("content-type", "application/grpc")) +
         frame(kData, 0, 1, std::string(1, '\0') + big_endian(message.size(), 4) + message) +
         frame(kHeaders, kEndOfHeaders | kEndOfStream, 1, header("grpc-status", "0"));
}

}  // namespace flowmeter::testing
