// SPDX-License-Identifier: BSD-3-Clause
// Sends rows to a web service. Each request is a POST of one JSON object, or of an array of
// several. The connection is persistent and requests are sent one after another, so rows arrive in
// order. A 2xx answer acknowledges them. After no answer, 408, 429 or 5xx they are sent again, with
// growing pauses or after the time in Retry-After. Any other answer is a refusal that another
// attempt would not change.
//
// With a spool, rows are stored there before they are sent, so that they are not lost if the
// program is killed. While a request is under way or the server fails, new rows are stored ten
// times a second. The spool is sent from its start, as soon as possible or by the next run. Rows
// for which the spool has no room are sent from memory, and are lost only if the server fails, too.
#pragma once

#include <atomic>
#include <memory>
#include <random>
#include <string>

#include "base/host.h"
#include "output/http_transfer.h"
#include "output/queued_sink.h"
#include "output/spool.h"

namespace flowmeter {

struct HttpOptions : HttpTransferOptions {
  uint32_t batch = 1;              // most rows per request; above 1, a request is an array
  double retry_s = 60;             // with OnFull::kBlock and no spool: rows are lost after this
  std::string authorization_file;  // from which the header is read; empty: from the environment
  std::string spool;               // directory; empty: none
  uint32_t spool_limit_mib = 1024;
  Spool::Sync spool_sync = Spool::Sync::kBatch;
};

class HttpWriter final : public RowWriter {
 public:
  // A usage error if url cannot be used.
  static Status check_url(const std::string& url);
  static Result<std::unique_ptr<HttpWriter>> open(const std::string& url, HttpOptions options,
                                                  Host& host);
  ~HttpWriter() override;

  const std::string& name() const override { return name_; }
  Status run(RowQueue& queue) override;
  std::string account() const override;
  bool keeps_rows() const override { return spool_ != nullptr; }
  // Rows that are in the spool but not in a commit are made again. (Those that the server has taken
  // meanwhile come to it twice.)
  Status resume(const LastCommit& last) override;
  void positions(std::vector<fm_output_position>& all) const override;

 private:
  enum class Answer { kTaken, kRefused, kLater };
  struct Batch {
    size_t end;
    uint32_t rows;
  };

  HttpWriter(HttpOptions options, Host& host);
  void send_from_spool();
  void send_first_file(std::string_view text, size_t at);
  uint64_t leave_spool(uint64_t rows);
  void take_back(uint64_t rows);
  void send_held();
  void send_from_memory(const Rows& rows);
  Batch make_body(std::string_view text, size_t at);
  Answer post(std::string_view text, size_t at, Batch* batch);
  bool wait_to_retry();
  bool waiting_to_retry() const { return failing_ && RowQueue::now() < next_try_; }
  void note_answer(Answer answer, const std::string& reason, double retry_after_s);
  void store_when_due();
  void store_new_rows(RowQueue::Time until);
  void store_held();
  void lose_held();
  void take_rest();
  Status result() const;

  const HttpOptions options_;
  Host& host_;
  uint32_t batch_limit_;  // options_.batch, or less if the server refuses that as too large
  std::string name_;      // the URL without its query, which may contain secrets
  std::unique_ptr<HttpTransfer> transfer_;
  std::unique_ptr<Spool> spool_;
  uint64_t found_ = 0;  // rows in the spool that are of earlier runs
  RowQueue* queue_ = nullptr;
  Rows held_;                   // taken from the queue, and not in the spool; older rows are
  bool may_store_ = true;       // no rows older than held_ are being sent from memory
  bool spool_is_full_ = false;  // it did not take all rows last time
  RowQueue::Time next_store_;
  std::string body_;

  bool failing_ = false;  // the last request has to be repeated
  unsigned attempts_ = 0;
  RowQueue::Time failing_since_, next_try_;
  std::minstd_rand random_{std::random_device{}()};
  std::string last_reason_, refusal_, spool_error_;
  std::atomic<uint64_t> sent_ = 0, refused_ = 0, lost_ = 0, spooled_ = 0;
};

}  // namespace flowmeter
