// SPDX-License-Identifier: BSD-3-Clause
#include "run/row_commits.h"

#include <time.h>

#include <algorithm>
#include <filesystem>

#include "base/clock.h"

namespace flowmeter {
namespace {

// The file of the open flows, named by the directory of the pins.
std::string state_name(const Config& config) {
  std::error_code ignored;
  std::string name = std::filesystem::weakly_canonical(config.pin, ignored).string();
  std::replace(name.begin(), name.end(), '/', '-');
  return name.substr(1) + ".flows";
}

}  // namespace

Status RowCommits::open(BpfDatapath& datapath) {
  datapath_ = &datapath;
  if (config_.pin.empty()) return Done{};
  if (config_.outputs.targets.size() > FM_JOURNAL_OUTPUTS)
    return Error{"--pin: at most " + std::to_string(FM_JOURNAL_OUTPUTS) + " outputs are possible"};
  const auto named = [](const Error& error) {
    return Error{"--state-dir: " + error.doing, error.os_error};
  };
  auto directory =
      OwnedDirectory::open(config_.state_directory, OwnedDirectory::IfMissing::kCreate);
  if (!directory) return named(directory.error());
  auto kept = FlowState::open(std::move(*directory), state_name(config_), datapath.journal().id,
                              flows_.capacity(), config_.settings.with_sizes != 0);
  if (!kept) return named(kept.error());
  kept_ = std::move(*kept);
  rows_before_ = datapath.last_commit().packets_written;
  return rows_.sink().resume(datapath.last_commit().outputs);
}

Result<bool> RowCommits::restore() {
  const bool exact = kept_->commits() != 0 && kept_->commits() == datapath_->journal().commits;
  if (Status restored = flows_.restore(*kept_, exact); !restored) return restored.error();
  return exact;
}

Status RowCommits::commit() {
  if (!kept_) {
    Status written = flush();
    datapath_->release();
    return written;
  }
  if (output_failed_) return Done{};
  if (marked_ && !rows_.sink().safe())
    if (Status tried = flush(); !tried || !rows_.sink().safe()) return tried;
  if (marked_) end_commit();
  if (!datapath_->advanced() && flows_.flows_written() == flushed_) return Done{};
  datapath_->mark();
  next_.packets_written = rows_before_ + flows_.packets_written();
  marked_ = true;
  Status written = flush();
  if (written && rows_.sink().safe()) end_commit();
  return written;
}

void RowCommits::end_commit() {
  std::vector<fm_output_position> ends;
  rows_.sink().positions(ends);
  ends.resize(FM_JOURNAL_OUTPUTS);
  std::copy(ends.begin(), ends.end(), next_.outputs);
  datapath_->commit(next_);
  marked_ = false;
}

Status RowCommits::commit_all() {
  constexpr timespec kPause{0, 1'000'000};
  const uint64_t until =
      monotonic_ns() + static_cast<uint64_t>(config_.outputs.drain_s * FM_SECOND_NS);
  Status written = commit();
  while (written && marked_ && monotonic_ns() < until) {
    ::nanosleep(&kPause, nullptr);
    written = commit();  // those that were under way, and then the rest
  }
  return written;
}

// Also without new rows: others may wait for a disk that was full.
Status RowCommits::flush() {
  if (output_failed_) return Done{};
  flushed_ = flows_.flows_written();
  Status written = rows_.sink().flush();
  output_failed_ = !written;
  return written;
}

void RowCommits::keep_flows(LiveFlows::Copied which) {
  if (!kept_ || marked_ || output_failed_) return;
  const uint64_t commits = datapath_->journal().commits;
  const bool lacks_payload = which == LiveFlows::Copied::kAll && config_.settings.with_application;
  if (kept_->commits() == commits && !lacks_payload) return;
  Status saved = flows_.save(*kept_, commits, which);
  if (!saved && !keeping_failed_)
    host_.log_warning(saved.error().message() +
                      "; the next run with --pin may not know all times of open flows");
  keeping_failed_ = !saved;
}

void RowCommits::remove() {
  if (kept_) kept_->remove();
}

}  // namespace flowmeter
