// SPDX-License-Identifier: BSD-3-Clause
#include "output/queued_sink.h"

#include <pthread.h>

#include <csignal>
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
      queue_(options.queue_bytes, options.on_full),
      buffer_(std::make_unique_for_overwrite<char[]>(kPieceBytes + format_->bound())),
      filled_(0) {}

QueuedSink::~QueuedSink() {
  stop({});
}

void QueuedSink::write(const FlowRecord& record) {
  const char* end = format_->put_row(buffer_.get() + filled_, record);
  filled_ = static_cast<size_t>(end - buffer_.get());
  rows_buffered_++;
  if (filled_ >= kPieceBytes) hand_over();
}

void QueuedSink::hand_over() {
  if (rows_buffered_ == 0) return;
  if (!thread_.joinable()) start();
  rows_ += rows_buffered_;
  if (!queue_.append({buffer_.get(), filled_}, rows_buffered_)) dropped_ += rows_buffered_;
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
    dropped_ += queue_.abandon();
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

Status QueuedSink::finish() {
  if (Status handed = flush(); !handed) return handed;
  stop(options_.patience);
  if (!result_) return result_;
  if (dropped_ > 0)
    return Error{
        "output " + writer_->name() + ": " + std::to_string(dropped_) + " of " +
        std::to_string(rows_) +
        " rows were dropped because the output was too slow (--output-queue makes room for more)"};
  return Done{};
}

std::vector<std::string> QueuedSink::accounts() const {
  return {"output " + writer_->name() + ": rows=" + std::to_string(rows_ + rows_buffered_) +
          " dropped=" + std::to_string(dropped_) + writer_->account()};
}

}  // namespace flowmeter
