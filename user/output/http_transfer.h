// SPDX-License-Identifier: BSD-3-Clause
// A connection to a web service, with one request at a time: the use of libcurl.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/curl.h"

namespace flowmeter {

struct HttpTransferOptions {
  double timeout_s = 10;
  std::string ca_file;        // PEM; empty: the system's
  std::string proxy;          // empty: of the environment, if that can be trusted
  std::string authorization;  // value of that header; empty: none
};

class HttpTransfer {
 public:
  static Result<std::unique_ptr<HttpTransfer>> open(const std::string& url,
                                                    const HttpTransferOptions& options);
  ~HttpTransfer();

  // The media type of the next bodies, and how they are compressed ("": not).
  void describe_body(const char* content_type, const char* content_encoding);

  struct Outcome {
    long status = 0;          // the HTTP status; 0: no answer
    std::string reason = {};  // with what the server says about an error: one printable line
    std::optional<int> clickhouse_exception = {};
    double retry_after_s = 0;
  };

  // Calls meanwhile() ten times a second until the answer arrives; if it returns false, the request
  // ends.
  Outcome post(const std::string& body, const std::function<bool()>& meanwhile);

 private:
  explicit HttpTransfer(const Curl& curl) : curl_(curl) {}
  static size_t take_body(char* data, size_t size, size_t count, void* self);
  static size_t take_header(char* data, size_t size, size_t count, void* self);

  const Curl& curl_;
  CURLM* multi_ = nullptr;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  std::string authorization_;
  std::string answer_;          // its body, without the middle of a long one
  std::string exception_code_;  // the value of that header
  char reason_[CURL_ERROR_SIZE] = "";
};

}  // namespace flowmeter
