// SPDX-License-Identifier: BSD-3-Clause
#include "output/http_writer.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/curl.h"
#include "output/clickhouse_answer.h"

namespace flowmeter {
namespace {

constexpr long kContentTooLarge = 413, kUnsupportedMediaType = 415;

// Whether other rows could get another answer. Not after a redirect, or if the server does not know
// the path, the method or the user.
bool is_about_rows(long status) {
  switch (status) {
    case 401:
    case 403:
    case 404:
    case 405:
    case 407:
    case 410:
    case 411:
    case 414:
    case 415:
    case 421:
    case 426:
    case 431:
      return false;
    default:
      return status >= 400;
  }
}

struct Url {
  std::string text;        // as it is requested
  std::string name, host;  // name: without query; host: for the directory name
  bool encrypted = false;
};

// A query may be written with blanks, as in ?query=INSERT INTO flows FORMAT JSONEachRow.
std::string encoded_query(const std::string& url) {
  const size_t query = std::min(url.find('?'), url.size());
  std::string encoded = url.substr(0, query);
  for (const char c : url.substr(query)) encoded += c == ' ' ? "%20" : std::string(1, c);
  return encoded;
}

Result<Url> parse_url(const std::string& given) {
  const std::string text = encoded_query(given);
  auto loaded = load_curl("-u");
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
  parsed.text = text;
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
                       const DeliveryOptions& delivery, RequestBody body, Host& host)
    : DeliveryWriter(name, delivery, host), batch_limit_(options.batch), body_(std::move(body)) {}

Result<std::unique_ptr<HttpWriter>> HttpWriter::open(const std::string& url, HttpOptions options,
                                                     const DeliveryOptions& delivery,
                                                     const RowFormat& format, Host& host) {
  auto parsed = parse_url(url);
  if (!parsed) return parsed.error();
  options.header = format.header();
  auto body = RequestBody::make(options);
  if (!body) return body.error();
  auto writer = std::unique_ptr<HttpWriter>(
      new HttpWriter(parsed->name, options, delivery, std::move(*body), host));
  if (!options.authorization.empty() && !parsed->encrypted)
    host.log_warning("output " + writer->name() +
                     ": the Authorization header is sent unencrypted over http");
  auto transfer = HttpTransfer::open(parsed->text, options);
  if (!transfer) return transfer.error();
  writer->transfer_ = std::move(*transfer);
  writer->describe_body();
  // Rows of CSV do not say which columns they have.
  const std::string identity =
      options.header.empty() ? parsed->text : parsed->text + '\n' + options.header;
  if (Status opened = writer->open_spool(identity, parsed->host); !opened) return opened.error();
  return writer;
}

HttpWriter::Verdict HttpWriter::verdict_on(const HttpTransfer::Outcome& outcome) const {
  const long status = outcome.status;
  const bool compressed = body_.content_encoding()[0] != '\0';
  if (const auto exception = outcome.clickhouse_exception) {
    if (compressed && *exception == kUnknownContentEncoding) return Verdict::kNotCompressed;
    if (is_of_too_many_partitions(*exception, outcome.reason)) return Verdict::kTooManyPartitions;
    return is_error_of_rows(*exception) ? Verdict::kRefused : Verdict::kLater;
  }
  if (status >= 200 && status < 300) return Verdict::kTaken;
  if (status == 0 || status >= 500 || status == 429 || status == 408) return Verdict::kLater;
  if (compressed && status == kUnsupportedMediaType) return Verdict::kNotCompressed;
  if (status == kContentTooLarge) return Verdict::kTooLarge;
  return is_about_rows(status) ? Verdict::kRefused : Verdict::kRequestRefused;
}

// Sends one request with rows from `at` on, at most so many.
HttpTransfer::Outcome HttpWriter::post(std::string_view text, size_t at, uint32_t most,
                                       RequestBody::Batch* batch) {
  auto filled = body_.fill(text, at, most, taken_early_);
  if (!filled) return {.reason = filled.error().message()};
  *batch = *filled;
  if (batch->rows == batch->left_out) return {.status = 200};
  return transfer_->post(body_.bytes(), [this] { return keep_waiting(); });
}

// Some servers refuse what is compressed as if its rows were at fault. So until one such body was
// taken, what is refused is sent again without compression.
HttpTransfer::Outcome HttpWriter::post_plain_too(std::string_view text, size_t at, uint32_t most,
                                                 RequestBody::Batch* batch) {
  auto outcome = post(text, at, most, batch);
  if (compression_works_ || body_.content_encoding()[0] == '\0') return outcome;
  const Verdict verdict = verdict_on(outcome);
  compression_works_ = verdict == Verdict::kTaken && batch->rows > batch->left_out;
  if (verdict != Verdict::kRefused || outcome.clickhouse_exception) return outcome;
  note_progress();
  body_.compress(false);
  describe_body();
  auto plain = post(text, at, most, batch);
  body_.compress(true);
  describe_body();
  if (verdict_on(plain) == Verdict::kTaken) send_uncompressed(outcome.reason);
  return plain;
}

DeliveryWriter::Delivery HttpWriter::deliver(std::string_view text, size_t at) {
  while (true) {
    RequestBody::Batch batch{at, 0, 0};
    const auto outcome = post_plain_too(text, at, search_.limit(batch_limit_), &batch);
    Delivery done{
        .end = batch.end, .reason = outcome.reason, .retry_after_s = outcome.retry_after_s};
    const Verdict verdict = verdict_on(outcome);
    if (verdict == Verdict::kLater) return not_now(at, outcome);
    if (verdict == Verdict::kTaken) {
      search_.note_taken(batch.rows);
      refuses_all_ = false;
      if (batch.left_out > 0) taken_early_.reset();
      done.taken = batch.rows;
      return done;
    }
    // That says nothing about the rows. A spool keeps them until somebody has corrected the cause.
    if (verdict == Verdict::kRequestRefused && spool()) return not_now(at, outcome);
    if (verdict == Verdict::kRequestRefused) return refuse(text, at, batch, outcome.reason);
    if (verdict == Verdict::kTooManyPartitions) {
      if (batch.rows == 1) return not_now(at, outcome);
      search_.divide(batch.rows);
    } else if (verdict == Verdict::kNotCompressed) {
      send_uncompressed(outcome.reason);
    } else if (verdict == Verdict::kTooLarge && batch.rows > 1) {
      batch_limit_ = batch.rows / 2;
      host().log_warning("output " + name() + ": " + outcome.reason + " to " +
                         of_rows(batch.rows, "at once") + "; at most " +
                         std::to_string(batch_limit_) + " from now on");
    } else {
      switch (search_.note_refused(batch.rows)) {
        case RefusalSearch::Next::kDivide:
          break;
        case RefusalSearch::Next::kSample:
          if (auto decided = try_samples(text, at, batch)) return *decided;
          break;
        case RefusalSearch::Next::kSetAside:
          return refuse(text, at, batch, outcome.reason);
      }
    }
    note_progress();
  }
}

// The server has refused these rows together, many others one by one, and has taken none.
std::optional<DeliveryWriter::Delivery> HttpWriter::try_samples(std::string_view text, size_t at,
                                                                const RequestBody::Batch& batch) {
  std::string reason;
  for (size_t start = at, row = 0; start < batch.end; row++) {
    RequestBody::Batch one{text.find('\n', start) + 1, 0, 0};
    if (RefusalSearch::is_sample(static_cast<uint32_t>(row), batch.rows)) {
      const auto outcome = post_plain_too(text, start, 1, &one);
      const Verdict verdict = verdict_on(outcome);
      if (verdict == Verdict::kTaken) {
        taken_early_ = text.substr(start, one.end - 1 - start);
        search_.note_sample_taken();
        return std::nullopt;
      }
      if (verdict == Verdict::kLater) return not_now(at, outcome);
      // Says nothing about the others, and will be decided when it is its turn.
      if (verdict != Verdict::kRefused && verdict != Verdict::kTooLarge) return std::nullopt;
      reason = outcome.reason;
      note_progress();
    }
    start = one.end;
  }
  search_.note_samples_refused();
  if (!std::exchange(refuses_all_, true))
    host().log_error("output " + name() + ": the server refuses every row (" + reason +
                     "); are its columns those of the rows?");
  return refuse(text, at, batch, reason);
}

// A row of the batch that was left out has been taken.
DeliveryWriter::Delivery HttpWriter::refuse(std::string_view text, size_t at,
                                            const RequestBody::Batch& batch,
                                            const std::string& reason) {
  // With a row left out, the refusal is of the request, which only an output without a spool takes
  // for final.
  if (batch.left_out > 0)
    taken_early_.reset();
  else
    set_aside(text.substr(at, batch.end - at), reason);
  return {.end = batch.end,
          .taken = batch.left_out,
          .refused = batch.rows - batch.left_out,
          .reason = reason};
}

DeliveryWriter::Delivery HttpWriter::not_now(size_t at, const HttpTransfer::Outcome& outcome) {
  return {
      .end = at, .later = true, .reason = outcome.reason, .retry_after_s = outcome.retry_after_s};
}

void HttpWriter::send_uncompressed(const std::string& reason) {
  host().log_warning("output " + name() + ": " + reason + "; sending without compression");
  body_.compress(false);
  describe_body();
}

void HttpWriter::describe_body() {
  transfer_->describe_body(body_.content_type(), body_.content_encoding());
}

}  // namespace flowmeter
