// SPDX-License-Identifier: BSD-3-Clause
#include "run/row_commits.h"

#include <time.h>

#include <algorithm>
#include <filesystem>

#include "base/clock.h"

namespace flowmeter {
namespace {

// The file of the open flows, named by the directory of the pins: '-' stands for '/'.
std::string state_name(const Config& config) {
  std::error_code ignored;
  const std::string path = std::filesystem::weakly_canonical(config.pin, ignored).string();
  std::string name;
  for (const char c : path) {
    if (c == '/') {
      if (!name.empty()) name += '-';
    } else if (c == '-' || c == '%') {
      name += c == '-' ? "%2D" : "%25";
    } else {
      name += c;
    }
  }
  return name + ".flows";
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
  const fm_journal& journal = datapath.journal();
  must_be_exact_ = journal.ended != 0;
  const LastCommit last{journal.outputs_id, datapath.last_commit().outputs, journal.ended != 0};
  if (Status resumed = rows_.sink().resume(last); !resumed) return resumed;
  datapath.begin_outputs(output_ends());
  return Done{};
}

bool RowCommits::restore() {
  const bool exact = kept_->commits() != 0 && kept_->commits() == datapath_->journal().commits;
  if (must_be_exact_ && !exact)
    host_.log_warning("--state-dir " + config_.state_directory +
                      " does not have the flows as the earlier run has left them; going on as "
                      "after a kill");
  if (Status restored = flows_.restore(*kept_, exact); !restored) {
    host_.log_warning(restored.error().message() + "; going on as after a kill");
    flows_.distrust();
    return false;
  }
  return exact;
}

Status RowCommits::commit() {
  if (!kept_) {
    Status written = flush();
    datapath_->release();
    return written;
  }
  if (output_failed_) return Done{};
  if (marked_) {
    if (Status tried = checked(rows_.sink().retry()); !tried) return tried;
    if (!rows_.sink().safe()) return Done{};
    end_commit();
  }
  if (!datapath_->advanced() && flows_.flows_written() == flushed_) return Done{};
  datapath_->mark();
  next_.packets_written = rows_before_ + flows_.packets_written();
  next_.taken_over = datapath_->taken_over();
  marked_ = true;
  Status written = flush();
  if (written && rows_.sink().safe()) end_commit();
  return written;
}

std::vector<fm_output_position> RowCommits::output_ends() const {
  std::vector<fm_output_position> ends;
  rows_.sink().positions(ends);
  ends.resize(FM_JOURNAL_OUTPUTS);
  return ends;
}

void RowCommits::end_commit() {
  const std::vector<fm_output_position> ends = output_ends();
  std::copy(ends.begin(), ends.end(), next_.outputs);
  datapath_->commit(next_);
  rows_.sink().note_commit();
  marked_ = false;
}

uint64_t RowCommits::patience_ns() const {
  return static_cast<uint64_t>(config_.outputs.drain_s * FM_SECOND_NS);
}

Result<bool> RowCommits::settle(uint64_t longest_ns, const std::function<void()>& meanwhile) {
  constexpr timespec kPause{0, 1'000'000};
  const uint64_t until = monotonic_ns() + longest_ns;
  // The first commit may be one that was under way; the next one has the rest.
  for (Status written = commit();; written = commit()) {
    if (!written) return written.error();
    if (kept_ && output_failed_) return false;
    if (!marked_) return true;
    if (!have_room() || monotonic_ns() >= until) return false;
    meanwhile();
    ::nanosleep(&kPause, nullptr);
  }
}

Status RowCommits::commit_all() {
  auto settled = settle(patience_ns());
  return settled ? Status(Done{}) : settled.error();
}

// Also without new rows: others may wait for a disk that was full.
Status RowCommits::flush() {
  if (output_failed_) return Done{};
  flushed_ = flows_.flows_written();
  return checked(rows_.sink().flush());
}

Status RowCommits::checked(Status written) {
  output_failed_ = !written;
  return written;
}

Status RowCommits::keep_flows() {
  if (!kept_) return Done{};
  auto settled = settle(kLongestWaitNs);
  if (!settled) return settled.error();
  // The copy must be of the moment of a commit: records after it are read again.
  if (!*settled || datapath_->advanced()) return Done{};
  copy_flows(LiveFlows::Copied::kChanges);
  return Done{};
}

Status RowCommits::hand_over() {
  if (Status committed = commit_all(); !committed || marked_ || output_failed_) return committed;
  copy_flows(LiveFlows::Copied::kAll);
  datapath_->end_in_order();
  return Done{};
}

void RowCommits::copy_flows(LiveFlows::Copied which) {
  const uint64_t commits = datapath_->journal().commits;
  const bool lacks_some =
      which == LiveFlows::Copied::kAll &&
      (config_.settings.with_application || config_.attribute != FM_ATTRIBUTE_OFF);
  if (kept_->commits() == commits && !lacks_some) return;
  Status saved = flows_.save(*kept_, commits, which);
  if (!saved && !keeping_failed_)
    host_.log_warning(saved.error().message() +
                      "; the next run with --pin may not know all times of open flows");
  keeping_failed_ = !saved;
}

void RowCommits::remove() {
  if (!kept_) return;
  if (Status removed = kept_->remove(); !removed)
    host_.log_warning("--state-dir: " + removed.error().message() +
                      "; nothing in it is needed any more");
}

}  // namespace flowmeter
