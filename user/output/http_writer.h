// SPDX-License-Identifier: BSD-3-Clause
// Delivers rows to a web service. Each request is a POST of one JSON object, or of an array of
// several. The connection is persistent and requests are sent one after another, so rows arrive in
// order. A 2xx answer acknowledges them. After no answer, 408, 429 or 5xx they are sent again, also
// after the time in Retry-After. Any other answer is a refusal that another attempt would not
// change.
#pragma once

#include <memory>
#include <string>

#include "output/delivery_writer.h"
#include "output/http_transfer.h"

namespace flowmeter {

struct HttpOptions : HttpTransferOptions {
  uint32_t batch = 1;              // most rows per request; above 1, a request is an array
  std::string authorization_file;  // from which the header is read; empty: from the environment
};

class HttpWriter final : public DeliveryWriter {
 public:
  // A usage error if url cannot be used.
  static Status check_url(const std::string& url);
  static Result<std::unique_ptr<HttpWriter>> open(const std::string& url,
                                                  const HttpOptions& options,
                                                  const DeliveryOptions& delivery, Host& host);

 private:
  struct Batch {
    size_t end;
    uint32_t rows;
  };

  HttpWriter(const std::string& name, const HttpOptions& options, const DeliveryOptions& delivery,
             Host& host);
  Delivery deliver(std::string_view text, size_t at) override;
  Batch make_body(std::string_view text, size_t at);

  const uint32_t batch_;
  uint32_t batch_limit_;  // batch_, or less if the server refuses that as too large
  std::unique_ptr<HttpTransfer> transfer_;
  std::string body_;
};

}  // namespace flowmeter
