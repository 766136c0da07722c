// SPDX-License-Identifier: BSD-3-Clause
#include "support/replay_rows.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "features/columns_97.h"
#include "output/number.h"

namespace flowmeter::testing {
namespace {

size_t column_index(FeatureSet set, const std::string& column) {
  const auto& names = column_names(set);
  const auto found = std::find(names.begin(), names.end(), column);
  if (found == names.end()) {
    std::fprintf(stderr, "no column %s\n", column.c_str());
    std::abort();
  }
  return static_cast<size_t>(found - names.begin());
}

Replayed finished(Replay& replay, RowCollector& sink) {
  replay.finish();
  return {std::move(sink.rows), replay.account(), replay.flows().forced_out(),
          replay.flows().packets_written()};
}

}  // namespace

const std::vector<std::string>& column_names(FeatureSet set) {
  static std::map<const Column*, std::vector<std::string>> names_of;
  std::vector<std::string>& names = names_of[set.data()];
  if (names.empty())
    for (const Column& column : set) names.emplace_back(column.name);
  return names;
}

const std::string& Row::text(const std::string& column) const {
  return cells_[column_index(set_, column)];
}

double Row::number(const std::string& column) const {
  return numbers_[column_index(set_, column)];
}

uint64_t Row::packets() const {
  if (set_.data() == columns_97().data())
    return static_cast<uint64_t>(number("Total Fwd Packets") + number("Total Backward Packets"));
  return static_cast<uint64_t>(set_.data() == columns_82().data()
                                   ? number("tot_fwd_pkts") + number("tot_bwd_pkts")
                                   : number("packets_count"));
}

void RowCollector::write(const FlowRecord& record) {
  Row row(set_);
  row.end_ = record.end;
  for (const Column& column : set_) {
    const Cell cell = column.get(record);
    char text[kMaxRealText];
    switch (cell.kind()) {
      case Cell::Kind::kInteger:
        row.numbers_.push_back(static_cast<double>(cell.integer()));
        row.cells_.push_back(std::to_string(cell.integer()));
        break;
      case Cell::Kind::kReal:
        row.numbers_.push_back(cell.real());
        row.cells_.emplace_back(text, put_real(text, cell.real()));
        break;
      case Cell::Kind::kNanoseconds:
        row.numbers_.push_back(cell.real());
        row.cells_.emplace_back(text, put_seconds(text, cell.nanoseconds()));
        break;
      case Cell::Kind::kText:
        row.numbers_.push_back(0);
        row.cells_.emplace_back(cell.text());
        break;
    }
  }
  rows.push_back(std::move(row));
}

Replayed replay(const std::vector<TimedFrame>& frames, const fm_settings& settings,
                Replay::Limits limits, FeatureSet set, const MeterIdentity* meter) {
  RowCollector sink(set);
  Replay replay(settings, limits, sink);
  if (meter) replay.identify_rows(*meter);
  std::vector<std::unique_ptr<uint8_t[]>> blocks;  // stay until replay has looked into them
  for (const TimedFrame& f : frames) {
    const size_t size = f.frame.bytes.size();
    blocks.push_back(std::make_unique<uint8_t[]>(size));
    std::copy(f.frame.bytes.begin(), f.frame.bytes.end(), blocks.back().get());
    replay.add({f.time_ns, 0, blocks.back().get(), static_cast<uint32_t>(size), f.frame.wire_length,
                f.frame.link_type});
  }
  return finished(replay, sink);
}

Replayed replay_file(const std::string& path, const fm_settings& settings) {
  auto reader = CaptureReader::open(path);
  if (!reader) {
    std::fprintf(stderr, "%s\n", reader.error().message().c_str());
    std::abort();
  }
  RowCollector sink;
  Replay replay(settings, kRoomyLimits, sink);
  CapturedFrame frame;
  while (reader->next(&frame)) replay.add(frame);
  return finished(replay, sink);
}

}  // namespace flowmeter::testing
