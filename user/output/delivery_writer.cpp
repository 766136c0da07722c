// SPDX-License-Identifier: BSD-3-Clause
#include "output/delivery_writer.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>

#include "output/row_text.h"

namespace flowmeter {
namespace {

// Of attempts after --output-retry has passed: enough for a new connection.
constexpr double kShortAttempt = 5;
constexpr double kFirstPause = 0.5, kLongestPause = 30, kLongestRetryAfter = 600;
// While rows are sent, new ones are stored this often: a file for each delivery would cost more
// than the deliveries. A spool without room is not tried all the time.
constexpr double kStorePause = 0.1, kFullStorePause = 1;

// The name of the spool's directory has FNV-1a of the whole identity.
std::string spool_name(const std::string& identity, std::string readable) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : identity) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  char text[24];
  std::snprintf(text, sizeof(text), "-%016llx", static_cast<unsigned long long>(hash));
  for (char& c : readable)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-') c = '_';
  return readable.substr(0, 100) + text;
}

}  // namespace

std::string of_rows(uint64_t rows, const char* what) {
  return std::to_string(rows) + (rows == 1 ? " row " : " rows ") + what;
}

DeliveryWriter::DeliveryWriter(std::string name, DeliveryOptions options, Host& host)
    : name_(std::move(name)), options_(std::move(options)), host_(host) {}

DeliveryWriter::~DeliveryWriter() = default;

Status DeliveryWriter::open_spool(const std::string& identity, const std::string& readable) {
  if (options_.spool.empty()) return Done{};
  auto all = OwnedDirectory::open(options_.spool, OwnedDirectory::IfMissing::kCreate);
  if (!all) return Error{"the spool: " + all.error().doing, all.error().os_error};
  auto spool = Spool::open(
      all->path_of(spool_name(identity, readable)),
      {.limit_bytes = uint64_t{options_.spool_limit_mib} << 20, .sync = options_.spool_sync});
  if (!spool) return spool.error();
  spool_ = std::move(*spool);
  spooled_ = spool_->rows();
  return Done{};
}

Status DeliveryWriter::resume(const LastCommit& last) {
  if (!spool_) return Done{};
  auto cut = spool_->resume(last);
  if (!cut) return cut.error();
  spooled_ = spool_->rows();
  if (*cut > 0)
    host_.log_info("output " + name_ + ": " + of_rows(*cut, "of the spool are made again"));
  return Done{};
}

void DeliveryWriter::positions(std::vector<fm_output_position>& all) const {
  if (spool_) all.push_back(spool_->end());
}

Status DeliveryWriter::run(RowQueue& queue) {
  queue_ = &queue;
  // Checked now and not only when the first rows have to be stored, because the capabilities that
  // opened the spool may be gone.
  if (spool_)
    if (Status writable = spool_->check_writable(); !writable)
      return Error{"output " + name_ + ": the spool " + writable.error().message()};
  begin();
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
void DeliveryWriter::send_from_spool() {
  size_t at = 0;
  auto text = spool_->first(&at);
  if (text) return send_first_file(*text, at);
  host_.log_error("output " + name_ + ": " + text.error().message() + "; it is set aside");
  const uint64_t before = spool_->rows();
  spool_->set_aside();
  lost_ += before - spool_->rows();
  spooled_ = spool_->rows();
}

// Sends this text of the spool's first file, from `at`, until a delivery has to wait. Its rows were
// written, here or in an earlier run, and stay so, also those that are refused now.
void DeliveryWriter::send_first_file(std::string_view text, size_t at) {
  do {
    Delivery done{.end = at};
    if (at < text.size()) {
      if (waiting_to_retry()) return;
      done = attempt(text, at);
      if (done.later && done.end == at) return;
    }
    const uint64_t rows = done.taken + done.refused;
    at = done.end;
    if (Status noted = spool_->acknowledge(at < text.size() ? at : SIZE_MAX, rows); !noted)
      host_.log_error("output " + name_ + ": " + noted.error().message() +
                      "; rows may be sent again by the next run");
    spooled_ = spool_->rows();
    store_when_due();
    if (done.later) return;
  } while (at < text.size() && !queue_->overdue());
}

// Sends the rows that were taken, while the spool is empty: stores them, and sends them from
// memory.
void DeliveryWriter::send_held() {
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

// Sends rows that are not in the spool. If a delivery has to wait, they are stored or lost.
void DeliveryWriter::send_from_memory(const Rows& rows) {
  uint64_t left = rows.count;
  for (size_t at = 0; at < rows.text.size();) {
    Delivery done{.end = at, .later = true};
    if (!waiting_to_retry()) done = attempt(rows.text, at);
    written_ += done.taken;
    given_up_ += done.refused;
    left -= done.taken + done.refused;
    at = done.end;
    if (!done.later || (!spool_ && wait_to_retry())) continue;
    held_ = {rows.text.substr(at), left};
    if (spool_) store_held();
    return lose_held();
  }
}

// Without a spool: waits until the rows may be sent again. False: they are lost.
bool DeliveryWriter::wait_to_retry() {
  const bool was_closed = queue_->closed();
  while (waiting_to_retry() && !queue_->overdue() && (was_closed || !queue_->closed())) {
    if (gives_up(failing_since_)) return false;
    queue_->pause(std::min(next_try_, RowQueue::now() + RowQueue::seconds(kStorePause)));
  }
  next_try_ = RowQueue::now();  // also if the end of the run ended the pause
  return !queue_->overdue();
}

// The metering thread must not wait forever, and sees the end of the run only when it does not
// wait. With kDrop the queue limits the waiting rows; others are stored if the spool has room.
bool DeliveryWriter::gives_up(RowQueue::Time not_before) {
  if ((spool_ && may_store_) || queue_->on_full() != OnFull::kBlock) return false;
  const auto now = RowQueue::now();
  if (host_.stop_requested() && stopped_at_ == RowQueue::Time::max()) stopped_at_ = now;
  if (now >= stopped_at_ && queue_->patience() != RowQueue::kForEver &&
      now >= std::max(stopped_at_, progress_at_) + queue_->patience())
    return true;
  return failing_ && now >= not_before &&
         now >= failing_since_ + RowQueue::seconds(options_.retry_s);
}

bool DeliveryWriter::gives_up() {
  return gives_up(attempted_at_ + RowQueue::seconds(kShortAttempt));
}

DeliveryWriter::Delivery DeliveryWriter::attempt(std::string_view text, size_t at) {
  attempted_at_ = RowQueue::now();
  Delivery done = deliver(text, at);
  sent_ += done.taken;
  refused_ += done.refused;
  if (done.taken + done.refused > 0) {
    refusing_ = done.taken == 0;
    note_progress();
    note_success(done);
  }
  if (done.later) note_failure(done);
  return done;
}

// Failures are logged when they start and when they end, not at each attempt.
void DeliveryWriter::note_outage(const std::string& reason) {
  if (!failing_) {
    failing_since_ = next_try_ = RowQueue::now();
    attempts_ = 0;
    host_.log_warning("output " + name_ + ": " + reason + "; trying again");
  }
  failing_ = true;
  last_reason_ = reason;
}

void DeliveryWriter::note_failure(const Delivery& delivery) {
  const auto now = RowQueue::now();
  note_outage(delivery.reason);
  const double pause =
      std::min(kLongestPause, kFirstPause * static_cast<double>(1u << std::min(attempts_, 10u)));
  attempts_++;
  // Meters that lost the same server should not all retry at the same moment.
  const double jitter = std::uniform_real_distribution<double>(0.5, 1)(random_);
  next_try_ = now + RowQueue::seconds(std::max(
                        pause * jitter, std::min(delivery.retry_after_s, kLongestRetryAfter)));
}

void DeliveryWriter::note_success(const Delivery& delivery) {
  if (failing_) {
    const double outage = std::chrono::duration<double>(RowQueue::now() - failing_since_).count();
    char text[64];
    std::snprintf(text, sizeof(text), ": answers again after %.1f s", outage);
    host_.log_info("output " + name_ + text);
  }
  failing_ = false;
  if (delivery.refused > 0 && refusal_.empty()) {
    refusal_ = delivery.reason;
    host_.log_warning("output " + name_ + ": rows are refused with " + refusal_ + aside_text());
  }
}

void DeliveryWriter::set_aside(std::string_view rows, const std::string& words) {
  if (!spool_) return;
  std::string error;
  aside_ += spool_->keep_refused(rows, words, &error);
  if (!error.empty() && std::exchange(aside_error_, error).empty())
    host_.log_error("output " + name_ + ": refused rows are not set aside: " + aside_error_);
}

std::string DeliveryWriter::aside_text() const {
  return aside_ > 0 ? "; " + std::to_string(aside_) + " set aside in " + spool_->refused_path()
                    : "";
}

bool DeliveryWriter::keep_waiting() {
  store_when_due();
  return !queue_->overdue();
}

// Moves new rows to the spool while older ones are sent.
void DeliveryWriter::store_when_due() {
  const bool due = RowQueue::now() >= next_store_;
  if (spool_ && may_store_ && (due || (queue_->more_than_half_full() && !spool_is_full_)))
    store_new_rows(RowQueue::now());
}

// Stores rows that arrive until then. If the server fails, rows without room are lost; else they
// are held, and those that follow stay in the queue.
void DeliveryWriter::store_new_rows(RowQueue::Time until) {
  if (held_.count == 0 && !queue_->take(&held_, until)) return;
  store_held();
  if (failing_) lose_held();
}

// Moves as many of the rows to the spool as there is room for.
void DeliveryWriter::store_held() {
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

void DeliveryWriter::lose_held() {
  lost_ += held_.count;
  given_up_ += held_.count;
  held_ = {};
}

void DeliveryWriter::take_rest() {
  do {
    if (spool_) store_held();
    lose_held();
  } while (queue_->take(&held_, RowQueue::now()));
}

Status DeliveryWriter::result() const {
  if (spooled_ > 0)
    host_.log_warning("output " + name_ + ": " + of_rows(spooled_, "wait in ") +
                      spool_->directory() + " for the next run with this output and spool");
  if (lost_ == 0 && refused_ == 0) return Done{};
  std::string text = "output " + name_ + ": ";
  if (lost_ > 0)
    text += of_rows(lost_, "lost (") +
            (!spool_error_.empty()   ? spool_error_
             : !last_reason_.empty() ? last_reason_
                                     : "no time was left to send them") +
            ")";
  if (lost_ > 0 && refused_ > 0) text += ", ";
  if (refused_ > 0) text += of_rows(refused_, "refused (") + refusal_ + aside_text() + ")";
  return Error{text};
}

void DeliveryWriter::describe(OutputAccount& account) const {
  account.delivery = {sent_, refused_, lost_, spooled_};
  account.up = account.up && !failing_ && !refusing_;
}

}  // namespace flowmeter
