// SPDX-License-Identifier: BSD-3-Clause
#include "output/http_writer.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "output/curl.h"

namespace flowmeter {
namespace {

constexpr long kContentTooLarge = 413;

struct Url {
  std::string name, host;  // name: without query; host: for the directory name
  bool encrypted = false;
};

Result<Url> parse_url(const std::string& text) {
  auto loaded = load_curl();
  if (!loaded) return loaded.error();
  const Curl& curl = **loaded;
  const std::unique_ptr<CURLU, decltype(curl.url_cleanup)> url(curl.url(), curl.url_cleanup);
  const auto part = [&](CURLUPart which) {
    char* value = nullptr;
    std::string copy;
    if (curl.url_get(url.get(), which, &value, 0) == CURLUE_OK) copy = value;
    curl.free(value);
    return copy;
  };
  const bool printable =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c != 0x7f; });
  if (!url || !printable || curl.url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK)
    return usage_error("-u \"" + text.substr(0, text.find('?')) +
                       "\" is not a URL (http://host:port/path or https://...)");
  const std::string scheme = part(CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https")
    return usage_error("-u \"" + text.substr(0, text.find('?')) + "\" is not an http or https URL");
  if (!part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty())
    return usage_error(
        "-u must not hold a user or password, which every process list would show: use "
        "--url-auth-file or the environment variable FLOWMETER_URL_AUTH");
  const std::string port = part(CURLUPART_PORT);
  Url parsed;
  parsed.host = part(CURLUPART_HOST) + (port.empty() ? "" : ":" + port);
  parsed.name = scheme + "://" + parsed.host + part(CURLUPART_PATH);
  parsed.encrypted = scheme == "https";
  return parsed;
}

}  // namespace

Status HttpWriter::check_url(const std::string& url) {
  auto parsed = parse_url(url);
  if (!parsed) return parsed.error();
  return Done{};
}

HttpWriter::HttpWriter(const std::string& name, const HttpOptions& options,
                       const DeliveryOptions& delivery, Host& host)
    : DeliveryWriter(name, delivery, host), batch_(options.batch), batch_limit_(options.batch) {}

Result<std::unique_ptr<HttpWriter>> HttpWriter::open(const std::string& url,
                                                     const HttpOptions& options,
                                                     const DeliveryOptions& delivery, Host& host) {
  auto parsed = parse_url(url);
  if (!parsed) return parsed.error();
  auto writer = std::unique_ptr<HttpWriter>(new HttpWriter(parsed->name, options, delivery, host));
  if (!options.authorization.empty() && !parsed->encrypted)
    host.log_warning("output " + writer->name() +
                     ": the Authorization header is sent unencrypted over http");
  auto transfer = HttpTransfer::open(url, options);
  if (!transfer) return transfer.error();
  writer->transfer_ = std::move(*transfer);
  if (Status opened = writer->open_spool(url, parsed->host); !opened) return opened.error();
  return writer;
}

// Makes the body of a request from the rows at `at`, as many as a request may have.
HttpWriter::Batch HttpWriter::make_body(std::string_view text, size_t at) {
  const bool array = batch_ > 1;
  body_.clear();
  if (array) body_ += '[';
  Batch batch{at, 0};
  while (batch.rows < batch_limit_ && batch.end < text.size()) {
    const size_t line_end = std::min(text.find('\n', batch.end), text.size() - 1);
    if (batch.rows > 0) body_ += ',';
    body_.append(text.substr(batch.end, line_end - batch.end));
    batch.end = line_end + 1;
    batch.rows++;
  }
  if (array) body_ += ']';
  return batch;
}

// Sends one request.
DeliveryWriter::Delivery HttpWriter::deliver(std::string_view text, size_t at) {
  Batch batch = make_body(text, at);
  const auto meanwhile = [this] { return keep_waiting(); };
  HttpTransfer::Outcome outcome = transfer_->post(body_, meanwhile);
  while (outcome.status == kContentTooLarge && batch.rows > 1) {
    batch_limit_ = batch.rows / 2;
    host().log_warning("output " + name() + ": " + outcome.reason + " to " +
                       of_rows(batch.rows, "at once") + "; at most " +
                       std::to_string(batch_limit_) + " from now on");
    note_progress();
    batch = make_body(text, at);
    outcome = transfer_->post(body_, meanwhile);
  }
  const long status = outcome.status;
  Delivery done{.end = at, .reason = outcome.reason, .retry_after_s = outcome.retry_after_s};
  done.later = status == 0 || status >= 500 || status == 429 || status == 408;
  if (done.later) return done;
  done.end = batch.end;
  (status >= 200 && status < 300 ? done.taken : done.refused) = batch.rows;
  return done;
}

}  // namespace flowmeter
