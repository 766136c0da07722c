// SPDX-License-Identifier: BSD-3-Clause
// Replays a capture file of arbitrary bytes: reader, parser, tables, features, and the cells of the
// rows. The account must balance, no packet may be lost between account and rows, and every cell
// must be a number or a text.
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "features/community_id.h"
#include "features/feature_sets.h"
#include "features/flow_ids.h"
#include "flows/replay.h"

namespace {

using namespace flowmeter;

void require(bool holds) {
  if (!holds) std::abort();
}

class CheckingSink final : public RecordSink {
 public:
  void write(const FlowRecord& record) override {
    packets += fm_flow_packets(&record.flow.counters);
    rows++;
    if (rows > kCheckedRows) return;
    for (const NamedFeatureSet& set : feature_sets()) check(set.columns, record);
    require(flow_id(record).text().size() == 36 && flow_key(record).text().size() == 36);
    require(community_id(record).text().size() == 30);
  }
  static void check(FeatureSet columns, const FlowRecord& record) {
    for (const Column& column : columns) {
      const Cell cell = column.get(record);
      if (cell.kind() == Cell::Kind::kReal) require(std::isfinite(cell.real()) && cell.real() >= 0);
      if (cell.kind() == Cell::Kind::kText)
        require(!cell.text().empty() && cell.text().size() <= Cell::kMaxText);
    }
  }
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }

  uint64_t packets = 0;
  uint64_t rows = 0;

 private:
  static constexpr uint64_t kCheckedRows = 100;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The reader takes a path, so all runs share one file in memory.
  static const int file = ::memfd_create("capture", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (::ftruncate(file, 0) != 0) return 0;
  if (::pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) return 0;
  auto reader = CaptureReader::open(path);
  if (!reader) return 0;
  CheckingSink sink;
  fm_settings settings = fm_default_settings();
  settings.with_sizes = 1;  // what any feature set needs
  settings.with_application = 1;
  Replay replay(settings, {8, 4}, sink);  // small, so that it is sometimes full
  replay.identify_rows({"fuzz", 0, MeterIdentity::kReplay});
  reader->on_refill([&] { replay.settle(); });
  uint64_t frames = 0;
  for (CapturedFrame frame; reader->next(&frame); frames++) {
    require(frame.captured_length <= frame.wire_length);
    require(frame.captured_length <= CaptureReader::kMaxCapturedLength);
    replay.add(frame);
  }
  replay.finish();
  require(reader->valid_header() || frames == 0);
  require(reader->bytes_read() <= size);
  require(replay.account().seen == frames);
  require(replay.account().balanced());
  require(replay.account().metered() == sink.packets);
  require(replay.flows().packets_written() == sink.packets);
  return 0;
}
