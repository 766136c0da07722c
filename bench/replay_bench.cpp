// SPDX-License-Identifier: BSD-3-Clause
// Measures replay step by step on captures from make_bench_capture: each layer, the whole packet
// phase, and the whole row phase. Each repetition is one pass over a capture; scripts/bench takes
// medians.
//
// replay_bench [Google Benchmark's options] NAME=CAPTURE …
#include <benchmark/benchmark.h>
#include <pcap/pcap.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "api/embedded_host.h"
#include "capture/capture_reader.h"
#include "features/columns_extra.h"
#include "features/feature_sets.h"
#include "features/select.h"
#include "flowmeter/parse.h"
#include "flows/flow_table.h"
#include "flows/replay.h"
#include "output/csv.h"
#include "output/file_sink.h"

namespace flowmeter {
namespace {

constexpr Replay::Limits kLimits{2097152, 65536};  // the program's defaults

class NullSink final : public RecordSink {
 public:
  void write(const FlowRecord& record) override { benchmark::DoNotOptimize(&record); }
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }
};

// Computes every column and formats none.
class GettersSink final : public RecordSink {
 public:
  explicit GettersSink(FeatureSet columns) : columns_(columns) {}
  void write(const FlowRecord& record) override {
    for (const Column& column : columns_) {
      const Cell cell = column.get(record);
      benchmark::DoNotOptimize(&cell);
    }
  }
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }

 private:
  FeatureSet columns_;
};

CaptureReader open_capture(const std::string& path) {
  auto reader = CaptureReader::open(path);
  if (!reader) {
    std::fprintf(stderr, "%s\n", reader.error().message().c_str());
    std::exit(1);
  }
  return std::move(*reader);
}

void set_items(benchmark::State& state, uint64_t each) {
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(each));
}

void walk_with_libpcap(benchmark::State& state, const std::string& path) {
  uint64_t packets = 0;
  for (auto _ : state) {
    char error[PCAP_ERRBUF_SIZE];
    pcap_t* capture = pcap_open_offline(path.c_str(), error);
    if (!capture) {
      state.SkipWithError(error);
      return;
    }
    packets = 0;
    pcap_pkthdr* header = nullptr;
    const u_char* data = nullptr;
    while (pcap_next_ex(capture, &header, &data) == 1) {
      benchmark::DoNotOptimize(data);
      packets++;
    }
    pcap_close(capture);
  }
  set_items(state, packets);
}

void walk_with_reader(benchmark::State& state, const std::string& path) {
  uint64_t packets = 0;
  for (auto _ : state) {
    CaptureReader reader = open_capture(path);
    CapturedFrame frame;
    packets = 0;
    while (reader.next(&frame)) {
      benchmark::DoNotOptimize(frame.data);
      packets++;
    }
  }
  set_items(state, packets);
}

// Calls take(packet, hash) for each metered packet; returns how many there were.
template <typename Take>
uint64_t parse_capture(const std::string& path, const KeyHash& hash, Take&& take) {
  CaptureReader reader = open_capture(path);
  CapturedFrame captured;
  uint64_t packets = 0;
  while (reader.next(&captured)) {
    const fm_captured frame{captured.data, captured.captured_length};
    fm_packet packet{};
    fm_fragment_key fragment{};
    fm_fragment_role role = FM_NOT_FRAGMENT;
    packet.time_ns = captured.time_ns;
    if (fm_parse(&frame, {captured.wire_length, 0, 0}, captured.link_type, &packet, &fragment,
                 &role) != FM_METERED)
      continue;
    take(packet, hash(packet.key));
    packets++;
  }
  return packets;
}

void read_parse_hash(benchmark::State& state, const std::string& path) {
  const KeyHash hash;
  uint64_t packets = 0;
  for (auto _ : state)
    packets = parse_capture(path, hash, [](const fm_packet& packet, uint32_t hashed) {
      benchmark::DoNotOptimize(&packet);
      benchmark::DoNotOptimize(hashed);
    });
  set_items(state, packets);
}

// The flow table alone. The packets are parsed beforehand and the table is filled; then the same
// packets are added again, in batches like those of Replay.
void update_table(benchmark::State& state, const std::string& path) {
  constexpr size_t kBatch = 32;
  NullSink sink;
  FlowTable table(fm_default_settings(), kLimits.max_flows, sink);
  std::vector<fm_packet> packets;
  std::vector<uint32_t> hashes;
  parse_capture(path, KeyHash(), [&](const fm_packet& packet, uint32_t) {
    packets.push_back(packet);
    hashes.push_back(table.hash(packet));
  });
  for (size_t i = 0; i < packets.size(); i++) table.add(packets[i], hashes[i]);
  for (auto _ : state) {
    for (size_t begin = 0; begin < packets.size(); begin += kBatch) {
      const size_t end = std::min(begin + kBatch, packets.size());
      for (size_t i = begin; i < end; i++) table.prefetch_index(hashes[i]);
      for (size_t i = begin; i < end; i++) table.prefetch_flow(packets[i], hashes[i]);
      for (size_t i = begin; i < end; i++) table.add(packets[i], hashes[i]);
    }
  }
  set_items(state, packets.size());
}

// From file to flow table, without rows.
void packet_phase(benchmark::State& state, const std::string& path, const NamedFeatureSet& set) {
  uint64_t packets = 0;
  for (auto _ : state) {
    NullSink sink;
    auto replay = std::make_unique<Replay>(set.settings, kLimits, sink);
    CaptureReader reader = open_capture(path);
    if (set.settings.with_application) reader.on_refill([&] { replay->settle(); });
    CapturedFrame frame;
    while (reader.next(&frame)) replay->add(frame);
    replay->settle();
    packets = replay->account().metered();
    state.PauseTiming();  // freeing the memory is not part of it
    replay.reset();
    state.ResumeTiming();
  }
  set_items(state, packets);
}

// From flow table to rows.
// identify: as if a column of --fleet was chosen.
void row_phase(benchmark::State& state, const std::string& path, const NamedFeatureSet& set,
               RecordSink& sink, bool identify = false) {
  uint64_t rows = 0;
  for (auto _ : state) {
    state.PauseTiming();
    auto replay = std::make_unique<Replay>(set.settings, kLimits, sink);
    if (identify)
      replay->identify_rows({"3d1219c7c4c5404aaa1f6d2a48adfda4", 0, MeterIdentity::kReplay});
    CaptureReader reader = open_capture(path);
    if (set.settings.with_application) reader.on_refill([&] { replay->settle(); });
    CapturedFrame frame;
    while (reader.next(&frame)) replay->add(frame);
    replay->settle();
    state.ResumeTiming();
    replay->finish();
    if (Status written = sink.flush(); !written)
      state.SkipWithError(written.error().message().c_str());
    rows = replay->flows().flows_written();
    state.PauseTiming();
    replay.reset();
    state.ResumeTiming();
  }
  set_items(state, rows);
}

void getters(benchmark::State& state, const std::string& path, const NamedFeatureSet& set) {
  GettersSink sink(set.columns);
  row_phase(state, path, set, sink);
}

void csv_rows_of(benchmark::State& state, const std::string& path, const NamedFeatureSet& set,
                 const char* more) {
  EmbeddedHost host;
  auto sink = FileSink::open(
      "/dev/null",
      std::make_unique<CsvFormat>(*select_columns(set.columns, "", columns_extra(), more)), host);
  if (!sink) {
    state.SkipWithError(sink.error().message().c_str());
    return;
  }
  row_phase(state, path, set, **sink, names_fleet_column(more));
}

void csv_rows(benchmark::State& state, const std::string& path, const NamedFeatureSet& set) {
  csv_rows_of(state, path, set, "");
}

// With --fleet.
void csv_rows_fleet(benchmark::State& state, const std::string& path, const NamedFeatureSet& set) {
  csv_rows_of(state, path, set, kFleetColumns);
}

struct Step {
  const char* name;
  void (*run)(benchmark::State&, const std::string&);
};
constexpr Step kSteps[] = {
    {"libpcap", walk_with_libpcap},
    {"reader", walk_with_reader},
    {"reader+parse+hash", read_parse_hash},
    {"table", update_table},
};
// Runs once for each feature set, as STEP:SET.
struct StepOfSet {
  const char* name;
  void (*run)(benchmark::State&, const std::string&, const NamedFeatureSet&);
};
constexpr StepOfSet kStepsOfSets[] = {
    {"packet_phase", packet_phase},
    {"getters", getters},
    {"csv_rows", csv_rows},
    {"csv_rows_fleet", csv_rows_fleet},
};

}  // namespace
}  // namespace flowmeter

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc < 2) {
    std::fprintf(stderr, "usage: replay_bench [--benchmark_…] NAME=CAPTURE ...\n");
    return 2;
  }
  for (int i = 1; i < argc; i++) {
    const std::string argument = argv[i];
    const size_t equals = argument.find('=');
    if (equals == std::string::npos) {
      std::fprintf(stderr, "replay_bench: %s is not NAME=CAPTURE\n", argv[i]);
      return 2;
    }
    const std::string name = argument.substr(0, equals), path = argument.substr(equals + 1);
    for (const auto& step : flowmeter::kSteps)
      benchmark::RegisterBenchmark((std::string(step.name) + "/" + name).c_str(), step.run, path)
          ->Iterations(1)
          ->Unit(benchmark::kMillisecond);
    for (const auto& step : flowmeter::kStepsOfSets)
      for (const auto& set : flowmeter::feature_sets())
        benchmark::RegisterBenchmark(
            (std::string(step.name) + ":" + std::string(set.name) + "/" + name).c_str(), step.run,
            path, set)
            ->Iterations(1)
            ->Unit(benchmark::kMillisecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
