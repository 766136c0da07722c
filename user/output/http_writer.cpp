// SPDX-License-Identifier: BSD-3-Clause
#include "output/http_writer.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>

#include "output/curl.h"

namespace flowmeter {
namespace {

constexpr long kContentTooLarge = 413;
constexpr double kFirstPause = 0.5, kLongestPause = 30, kLongestRetryAfter = 600;
// While rows are sent, new ones are stored this often: a file for each request would cost more than
// the requests. A spool without room is not tried all the time.
constexpr double kStorePause = 0.1, kFullStorePause = 1;

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
std::string spool_name(const std::string& url, const Url& parsed) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : url) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  char text[24];
  std::snprintf(text, sizeof(text), "-%016llx", static_cast<unsigned long long>(hash));
  std::string host = parsed.host;
  for (char& c : host)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-') c = '_';
  return host.substr(0, 100) + text;
}

std::string of_rows(uint64_t rows, const char* what) {
  return std::to_string(rows) + (rows == 1 ? " row " : " rows ") + what;
}

}  // namespace

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
  auto transfer = HttpTransfer::open(url, writer->options_);
  if (!transfer) return transfer.error();
  writer->transfer_ = std::move(*transfer);
  if (const std::string& directory = writer->options_.spool; !directory.empty()) {
    auto all = OwnedDirectory::open(directory, OwnedDirectory::IfMissing::kCreate);
    if (!all) return Error{"the spool: " + all.error().doing, all.error().os_error};
    auto spool = Spool::open(all->path_of(spool_name(url, *parsed)),
                             {.limit_bytes = uint64_t{writer->options_.spool_limit_mib} << 20,
                              .sync = writer->options_.spool_sync});
    if (!spool) return spool.error();
    writer->spool_ = std::move(*spool);
    writer->spooled_ = writer->found_ = writer->spool_->rows();
  }
  return writer;
}

Status HttpWriter::resume(const LastCommit& last) {
  if (!spool_) return Done{};
  auto cut = spool_->resume(last);
  if (!cut) return cut.error();
  spooled_ = found_ = spool_->rows();
  if (*cut > 0)
    host_.log_info("output " + name_ + ": " + of_rows(*cut, "of the spool are made again"));
  return Done{};
}

void HttpWriter::positions(std::vector<fm_output_position>& all) const {
  if (spool_) all.push_back(spool_->end());
}

Status HttpWriter::run(RowQueue& queue) {
  queue_ = &queue;
  // Checked now and not only when the first rows have to be stored, because the capabilities that
  // opened the spool may be gone.
  if (spool_)
    if (Status writable = spool_->check_writable(); !writable)
      return Error{"output " + name_ + ": the spool " + writable.error().message()};
  bool last_try = false;  // one more attempt to send the spool, after the end
  while (!queue.overdue()) {
    if (spool_ && !spool_->empty()) {
      if (failing_ && queue.closed()) {
        // Rows in the spool are safe, so there is no need to wait.
        if (last_try) break;
        last_try = true;
        next_try_ = RowQueue::now();
      }
      if (waiting_to_retry())
        store_new_rows(next_try_);
      else
        send_from_spool();
    } else if (held_.count > 0 || queue.take(&held_, RowQueue::Time::max())) {
      send_held();
    } else if (queue.finished()) {
      break;
    }
  }
  take_rest();
  return result();
}

// Sends the first file of the spool.
void HttpWriter::send_from_spool() {
  size_t at = 0;
  auto text = spool_->first(&at);
  if (text) return send_first_file(*text, at);
  host_.log_error("output " + name_ + ": " + text.error().message() + "; it is set aside");
  const uint64_t before = spool_->rows();
  spool_->set_aside();
  lost_ += before - spool_->rows();
  take_back(leave_spool(before - spool_->rows()));
  spooled_ = spool_->rows();
}

// Sends this text of the spool's first file, from `at`, until a request has to wait.
void HttpWriter::send_first_file(std::string_view text, size_t at) {
  do {
    Batch batch{at, 0};
    Answer answer = Answer::kTaken;
    if (at < text.size()) answer = waiting_to_retry() ? Answer::kLater : post(text, at, &batch);
    if (answer == Answer::kLater) return;
    const uint64_t ours = leave_spool(batch.rows);
    if (answer == Answer::kRefused) take_back(ours);
    at = batch.end;
    if (Status noted = spool_->acknowledge(at < text.size() ? at : SIZE_MAX, batch.rows); !noted)
      host_.log_error("output " + name_ + ": " + noted.error().message() +
                      "; rows may be sent again by the next run");
    spooled_ = spool_->rows();
    store_when_due();
  } while (at < text.size() && !queue_->overdue());
}

// Returns how many of these rows are of this run: those that it found in the spool leave first.
uint64_t HttpWriter::leave_spool(uint64_t rows) {
  const uint64_t found = std::min(found_, rows);
  found_ -= found;
  return rows - found;
}

// Rows that were written, to the spool, are not where they should be.
void HttpWriter::take_back(uint64_t rows) {
  written_ -= rows;
  given_up_ += rows;
}

// Sends the rows that were taken, while the spool is empty: stores them, and sends them from
// memory.
void HttpWriter::send_held() {
  if (spool_) {
    const std::string text = held_.text;  // store_held() removes what it has stored
    store_held();
    const size_t stored = text.size() - held_.text.size();
    if (stored > 0) return send_first_file(std::string_view(text).substr(0, stored), 0);
  }
  const Rows rows = std::exchange(held_, {});
  may_store_ = false;
  send_from_memory(rows);
  may_store_ = true;
}

// Sends rows that are not in the spool. If a request has to wait, they are stored or lost.
void HttpWriter::send_from_memory(const Rows& rows) {
  uint64_t left = rows.count;
  for (size_t at = 0; at < rows.text.size();) {
    Batch batch{};
    const Answer answer = waiting_to_retry() ? Answer::kLater : post(rows.text, at, &batch);
    if (answer == Answer::kLater) {
      if (!spool_ && wait_to_retry()) continue;
      held_ = {rows.text.substr(at), left};
      if (spool_) store_held();
      return lose_held();
    }
    (answer == Answer::kTaken ? written_ : given_up_) += batch.rows;
    at = batch.end;
    left -= batch.rows;
  }
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
HttpWriter::Batch HttpWriter::make_body(std::string_view text, size_t at) {
  const bool array = options_.batch > 1;
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

// Sends one request with rows at `at`. *batch: the rows that were in it.
HttpWriter::Answer HttpWriter::post(std::string_view text, size_t at, Batch* batch) {
  *batch = make_body(text, at);
  const auto meanwhile = [this] {
    store_when_due();
    return !queue_->overdue();
  };
  HttpTransfer::Outcome outcome = transfer_->post(body_, meanwhile);
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

// Moves new rows to the spool while older ones are sent.
void HttpWriter::store_when_due() {
  const bool due = RowQueue::now() >= next_store_;
  if (spool_ && may_store_ && (due || (queue_->more_than_half_full() && !spool_is_full_)))
    store_new_rows(RowQueue::now());
}

// Stores rows that arrive until then. If the server fails, rows without room are lost; else they
// are held, and those that follow stay in the queue.
void HttpWriter::store_new_rows(RowQueue::Time until) {
  if (held_.count == 0 && !queue_->take(&held_, until)) return;
  store_held();
  if (failing_) lose_held();
}

// Moves as many of the rows to the spool as there is room for.
void HttpWriter::store_held() {
  const uint64_t before = spool_->rows();
  const size_t stored = spool_->keep(held_.text);
  spool_is_full_ = stored < held_.text.size();
  next_store_ = RowQueue::now() + RowQueue::seconds(spool_is_full_ ? kFullStorePause : kStorePause);
  if (spool_is_full_ && spool_error_ != spool_->error()) {
    spool_error_ = spool_->error();
    host_.log_error("output " + name_ + ": " + spool_error_ +
                    "; rows that cannot be sent are lost");
  }
  held_.text.erase(0, stored);
  held_.count -= spool_->rows() - before;
  written_ += spool_->rows() - before;
  spooled_ = spool_->rows();
}

void HttpWriter::lose_held() {
  lost_ += held_.count;
  given_up_ += held_.count;
  held_ = {};
}

void HttpWriter::take_rest() {
  do {
    if (spool_) store_held();
    lose_held();
  } while (queue_->take(&held_, RowQueue::now()));
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
