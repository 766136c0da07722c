// SPDX-License-Identifier: BSD-3-Clause
#include "output/queued_sink.h"

#include <pthread.h>

#include <csignal>
#include <cstring>
#include <new>

namespace flowmeter {
namespace {

// Rows are handed over in pieces of this size, and at each flush.
constexpr size_t kPieceBytes = 64 * 1024;

// Signals must reach the metering thread, because they interrupt its reads and sleeps.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

QueuedSink::QueuedSink(std::unique_ptr<RowFormat> format, std::unique_ptr<RowWriter> writer,
                       Options options)
    : format_(std::move(format)),
      writer_(std::move(writer)),
      options_(options),
      // Of a sink that commits, at most one batch is in the queue.
      queue_(options.commits ? SIZE_MAX : options.queue_bytes, options.on_full, options.patience),
      capacity_(kPieceBytes),
      buffer_(std::make_unique_for_overwrite<char[]>(capacity_ + format_->bound())) {}

QueuedSink::~QueuedSink() {
  stop({});
}

void QueuedSink::write(const FlowRecord& record) {
  const char* end = format_->put_row(buffer_.get() + filled_, record);
  filled_ = static_cast<size_t>(end - buffer_.get());
  rows_buffered_++;
  if (filled_ >= capacity_) make_room();
}

void QueuedSink::make_room() {
  if (!options_.commits) return hand_over();
  capacity_ *= 2;
  auto larger = std::make_unique_for_overwrite<char[]>(capacity_ + format_->bound());
  std::memcpy(larger.get(), buffer_.get(), filled_);
  buffer_ = std::move(larger);
}

void QueuedSink::hand_over() {
  if (rows_buffered_ == 0) return;
  if (!thread_.joinable()) start();
  rows_ += rows_buffered_;
  if (!queue_.append({buffer_.get(), filled_}, rows_buffered_, options_.meanwhile))
    dropped_ += rows_buffered_;
  filled_ = 0;
  rows_buffered_ = 0;
}

void QueuedSink::start() {
  const SignalsBlocked blocked;
  thread_ = std::thread([this] {
    try {
      result_ = writer_->run(queue_);
    } catch (const std::bad_alloc&) {
      result_ = Error{"output " + writer_->name() + ": out of memory"};
    }
    dropped_ += queue_.abandon() - writer_->written() - writer_->given_up();
    failed_ = !result_;
  });
}

void QueuedSink::stop(RowQueue::Duration patience) {
  queue_.close(patience);
  if (thread_.joinable()) thread_.join();
}

Status QueuedSink::flush() {
  if (!thread_.joinable()) start();
  hand_over();
  return failed_ ? result_ : Done{};
}

bool QueuedSink::safe() const {
  return !options_.commits || failed_ || writer_->written() + writer_->given_up() == rows_;
}

bool QueuedSink::full() const {
  return options_.commits && !failed_ && filled_ >= options_.queue_bytes;
}

void QueuedSink::positions(std::vector<fm_output_position>& all) const {
  if (options_.commits) writer_->positions(all);
}

void QueuedSink::note_commit() {
  if (options_.commits) writer_->note_commit();
}

Status QueuedSink::finish() {
  if (Status handed = flush(); !handed) return handed;
  hand_over();
  stop(options_.patience);
  if (!result_) return result_;
  if (dropped_ > 0)
    return Error{
        "output " + writer_->name() + ": " + std::to_string(dropped_) + " of " +
        std::to_string(rows_) +
        " rows were dropped because the output was too slow (--output-queue makes room for more)"};
  return Done{};
}

std::vector<OutputAccount> QueuedSink::accounts() const {
  OutputAccount account;
  account.name = writer_->name();
  account.rows = rows_ + rows_buffered_;
  account.written = writer_->written();
  account.dropped = dropped_ + writer_->given_up();
  account.waiting_bytes = filled_ + queue_.bytes();
  account.up = !failed_;
  writer_->describe(account);
  return {account};
}

}  // namespace flowmeter
