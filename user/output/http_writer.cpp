// SPDX-License-Identifier: BSD-3-Clause
#include "output/http_writer.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string_view>

#include "output/curl.h"

namespace flowmeter {
namespace {

constexpr long kContentTooLarge = 413;
constexpr double kFirstPause = 0.5, kLongestPause = 30, kLongestRetryAfter = 600;

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

// Each URL has its own directory (named by FNV-1a of the whole URL), because spooled rows must not
// be sent to another URL.
std::string spool_of(const std::string& directory, const std::string& url, const Url& parsed) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : url) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  char text[24];
  std::snprintf(text, sizeof(text), "-%016llx", static_cast<unsigned long long>(hash));
  std::string host = parsed.host;
  for (char& c : host)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-') c = '_';
  return directory + "/" + host.substr(0, 100) + text;
}

Result<std::string> read_pem(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(1 << 20, '\0');
  const ssize_t got = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (got < 0) return Error{"cannot read --url-ca " + path, errno};
  text.resize(static_cast<size_t>(got));
  if (text.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
    return Error{"--url-ca " + path + " holds no certificate in PEM form"};
  return text;
}

std::string of_rows(uint64_t rows, const char* what) {
  return std::to_string(rows) + (rows == 1 ? " row " : " rows ") + what;
}

}  // namespace

// A connection with one request at a time.
class HttpWriter::Transfer {
 public:
  static Result<std::unique_ptr<Transfer>> open(const std::string& url,
                                                const HttpOptions& options) {
    auto loaded = load_curl();
    if (!loaded) return loaded.error();
    const Curl& curl = **loaded;
    auto transfer = std::unique_ptr<Transfer>(new Transfer(curl));
    transfer->multi_ = curl.multi_init();
    transfer->easy_ = curl.easy_init();
    if (!transfer->multi_ || !transfer->easy_) return Error{"cannot set up libcurl"};
    CURL* easy = transfer->easy_;
    const auto header = [&](const std::string& line) {
      transfer->headers_ = curl.slist_append(transfer->headers_, line.c_str());
    };
    header("Content-Type: application/json");
    header("Expect:");  // sends a long body without waiting for "100 Continue"
    if (!options.authorization.empty()) header("Authorization: " + options.authorization);
    bool good = true;
    const auto set = [&](CURLoption option, auto value) {
      good = good && curl.easy_setopt(easy, option, value) == CURLE_OK;
    };
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_POST, 1L);
    set(CURLOPT_HTTPHEADER, transfer->headers_);
    set(CURLOPT_USERAGENT, "flowmeter-ebpf/" FLOWMETER_VERSION);
    set(CURLOPT_TIMEOUT_MS, std::max(1L, static_cast<long>(options.timeout_s * 1e3)));
    set(CURLOPT_CONNECTTIMEOUT_MS, std::max(1L, static_cast<long>(options.timeout_s * 1e3)));
    set(CURLOPT_ERRORBUFFER, transfer->reason_);
    set(CURLOPT_WRITEFUNCTION, ignore);
    if (!options.ca_file.empty()) {
      auto pem = read_pem(options.ca_file);
      if (!pem) return pem.error();
      curl_blob blob{pem->data(), pem->size(), CURL_BLOB_COPY};
      set(CURLOPT_CAINFO_BLOB, &blob);
    }
    if (!good) return Error{"cannot set up libcurl"};
    return transfer;
  }

  ~Transfer() {
    if (easy_) curl_.easy_cleanup(easy_);
    if (multi_) curl_.multi_cleanup(multi_);
    curl_.slist_free_all(headers_);
  }

  struct Outcome {
    long status = 0;  // the HTTP status; 0: no answer
    std::string reason;
    double retry_after_s = 0;
  };

  // Calls meanwhile() ten times a second until the answer arrives; if it returns false, the request
  // ends.
  template <typename Meanwhile>
  Outcome post(const std::string& body, Meanwhile meanwhile) {
    curl_.easy_setopt(easy_, CURLOPT_POSTFIELDS, body.data());
    curl_.easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    reason_[0] = '\0';
    curl_.multi_add_handle(multi_, easy_);
    int running = 1;
    bool ended = false;
    while (!ended && curl_.multi_perform(multi_, &running) == CURLM_OK && running > 0) {
      curl_.multi_poll(multi_, nullptr, 0, 100, nullptr);
      ended = !meanwhile();
    }
    CURLcode code = CURLE_ABORTED_BY_CALLBACK;
    int left = 0;
    while (const CURLMsg* message = curl_.multi_info_read(multi_, &left))
      if (message->msg == CURLMSG_DONE) code = message->data.result;
    Outcome outcome;
    // The status counts even if the rest of the answer did not arrive: a server that sends 2xx has
    // the rows.
    curl_.easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &outcome.status);
    if (outcome.status < 200) outcome.status = 0;
    curl_off_t retry_after = 0;
    if (curl_.easy_getinfo(easy_, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK)
      outcome.retry_after_s = static_cast<double>(retry_after);
    if (outcome.status > 0)
      outcome.reason = "HTTP " + std::to_string(outcome.status);
    else if (ended)
      outcome.reason = "no answer before the run ended";
    else
      outcome.reason = reason_[0] ? reason_ : curl_.easy_strerror(code);
    curl_.multi_remove_handle(multi_, easy_);
    return outcome;
  }

 private:
  explicit Transfer(const Curl& curl) : curl_(curl) {}
  static size_t ignore(char*, size_t size, size_t count, void*) { return size * count; }

  const Curl& curl_;
  CURLM* multi_ = nullptr;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  char reason_[CURL_ERROR_SIZE] = "";
};

Status HttpWriter::check_url(const std::string& url) {
  auto parsed = parse_url(url);
  if (!parsed) return parsed.error();
  return Done{};
}

HttpWriter::HttpWriter(HttpOptions options, Host& host)
    : options_(std::move(options)), host_(host), batch_limit_(options_.batch) {}

HttpWriter::~HttpWriter() = default;

Result<std::unique_ptr<HttpWriter>> HttpWriter::open(const std::string& url, HttpOptions options,
                                                     Host& host) {
  auto parsed = parse_url(url);
  if (!parsed) return parsed.error();
  auto writer = std::unique_ptr<HttpWriter>(new HttpWriter(std::move(options), host));
  writer->name_ = parsed->name;
  if (!writer->options_.authorization.empty() && !parsed->encrypted)
    host.log_warning("output " + writer->name_ +
                     ": the Authorization header is sent unencrypted over http");
  auto transfer = Transfer::open(url, writer->options_);
  if (!transfer) return transfer.error();
  writer->transfer_ = std::move(*transfer);
  if (const std::string& directory = writer->options_.spool; !directory.empty()) {
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
      return Error{"cannot create the spool " + directory, errno};
    auto spool = Spool::open(spool_of(directory, url, *parsed),
                             uint64_t{writer->options_.spool_limit_mib} << 20);
    if (!spool) return spool.error();
    writer->spool_ = std::move(*spool);
    writer->spooled_ = writer->spool_->rows();
  }
  return writer;
}

Status HttpWriter::run(RowQueue& queue) {
  queue_ = &queue;
  // Checked now and not only when the first rows have to be stored, because the capabilities that
  // opened the spool may be gone.
  if (spool_)
    if (Status writable = spool_->check_writable(); !writable)
      return Error{"output " + name_ + ": " + writable.error().message()};
  Rows rows;
  bool last_try = false;  // one more attempt to send the spool, after the end
  while (!queue.overdue()) {
    if (spool_ && !spool_->empty()) {
      if (failing_ && queue.closed()) {
        // Rows in the spool are safe, so there is no need to wait.
        if (last_try) break;
        last_try = true;
        next_try_ = RowQueue::now();
      }
      if (waiting_to_retry()) {
        if (queue.take(&rows, next_try_)) keep(rows.text, rows.count, spool_->next_number());
      } else {
        send_from_spool();
      }
    } else if (queue.take(&rows, RowQueue::Time::max())) {
      send_from_queue(rows, spool_ ? spool_->next_number() : 0);
    } else if (queue.finished()) {
      break;
    }
  }
  take_rest();
  return result();
}

// Sends these rows. If that fails, stores them in the spool; without a spool they may be lost.
void HttpWriter::send_from_queue(const Rows& rows, uint64_t number) {
  uint64_t left = rows.count;
  for (size_t at = 0; at < rows.text.size();) {
    Batch batch{};
    if (waiting_to_retry() || post(rows.text, at, &batch) == Answer::kLater) {
      if (spool_) return keep(std::string_view(rows.text).substr(at), left, number);
      if (wait_to_retry()) continue;
      lost_ += left;
      return;
    }
    at = batch.end;
    left -= batch.rows;
  }
}

// Sends the first file of the spool until a request has to wait.
void HttpWriter::send_from_spool() {
  size_t at = 0;
  auto text = spool_->first(&at);
  if (!text) {
    host_.log_error("output " + name_ + ": " + text.error().message() + "; it is set aside");
    spool_->set_aside();
    return;
  }
  do {
    Batch batch{at, 0};
    if (at < text->size() && post(*text, at, &batch) == Answer::kLater) return;
    at = batch.end;
    if (Status noted = spool_->acknowledge(at < text->size() ? at : SIZE_MAX, batch.rows); !noted)
      host_.log_error("output " + name_ + ": " + noted.error().message() +
                      "; rows may be sent again by the next run");
    spooled_ = spool_->rows();
    make_room();
  } while (at < text->size() && !queue_->overdue());
}

// Without a spool: waits until the rows may be sent again. False: they are lost.
bool HttpWriter::wait_to_retry() {
  // The metering thread must not wait forever. With kDrop the queue limits the waiting rows.
  if (queue_->on_full() == OnFull::kBlock &&
      RowQueue::now() >= failing_since_ + RowQueue::seconds(options_.retry_s))
    return false;
  queue_->pause(next_try_);
  next_try_ = RowQueue::now();  // also if the end of the run ended the pause
  return !queue_->overdue();
}

// Makes the body of a request from the rows at `at`, as many as a request may have.
HttpWriter::Batch HttpWriter::make_body(const std::string& text, size_t at) {
  const bool array = options_.batch > 1;
  body_.clear();
  if (array) body_ += '[';
  Batch batch{at, 0};
  while (batch.rows < batch_limit_ && batch.end < text.size()) {
    const size_t line_end = std::min(text.find('\n', batch.end), text.size() - 1);
    if (batch.rows > 0) body_ += ',';
    body_.append(text, batch.end, line_end - batch.end);
    batch.end = line_end + 1;
    batch.rows++;
  }
  if (array) body_ += ']';
  return batch;
}

// Sends one request with rows at `at`. *batch: the rows that were in it.
HttpWriter::Answer HttpWriter::post(const std::string& text, size_t at, Batch* batch) {
  *batch = make_body(text, at);
  const auto meanwhile = [this] {
    make_room();
    return !queue_->overdue();
  };
  Transfer::Outcome outcome = transfer_->post(body_, meanwhile);
  while (outcome.status == kContentTooLarge && batch->rows > 1) {
    batch_limit_ = batch->rows / 2;
    host_.log_warning("output " + name_ + ": " + outcome.reason + " to " +
                      of_rows(batch->rows, "at once") + "; at most " +
                      std::to_string(batch_limit_) + " from now on");
    queue_->note_progress();
    *batch = make_body(text, at);
    outcome = transfer_->post(body_, meanwhile);
  }
  const long status = outcome.status;
  const Answer answer = status >= 200 && status < 300 ? Answer::kTaken
                        : status == 0 || status >= 500 || status == 429 || status == 408
                            ? Answer::kLater
                            : Answer::kRefused;
  if (answer != Answer::kLater) queue_->note_progress();
  if (answer == Answer::kTaken) sent_ += batch->rows;
  if (answer == Answer::kRefused) refused_ += batch->rows;
  note_answer(answer, outcome.reason, outcome.retry_after_s);
  return answer;
}

// Logs a failure when it starts and when it ends, not at each attempt.
void HttpWriter::note_answer(Answer answer, const std::string& reason, double retry_after_s) {
  const auto now = RowQueue::now();
  if (answer == Answer::kLater) {
    if (!failing_) {
      failing_since_ = now;
      attempts_ = 0;
      host_.log_warning("output " + name_ + ": " + reason + "; trying again");
    }
    failing_ = true;
    last_reason_ = reason;
    const double pause =
        std::min(kLongestPause, kFirstPause * static_cast<double>(1u << std::min(attempts_, 10u)));
    attempts_++;
    // Meters that lost the same server should not all retry at the same moment.
    const double jitter = std::uniform_real_distribution<double>(0.5, 1)(random_);
    next_try_ = now + RowQueue::seconds(
                          std::max(pause * jitter, std::min(retry_after_s, kLongestRetryAfter)));
    return;
  }
  if (failing_) {
    const double outage = std::chrono::duration<double>(now - failing_since_).count();
    char text[64];
    std::snprintf(text, sizeof(text), ": answers again after %.1f s", outage);
    host_.log_info("output " + name_ + text);
  }
  failing_ = false;
  if (answer == Answer::kRefused && refusal_.empty()) {
    refusal_ = reason;
    host_.log_warning("output " + name_ + ": rows are refused with " + reason);
  }
}

void HttpWriter::keep(std::string_view rows, uint64_t count, uint64_t number) {
  const uint64_t before = spool_->rows();
  if (spool_->keep(number, rows) < rows.size()) {
    lost_ += count - (spool_->rows() - before);
    if (spool_error_ != spool_->error())
      host_.log_error("output " + name_ + ": " + spool_->error() + "; rows are lost");
    spool_error_ = spool_->error();
  }
  spooled_ = spool_->rows();
}

// Moves new rows to the spool before the queue is full, while a request or sending the spool takes
// long.
void HttpWriter::make_room() {
  Rows rows;
  if (spool_ && queue_->more_than_half_full() && queue_->take(&rows, RowQueue::now()))
    keep(rows.text, rows.count, spool_->next_number());
}

void HttpWriter::take_rest() {
  Rows rows;
  if (!queue_->take(&rows, RowQueue::now())) return;
  if (spool_)
    keep(rows.text, rows.count, spool_->next_number());
  else
    lost_ += rows.count;
}

Status HttpWriter::result() const {
  if (spooled_ > 0)
    host_.log_warning("output " + name_ + ": " + of_rows(spooled_, "wait in ") +
                      spool_->directory() + " for the next run with this URL and --url-spool");
  if (lost_ == 0 && refused_ == 0) return Done{};
  std::string text = "output " + name_ + ": ";
  if (lost_ > 0)
    text += of_rows(lost_, "lost (") +
            (!spool_error_.empty()   ? spool_error_
             : !last_reason_.empty() ? last_reason_
                                     : "no time was left to send them") +
            ")";
  if (lost_ > 0 && refused_ > 0) text += ", ";
  if (refused_ > 0) text += of_rows(refused_, "refused (") + refusal_ + ")";
  return Error{text};
}

std::string HttpWriter::account() const {
  return " sent=" + std::to_string(sent_) + " refused=" + std::to_string(refused_) +
         " lost=" + std::to_string(lost_) + " spooled=" + std::to_string(spooled_);
}

}  // namespace flowmeter
