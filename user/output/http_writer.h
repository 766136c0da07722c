// SPDX-License-Identifier: BSD-3-Clause
// Delivers rows to a web service. Each request is a POST of one row, or of several. The connection
// is persistent and requests are sent one after another, so rows arrive in order. A 2xx answer
// acknowledges them. After no answer, 408, 429 or 5xx they are sent again, also after the time in
// Retry-After. Any other answer is a refusal that another attempt would not change: of several
// rows, those at fault are found and set aside. What is about the request, not its rows, is final
// only without a spool. What ClickHouse says decides instead of its status.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "output/delivery_writer.h"
#include "output/http_transfer.h"
#include "output/refusal_search.h"
#include "output/request_body.h"
#include "output/row_format.h"

namespace flowmeter {

struct HttpOptions : HttpTransferOptions, BodyOptions {
  std::string authorization_file;  // from which the header is read; empty: from the environment
};

class HttpWriter final : public DeliveryWriter {
 public:
  // A usage error if url cannot be used.
  static Status check_url(const std::string& url);
  // format: of the rows.
  static Result<std::unique_ptr<HttpWriter>> open(const std::string& url, HttpOptions options,
                                                  const DeliveryOptions& delivery,
                                                  const RowFormat& format, Host& host);

 private:
  enum class Verdict {
    kTaken,
    kRefused,
    kRequestRefused,
    kTooLarge,
    kTooManyPartitions,
    kNotCompressed,
    kLater
  };

  HttpWriter(const std::string& name, const HttpOptions& options, const DeliveryOptions& delivery,
             RequestBody body, Host& host);
  Delivery deliver(std::string_view text, size_t at) override;
  HttpTransfer::Outcome post(std::string_view text, size_t at, uint32_t most,
                             RequestBody::Batch* batch);
  HttpTransfer::Outcome post_plain_too(std::string_view text, size_t at, uint32_t most,
                                       RequestBody::Batch* batch);
  Verdict verdict_on(const HttpTransfer::Outcome& outcome) const;
  std::optional<Delivery> try_samples(std::string_view text, size_t at,
                                      const RequestBody::Batch& batch);
  Delivery refuse(std::string_view text, size_t at, const RequestBody::Batch& batch,
                  const std::string& reason);
  static Delivery not_now(size_t at, const HttpTransfer::Outcome& outcome);
  void send_uncompressed(const std::string& reason);
  void describe_body();

  uint32_t batch_limit_;  // most rows of a request; less if the server refuses that as too large
  std::unique_ptr<HttpTransfer> transfer_;
  RequestBody body_;
  bool compression_works_ = false;  // the server has taken a compressed body
  RefusalSearch search_;
  // A sample (RefusalSearch) that was taken before the rows before it. It is the only one, as no
  // samples are tried after that.
  std::optional<std::string> taken_early_;
  bool refuses_all_ = false;  // and that was reported
};

}  // namespace flowmeter
