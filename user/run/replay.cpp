// SPDX-License-Identifier: BSD-3-Clause
// Reads captures into our own flows or into a compatibility mode, and reports the result.
#include <pcap/pcap.h>

#include <chrono>
#include <cstdio>
#include <set>

#include "capture/capture_consumer.h"
#include "flows/replay.h"
#include "ops/privileges.h"
#include "run/confinement.h"
#include "run/meter_id.h"
#include "run/report.h"
#include "run/run.h"

namespace flowmeter {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kLookEvery = 4096;  // packets between checks of clock, output and signals

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A progress line on a terminal, which is updated in place; nothing elsewhere.
class Progress {
 public:
  Progress(const Config& config, Host& host)
      : host_(host), on_(!config.quiet && host.shows_progress()), start_(Clock::now()) {}
  ~Progress() { clear(); }

  void show(const CaptureReader& reader, uint64_t packets) {
    if (!on_ || seconds_since(shown_) < 0.5) return;
    shown_ = Clock::now();
    const double seconds = seconds_since(start_);
    if (seconds < 1) return;
    char percent[16] = "";
    if (reader.bytes_total() > 0)
      std::snprintf(percent, sizeof(percent), "%3.0f %%, ",
                    100.0 * static_cast<double>(reader.bytes_read()) /
                        static_cast<double>(reader.bytes_total()));
    std::fprintf(stderr, "\r\033[K%s: %s%llu packets, %.0f packets/s", reader.path().c_str(),
                 percent, static_cast<unsigned long long>(packets),
                 static_cast<double>(packets) / seconds);
    drawn_ = true;
  }
  void clear() {
    if (drawn_) std::fputs("\r\033[K", stderr);
    drawn_ = false;
  }
  // Logs a warning in place of the line.
  void warn(std::string_view message) {
    clear();
    host_.log_warning(message);
  }

 private:
  Host& host_;
  const bool on_;
  bool drawn_ = false;
  Clock::time_point start_;
  Clock::time_point shown_ = start_;
};

std::string link_type_name(uint32_t link_type) {
  const char* name = pcap_datalink_val_to_name(static_cast<int>(link_type));
  const char* description = pcap_datalink_val_to_description(static_cast<int>(link_type));
  std::string text = std::to_string(link_type);
  if (name)
    text += std::string(" (") + name + (description ? std::string(", ") + description : "") + ")";
  return text;
}

// Our own flows as the consumer of captures.
class FlowReplay final : public CaptureConsumer {
 public:
  FlowReplay(const Config& config, RecordSink& sink, Progress& progress)
      : config_(config),
        sink_(sink),
        progress_(progress),
        replay_(config.settings, {config.max_flows, config.max_fragments}, sink) {
    if (config.identify_rows) replay_.identify_rows(meter_identity(config, MeterIdentity::kReplay));
  }

  void begin(CaptureReader& capture) override {
    path_ = capture.path();
    link_type_ = FM_LINK_ETHERNET;
    if (config_.settings.with_application) capture.on_refill([this] { replay_.settle(); });
  }
  bool add(const CapturedFrame& frame) override {
    if (FM_UNLIKELY(frame.link_type != link_type_)) note_link_type(frame.link_type);
    replay_.add(frame);
    return true;
  }
  void end() override { replay_.settle(); }
  Status finish() override {
    replay_.finish();
    Status written = sink_.flush();
    Status finished = sink_.finish();
    return written ? finished : written;
  }

  bool failed() const override { return sink_.failed(); }
  uint64_t open_flows() const override { return flows().open_flows(); }
  uint64_t rows_unwritten() const override { return sink_.rows_unwritten(); }
  std::string account() const override {
    return account_text(replay_.account()) + " flows=" + std::to_string(flows().flows_written()) +
           (flows().forced_out() ? " forced_out=" + std::to_string(flows().forced_out()) : "");
  }
  std::vector<OutputAccount> output_accounts() const override { return sink_.accounts(); }
  std::string imbalance() const override {
    const Account& account = replay_.account();
    if (account.balanced() && account.metered() == flows().packets_written()) return "";
    return "the account does not balance: " + std::to_string(flows().packets_written()) +
           " packets are in rows";
  }
  void report(Host& host) const override {
    if (flows().forced_out())
      host.log_warning(std::to_string(flows().forced_out()) +
                       " flows were written early because --max-flows was reached");
    report_application(config_, flows().applications(), host);
  }

 private:
  const FlowTable& flows() const { return replay_.flows(); }

  void note_link_type(uint32_t link_type) {
    link_type_ = link_type;
    if (!fm_link_known(link_type) && warned_.insert(link_type).second)
      progress_.warn(path_ + ": link type " + link_type_name(link_type) +
                     " is unknown; its packets are counted as not_ip");
  }

  const Config& config_;
  RecordSink& sink_;
  Progress& progress_;
  Replay replay_;
  std::string path_;
  uint32_t link_type_ = FM_LINK_ETHERNET;
  std::set<uint32_t> warned_;  // about these link types
};

// Reads captures into one consumer.
template <typename Consumer>
class CaptureRun {
 public:
  CaptureRun(const Config& config, Consumer& consumer, Progress& progress, Host& host)
      : config_(config), consumer_(consumer), progress_(progress), host_(host) {}

  ExitCode run() {
    const Capabilities keep = capabilities_of_replay(!config_.user.empty());
    if (Status confined = host_.confine(confinement_of(config_, keep)); !confined)
      return flowmeter::fail(host_, confined.error());
    const auto start = Clock::now();
    const UnfinishedWork work(host_, consumer_);
    bool good = read_all();
    if (Status written = consumer_.finish(); !written) good = fail(written.error().message());
    if (!config_.quiet) host_.log_account(consumer_.account());
    if (const std::string wrong = consumer_.imbalance(); !wrong.empty())
      good = fail(wrong + "; please report this");
    consumer_.report(host_);
    if (config_.verbose) report_speed(seconds_since(start));
    if (host_.stop_requested() && host_.stop_is_interruption())
      good = fail("stopped by a signal; the rows cover the packets read until then");
    return good ? kOk : kRunFailed;
  }

 private:
  bool fail(std::string_view message) {
    progress_.clear();
    host_.log_error(message);
    return false;
  }

  // Returns false if the run has failed.
  bool read_all() {
    for (const std::string& path : config_.captures) {
      auto reader = CaptureReader::open(path, &host_.stop_flag());
      if (!reader) return fail(reader.error().message());
      consumer_.begin(*reader);
      const bool good = read(*reader);
      consumer_.end();
      progress_.clear();
      if (!good) return false;
      if (host_.stop_requested()) break;
    }
    return true;
  }

  // Returns false if the run has failed.
  bool read(CaptureReader& reader) {
    const uint64_t limit = config_.packets.value_or(UINT64_MAX), before = packets_;
    const volatile std::sig_atomic_t& stop = host_.stop_flag();
    CapturedFrame frame;
    while (packets_ < limit && !stop && reader.next(&frame)) {
      if (!consumer_.add(frame)) {
        progress_.warn(reader.path() + ": reading ends after packet " +
                       std::to_string(packets_ - before) +
                       ", as libpcap's does (it refuses a file version, interface or section)");
        return true;
      }
      if (++packets_ % kLookEvery == 0 && !look(reader)) return false;
    }
    bytes_ += reader.bytes_read();
    host_.note_progress(packets_, bytes_);
    return report_end(reader, packets_ - before);
  }

  // Called every kLookEvery packets. Returns false if the output has failed.
  bool look(const CaptureReader& reader) {
    if (consumer_.failed()) return false;
    progress_.show(reader, packets_);
    host_.note_progress(packets_, bytes_ + reader.bytes_read());
    if (host_.report_requested()) {
      progress_.clear();
      host_.log_account(consumer_.account());
      for (const OutputAccount& each : consumer_.output_accounts()) host_.log_info(each.text());
    }
    return true;
  }

  // Reports why the reading of a capture ended before its end. Returns false if the run has failed.
  bool report_end(const CaptureReader& reader, uint64_t packets) {
    if (reader.read_error())
      return fail(Error{"cannot read capture " + reader.path(), reader.read_error()}.message());
    if (!reader.valid_header())
      return fail("cannot read capture " + reader.path() + ": " + reader.damage());
    if (reader.damage().empty()) return true;
    const std::string text = reader.path() + ": " + reader.damage() + " after packet " +
                             std::to_string(packets) + "; earlier packets were used";
    if (config_.strict) return fail(text);
    progress_.warn(text);
    return true;
  }

  void report_speed(double seconds) {
    char text[128];
    std::snprintf(text, sizeof(text), "%.3f s, %.0f packets/s", seconds,
                  static_cast<double>(packets_) / seconds);
    host_.log_info(text);
  }

  const Config& config_;
  Consumer& consumer_;
  Progress& progress_;
  Host& host_;
  uint64_t packets_ = 0;  // of all captures
  uint64_t bytes_ = 0;    // of the captures before this one
};

}  // namespace

ExitCode run_replay(const Config& config, RecordSink& sink, Host& host) {
  Progress progress(config, host);
  FlowReplay flows(config, sink, progress);
  return CaptureRun(config, flows, progress, host).run();
}

ExitCode run_replay(const Config& config, CompatEngine& engine, Host& host) {
  Progress progress(config, host);
  return CaptureRun<CaptureConsumer>(config, engine, progress, host).run();
}

}  // namespace flowmeter
