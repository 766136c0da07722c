// SPDX-License-Identifier: BSD-3-Clause
#include "output/sink_group.h"

#include <algorithm>

namespace flowmeter {

bool SinkGroup::failed() const {
  return std::all_of(members_.begin(), members_.end(),
                     [](const Member& member) { return member.sink->failed(); });
}

Status SinkGroup::flush() {
  return each(&RecordSink::flush);
}

Status SinkGroup::retry() {
  return each(&RecordSink::retry);
}

Status SinkGroup::each(Status (RecordSink::*step)()) {
  Status result = Done{};
  for (Member& member : members_) {
    Status written = (member.sink.get()->*step)();
    if (written || member.told) continue;
    member.told = true;
    if (!result) host_.log_error(result.error().message());
    result = written;
  }
  if (result || failed()) return result;
  host_.log_error(result.error().message());
  return Done{};
}

Status SinkGroup::finish() {
  for (Member& member : members_) {
    Status finished = member.sink->finish();
    if (finished || member.told) continue;
    member.told = true;
    host_.log_error(finished.error().message());
  }
  if (logs_accounts_)
    for (const OutputAccount& account : accounts()) host_.log_info(account.text());
  return Done{};
}

Status SinkGroup::resume(const LastCommit& last) {
  for (const Member& member : members_)
    if (Status resumed = member.sink->resume(last); !resumed) return resumed;
  return Done{};
}

bool SinkGroup::safe() const {
  return std::all_of(members_.begin(), members_.end(),
                     [](const Member& member) { return member.sink->safe(); });
}

bool SinkGroup::full() const {
  return std::any_of(members_.begin(), members_.end(),
                     [](const Member& member) { return member.sink->full(); });
}

void SinkGroup::positions(std::vector<fm_output_position>& all) const {
  for (const Member& member : members_) member.sink->positions(all);
}

void SinkGroup::note_commit() {
  for (const Member& member : members_) member.sink->note_commit();
}

uint64_t SinkGroup::rows_unwritten() const {
  uint64_t rows = 0;
  for (const Member& member : members_) rows += member.sink->rows_unwritten();
  return rows;
}

std::vector<OutputAccount> SinkGroup::accounts() const {
  std::vector<OutputAccount> all;
  for (const Member& member : members_)
    for (OutputAccount& account : member.sink->accounts()) all.push_back(std::move(account));
  return all;
}

bool SinkGroup::complete() const {
  return std::none_of(members_.begin(), members_.end(),
                      [](const Member& member) { return member.told; });
}

}  // namespace flowmeter
