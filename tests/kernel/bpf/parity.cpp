// SPDX-License-Identifier: BSD-3-Clause
#include "bpf/parity.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "features/columns_extra.h"
#include "features/feature_sets.h"
#include "flows/live_flows.h"
#include "flows/replay.h"
#include "kernel/bpf_datapath.h"
#include "ops/privileges.h"

namespace flowmeter::testing {
namespace {

constexpr uint32_t kMaxFlows = 65'536;
constexpr size_t kDifferencesShown = 5;
constexpr size_t kCloseAtOnce = 4096;
// BPF_PROG_TEST_RUN refuses a frame without a whole Ethernet header, or one whose EtherType
// announces an IP header that is not whole.
constexpr uint32_t kKernelMinimum = 14 + 40;

bool needs_events(const Column& column) {
  const auto has = [&](const char* word) {
    return column.name.find(word) != std::string_view::npos;
  };
  return column.unit == Unit::kSeconds || column.unit == Unit::kBytesPerSecond || has("bulk") ||
         has("_b_avg") || has("subflow") || has("Bulk") || has("Subflow") || has("HTTP") ||
         has("TLS") || has("DNS");
}

// How long before this flow the first one of its chain of active time-outs has begun. (flow_key is
// made from that time, and from the run.)
constexpr QuantityOf kChainAge{
    Unit::kNone, "", [](const FlowRecord& f) { return f.start.first_ns - f.chain_start.first_ns; }};

// The columns of all feature sets that these settings allow, and what identifies flows.
std::vector<Column> columns_of(const fm_settings& settings, Records records) {
  std::vector<Column> all;
  for (const NamedFeatureSet& set : feature_sets())
    if (set.settings.with_sizes <= settings.with_sizes &&
        set.settings.with_application <= settings.with_application)
      std::copy_if(
          set.columns.begin(), set.columns.end(), std::back_inserter(all),
          [&](const Column& column) { return records == Records::kAll || !needs_events(column); });
  std::copy_if(columns_extra().begin(), columns_extra().end(), std::back_inserter(all),
               [](const Column& column) { return column.name == "community_id"; });
  all.emplace_back("chain_age", kChainAge);
  return all;
}

class RowCollector final : public RecordSink {
 public:
  explicit RowCollector(const std::vector<Column>& columns) : columns_(columns) {}
  void write(const FlowRecord& record) override {
    std::vector<Cell>& row = rows_.emplace_back();
    for (const Column& column : columns_) row.push_back(column.get(record));
  }
  bool failed() const override { return false; }
  Status flush() override { return Done{}; }

  // The rows in an order that does not depend on when a row was written.
  const std::vector<std::vector<Cell>>& sorted() {
    std::sort(rows_.begin(), rows_.end(), [](const auto& a, const auto& b) {
      for (size_t i = 0; i < a.size(); i++)
        if (const int order = compare(a[i], b[i]); order != 0) return order < 0;
      return false;
    });
    return rows_;
  }

 private:
  static int compare(const Cell& a, const Cell& b) {
    const auto sign = [](auto x, auto y) { return x < y ? -1 : y < x; };
    switch (a.kind()) {
      case Cell::Kind::kInteger:
        return sign(a.integer(), b.integer());
      case Cell::Kind::kReal:
        return sign(a.real(), b.real());
      case Cell::Kind::kNanoseconds:
        return sign(a.nanoseconds(), b.nanoseconds());
      case Cell::Kind::kText:
        return sign(a.text(), b.text());
    }
    return 0;
  }
  const std::vector<Column>& columns_;
  std::vector<std::vector<Cell>> rows_;
};

std::string text(const Cell& cell) {
  switch (cell.kind()) {
    case Cell::Kind::kInteger:
      return std::to_string(cell.integer());
    case Cell::Kind::kReal:
      return std::to_string(cell.real());
    case Cell::Kind::kNanoseconds:
      return std::to_string(cell.nanoseconds()) + " ns";
    case Cell::Kind::kText:
      return std::string(cell.text());
  }
  return "";
}

bool equal(const Cell& a, const Cell& b) {
  if (a.kind() != b.kind()) return false;
  if (a.kind() != Cell::Kind::kReal) return text(a) == text(b);
  return std::fabs(a.real() - b.real()) <=
         1e-12 * std::max(std::fabs(a.real()), std::fabs(b.real()));
}

class Run final : public ParityRun {
 public:
  Run(const fm_settings& settings, Datapath datapath, Records records)
      : records_(records),
        with_application_(settings.with_application != 0),
        columns_(columns_of(settings, records)),
        replay_(settings, {kMaxFlows, kMaxFlows}, replay_rows_),
        flows_(settings, kMaxFlows, bpf_rows_,
               datapath == Datapath::kKernel ? TimingIn::kKernel : TimingIn::kDaemon) {
    replay_.identify_rows({"parity", 1, MeterIdentity::kReplay});
    flows_.identify_rows({"parity", 1, 1});
    flows_.set_clock(ClockOrigin{});
    // Flows of which only the end is known get rows, too.
    if (records == Records::kFinal) flows_.begin_resuming();
    // One CPU has one event stream. Streams of several CPUs cannot be merged by injected times.
    ::sched_getaffinity(0, sizeof(affinity_), &affinity_);
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(static_cast<size_t>(::sched_getcpu()), &here);
    ::sched_setaffinity(0, sizeof(here), &here);
  }
  ~Run() override { ::sched_setaffinity(0, sizeof(affinity_), &affinity_); }

  Status load(const fm_settings& settings, Datapath kind) {
    BpfDatapath::Config config;
    config.settings = settings;
    config.datapath = kind;
    config.max_entries = kMaxFlows;
    config.max_fragments = kMaxFlows;
    config.stream_bytes = 32 << 20;
    config.test_input = true;
    auto datapath = BpfDatapath::load(config, [this](const void* record, size_t size) {
      const auto* head = static_cast<const fm_packet_record*>(record);
      const bool final = (head->what & FM_RECORD_TYPE_MASK) == FM_RECORD_CLOSED;
      if (final || records_ == Records::kAll) flows_.take(record, size);
    });
    if (!datapath) return datapath.error();
    datapath_ = std::move(*datapath);
    interface_.name = "lo";
    interface_.index = 1;  // loopback, on which BPF_PROG_TEST_RUN delivers packets
    return datapath_->add_interface(interface_, DeviceMerging::kOff);
  }

  Result<bool> run_program(const CapturedFrame& frame, uint16_t segment_bytes) override {
    const uint32_t size = std::min(frame.captured_length, kFrameLimit);
    if (frame.era != 0 || frame.time_ns > INT64_MAX) {
      report_.left_out++;
      return false;
    }
    struct __sk_buff context {};
    context.tstamp = frame.time_ns;
    context.cb[0] = frame.wire_length;
    context.cb[1] = frame.link_type;
    context.gso_size = segment_bytes;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data, .data_size_in = size,
                .ctx_in = &context, .ctx_size_in = sizeof(context), .repeat = 1);
    const int error =
        -bpf_prog_test_run_opts(datapath_->program_fd(interface_, FM_HOOK_INGRESS), &options);
    if (error == EINVAL && size < kKernelMinimum) {
      report_.left_out++;
      return false;
    }
    if (error != 0)
      return Error{"BPF_PROG_TEST_RUN of a frame of " + std::to_string(size) + " bytes", error};
    report_.cut += size < frame.captured_length;
    if (++report_.packets % 4096 == 0) drain();
    return true;
  }

  void replay(const CapturedFrame& frame) override {
    // Both must see the same payload.
    CapturedFrame seen = frame;
    if (with_application_) seen.captured_length = std::min(seen.captured_length, kFrameLimit);
    replay_.add(seen);
    if (with_application_) replay_.settle();
  }

  Result<ParityReport> compare() override {
    replay_.finish();
    drain();
    std::vector<fm_close_request> requests;
    if (records_ == Records::kAll) {
      flows_.request_close(FM_END_INPUT, requests);
    } else {
      if (Status listed = datapath_->list_flows([](uint64_t) { return true; }, requests, [] {});
          !listed)
        return listed.error();
      for (fm_close_request& request : requests) request.action = fm_close_force(FM_END_INPUT);
    }
    for (size_t i = 0; i < requests.size(); i += kCloseAtOnce) {
      const size_t size = std::min(kCloseAtOnce, requests.size() - i);
      if (Status closed = datapath_->close_flows({requests.data() + i, size}); !closed)
        return closed.error();
      drain();
    }
    const fm_cpu_counters counters = datapath_->counters();
    const fm_hook_counters hook = datapath_->interface_counters().at(0).hook[FM_HOOK_INGRESS];
    if (counters.events_lost || counters.payload_lost || counters.uncounted || flows_.evicted() ||
        flows_.open_flows())
      differ("the BPF side lost records, evicted flows or left some open");
    for (size_t packet_class = 0; packet_class < FM_PACKET_CLASS_COUNT; packet_class++)
      if (hook.by_class[packet_class] != replay_.account().by_class[packet_class])
        differ("class " + std::to_string(packet_class) + ": replay " +
               std::to_string(replay_.account().by_class[packet_class]) + ", BPF " +
               std::to_string(hook.by_class[packet_class]));
    compare_rows();
    return report_;
  }

 private:
  void drain() {
    while (datapath_->drain(UINT64_MAX, SIZE_MAX) > 0) datapath_->release();
    flows_.settle();
  }

  void differ(std::string words) {
    if (report_.differences.size() < kDifferencesShown)
      report_.differences.push_back(std::move(words));
    report_.difference_count++;
  }

  void compare_rows() {
    const auto& left = replay_rows_.sorted();
    const auto& right = bpf_rows_.sorted();
    report_.rows = left.size();
    if (left.size() != right.size())
      differ("rows: replay " + std::to_string(left.size()) + ", BPF " +
             std::to_string(right.size()));
    for (size_t i = 0; i < std::min(left.size(), right.size()); i++)
      for (size_t j = 0; j < columns_.size(); j++)
        if (!equal(left[i][j], right[i][j]))
          differ("row " + std::to_string(i) + " (" + text(left[i][0]) + " > " + text(left[i][1]) +
                 "), " + std::string(columns_[j].name) + ": replay " + text(left[i][j]) + ", BPF " +
                 text(right[i][j]));
  }

  const Records records_;
  const bool with_application_;
  ParityReport report_;
  const std::vector<Column> columns_;
  RowCollector replay_rows_{columns_}, bpf_rows_{columns_};
  Replay replay_;
  LiveFlows flows_;
  cpu_set_t affinity_;
  Interface interface_;
  std::unique_ptr<BpfDatapath> datapath_;
};

}  // namespace

std::string why_bpf_cannot_run() {
  const std::string missing = missing_capabilities();
  return missing.empty() ? "" : "loading BPF programs needs " + missing;
}

Result<std::unique_ptr<ParityRun>> ParityRun::begin(const fm_settings& settings, Datapath datapath,
                                                    Records records) {
  auto run = std::make_unique<Run>(settings, datapath, records);
  if (Status loaded = run->load(settings, datapath); !loaded) return loaded.error();
  return std::unique_ptr<ParityRun>(std::move(run));
}

Result<ParityReport> run_parity(const FrameSource& next, const fm_settings& settings,
                                Datapath datapath, Records records) {
  auto run = ParityRun::begin(settings, datapath, records);
  if (!run) return run.error();
  CapturedFrame frame;
  while (next(&frame)) {
    auto taken = (*run)->run_program(frame);
    if (!taken) return taken.error();
    if (*taken) (*run)->replay(frame);
  }
  return (*run)->compare();
}

Result<ParityReport> run_parity(const std::string& capture, const fm_settings& settings,
                                Datapath datapath) {
  auto reader = CaptureReader::open(capture);
  if (!reader) return reader.error();
  return run_parity([&](CapturedFrame* frame) { return reader->next(frame); }, settings, datapath);
}

}  // namespace flowmeter::testing
