// SPDX-License-Identifier: BSD-3-Clause
// Delivers rows to a server that acknowledges them. Rows are delivered in order, one batch after
// another. What the server does not take now is delivered again, with growing pauses or after the
// time that the server names; what it refuses for good is counted and told.
//
// With a spool, rows are stored there before they are sent, so that they are not lost if the
// program is killed. While a delivery is under way or the server fails, new rows are stored ten
// times a second. The spool is sent from its start, as soon as possible or by the next run. Rows
// for which the spool has no room are sent from memory, and are lost only if the server fails, too.
#pragma once

#include <atomic>
#include <memory>
#include <random>
#include <string>

#include "base/host.h"
#include "output/delivery_options.h"
#include "output/queued_sink.h"
#include "output/spool.h"

namespace flowmeter {

class DeliveryWriter : public RowWriter {
 public:
  ~DeliveryWriter() override;

  const std::string& name() const override { return name_; }
  Status run(RowQueue& queue) final;
  void describe(OutputAccount& account) const override;
  bool keeps_rows() const override { return spool_ != nullptr; }
  // Rows that are in the spool but not in a commit are made again. (Those that the server has taken
  // meanwhile come to it twice.)
  Status resume(const LastCommit& last) override;
  void positions(std::vector<fm_output_position>& all) const override;

 protected:
  // What has become of the rows of a text.
  struct Delivery {
    size_t end;                // where the rows begin whose fate is not known
    uint64_t taken = 0;        // rows before `end` that the server has acknowledged,
    uint64_t refused = 0;      // and that it would refuse again
    bool later = false;        // the rows at `end` have to be delivered again, after a pause
    std::string reason = {};   // of `later`, or of the refusal
    double retry_after_s = 0;  // `later`: the pause that the server asks for
  };

  // name: the output's name in messages, without secrets. Requires: host outlives this object.
  DeliveryWriter(std::string name, DeliveryOptions options, Host& host);

  // Opens the spool. Rows of different identities, such as URLs, are in different directories,
  // because spooled rows must not be sent to another server; readable: what their names begin with.
  Status open_spool(const std::string& identity, const std::string& readable);

  // ---- on the thread of run() ----
  // Called before the first delivery.
  virtual void begin() {}
  // Delivers rows from `at` on, as many as fit into one delivery, at least one. Requires: at is
  // below the size of the text.
  virtual Delivery deliver(std::string_view text, size_t at) = 0;
  // Stores new rows. deliver() calls it ten times a second while it waits; false: the time for the
  // output is over, so deliver() must return.
  bool keep_waiting();
  // Whether the metering thread, which may wait for the output, has waited for long enough: the
  // rows that are being delivered are lost. deliver() must ask if it can take longer than a few
  // seconds while the server fails.
  bool gives_up();
  // The server cannot be used for now, while deliver() goes on trying. Tells it once.
  void note_outage(const std::string& reason);
  // Keeps rows that the server has refused beside the spool, if there is one. words: its reason.
  // deliver() counts them as refused.
  void set_aside(std::string_view rows, const std::string& words);
  // Some rows were delivered, or are smaller in number: the end of the run goes on waiting.
  void note_progress() {
    queue_->note_progress();
    progress_at_ = RowQueue::now();
  }
  Host& host() const { return host_; }
  // Null: there is none.
  const Spool* spool() const { return spool_.get(); }

 private:
  void send_from_spool();
  void send_first_file(std::string_view text, size_t at);
  void send_held();
  void send_from_memory(const Rows& rows);
  Delivery attempt(std::string_view text, size_t at);
  bool wait_to_retry();
  bool gives_up(RowQueue::Time not_before);
  bool waiting_to_retry() const { return failing_ && RowQueue::now() < next_try_; }
  void note_failure(const Delivery& delivery);
  void note_success(const Delivery& delivery);
  void store_when_due();
  void store_new_rows(RowQueue::Time until);
  void store_held();
  void lose_held();
  void take_rest();
  Status result() const;
  std::string aside_text() const;

  const std::string name_;
  const DeliveryOptions options_;
  Host& host_;
  std::unique_ptr<Spool> spool_;
  RowQueue* queue_ = nullptr;
  Rows held_;                   // taken from the queue, and not in the spool; older rows are
  bool may_store_ = true;       // no rows older than held_ are being sent from memory
  bool spool_is_full_ = false;  // it did not take all rows last time
  RowQueue::Time next_store_;

  std::atomic<bool> failing_ = false;   // the last delivery has to be repeated
  std::atomic<bool> refusing_ = false;  // of the last delivery no row was taken
  unsigned attempts_ = 0;
  RowQueue::Time failing_since_, next_try_, attempted_at_, progress_at_;
  RowQueue::Time stopped_at_ = RowQueue::Time::max();  // the end of the run was requested
  std::minstd_rand random_{std::random_device{}()};
  std::string last_reason_, refusal_, spool_error_, aside_error_;
  uint64_t aside_ = 0;  // refused rows that were set aside
  std::atomic<uint64_t> sent_ = 0, refused_ = 0, lost_ = 0, spooled_ = 0;
};

// "1 row lost", "2 rows lost".
std::string of_rows(uint64_t rows, const char* what);

}  // namespace flowmeter
