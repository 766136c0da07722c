// SPDX-License-Identifier: BSD-3-Clause
// One question to a container engine over its Unix socket, with a time-out and a bounded answer.
#pragma once

#include <functional>
#include <string>

#include "base/curl.h"
#include "base/result.h"

namespace flowmeter {

class EngineRequest {
 public:
  // stops: whether to give up at once; asked some times a second.
  EngineRequest(const Curl& curl, std::string socket_path, std::function<bool()> stops)
      : curl_(curl), socket_path_(std::move(socket_path)), stops_(std::move(stops)) {}

  // By HTTP/1.1. Returns the body of an answer with status 200. An error with an errno value says
  // that nobody answers there.
  Result<std::string> get(const std::string& path);
  // By gRPC, with an empty message. Returns the message of the answer.
  Result<std::string> call(const std::string& method);

 private:
  // What the answer has, as far as it is read.
  struct Answer {
    std::string body;
    bool is_too_long = false;
  };
  static size_t take(char* data, size_t size, size_t count, void* answer);
  Result<std::string> perform(CURL* easy);

  const Curl& curl_;
  const std::string socket_path_;
  const std::function<bool()> stops_;
};

}  // namespace flowmeter
