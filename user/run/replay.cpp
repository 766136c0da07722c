// SPDX-License-Identifier: BSD-3-Clause
#include <pcap/pcap.h>

#include <chrono>
#include <cstdio>
#include <set>

#include "capture/capture_reader.h"
#include "flows/replay.h"
#include "run/run.h"

namespace flowmeter {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kLookEvery = 4096;  // packets between looks at clock, output and limit

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void report_speed(const Config& config, Host& host, Clock::time_point start, uint64_t packets) {
  if (!config.verbose) return;
  const double seconds = seconds_since(start);
  char text[128];
  std::snprintf(text, sizeof(text), "%.3f s, %.0f packets/s", seconds,
                static_cast<double>(packets) / seconds);
  host.log_info(text);
}

// One line on a terminal that is written over; nothing elsewhere.
class Progress {
 public:
  Progress(const Config& config, const Host& host)
      : on_(!config.quiet && host.shows_progress()), start_(Clock::now()) {}
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

 private:
  bool on_;
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

// Says what ended the reading of a capture, if it was not its end. Returns false if the run has
// failed.
bool report_end(const CaptureReader& reader, const Config& config, uint64_t packets, Host& host) {
  if (reader.read_error()) {
    host.log_error(Error{"cannot read capture " + reader.path(), reader.read_error()}.message());
    return false;
  }
  if (!reader.valid_header()) {
    host.log_error("cannot read capture " + reader.path() + ": " + reader.damage());
    return false;
  }
  if (!reader.damage().empty()) {
    const std::string text = reader.path() + ": " + reader.damage() + " behind packet " +
                             std::to_string(packets) + "; what came before stands";
    if (config.strict) {
      host.log_error(text);
      return false;
    }
    host.log_warning(text);
  }
  return true;
}

// Reads one capture into replay. Returns false if the run has failed.
bool read_capture(CaptureReader& reader, const Config& config, Replay& replay, RecordSink& sink,
                  Progress& progress, std::set<uint32_t>& warned, Host& host) {
  if (config.settings.with_application) reader.on_refill([&] { replay.settle(); });
  const uint64_t limit = config.packets.value_or(UINT64_MAX);
  const volatile std::sig_atomic_t& stop = host.stop_flag();
  uint32_t link_type = FM_LINK_ETHERNET;
  const uint64_t seen_before = replay.account().seen;
  CapturedFrame frame;
  while (replay.account().seen < limit && !stop && reader.next(&frame)) {
    if (frame.link_type != link_type) {
      link_type = frame.link_type;
      if (!fm_link_known(link_type) && warned.insert(link_type).second) {
        progress.clear();
        host.log_warning(reader.path() + ": link type " + link_type_name(link_type) +
                         " is not known; its packets count as not_ip");
      }
    }
    replay.add(frame);
    if (replay.account().seen % kLookEvery == 0) {
      if (sink.failed()) return false;
      progress.show(reader, replay.account().seen);
      if (host.report_requested()) {
        progress.clear();
        host.log_account(account_text(replay.account()) +
                         " flows=" + std::to_string(replay.flows().flows_written()));
        for (const std::string& each : sink.accounts()) host.log_info(each);
      }
    }
  }
  replay.settle();  // the reader's frames end with it
  progress.clear();
  return report_end(reader, config, replay.account().seen - seen_before, host);
}

// Reads one capture into a compatibility mode. Returns false if the run has failed.
bool read_capture(CaptureReader& reader, const Config& config, CompatEngine& engine,
                  Progress& progress, Host& host) {
  const uint64_t limit = config.packets.value_or(UINT64_MAX);
  const volatile std::sig_atomic_t& stop = host.stop_flag();
  const uint64_t seen_before = engine.seen();
  CapturedFrame frame;
  engine.begin(reader);
  while (engine.seen() < limit && !stop && reader.next(&frame)) {
    if (!engine.add(frame)) {
      progress.clear();
      host.log_warning(
          reader.path() + ": the reading ends behind packet " +
          std::to_string(engine.seen() - seen_before) +
          ", where libpcap's does (a file version, interface or section that it refuses)");
      return true;
    }
    if (engine.seen() % kLookEvery == 0) {
      if (engine.failed()) return false;
      progress.show(reader, engine.seen());
    }
  }
  progress.clear();
  return report_end(reader, config, engine.seen() - seen_before, host);
}

}  // namespace

void report_application(const Config& config, const FlowApplications& applications, Host& host) {
  if (!config.settings.with_application) return;
  const ApplicationLayer::Statistics& met = applications.statistics();
  if (config.verbose)
    host.log_account("malformed_tls_hellos=" + std::to_string(met.malformed_hellos) +
                     " malformed_dns=" + std::to_string(met.malformed_dns) +
                     " heads_dropped=" + std::to_string(met.heads_dropped));
  if (met.heads_dropped > 0)
    host.log_warning("there was no memory for the payload of " + std::to_string(met.heads_dropped) +
                     " directions of flows; their HTTP, TLS and DNS columns are empty");
}

ExitCode run_replay(const Config& config, RecordSink& sink, Host& host) {
  const auto start = Clock::now();
  bool good = true;
  Replay replay(config.settings, {config.max_flows, config.max_fragments}, sink);
  std::set<uint32_t> warned;
  Progress progress(config, host);
  for (const std::string& path : config.captures) {
    auto reader = CaptureReader::open(path, &host.stop_flag());
    if (!reader) {
      host.log_error(reader.error().message());
      good = false;
      break;
    }
    good = read_capture(*reader, config, replay, sink, progress, warned, host);
    if (!good || host.stop_requested()) break;
  }
  replay.finish();
  if (Status written = sink.flush(); !written) {
    host.log_error(written.error().message());
    good = false;
  }
  if (Status finished = sink.finish(); !finished) {
    host.log_error(finished.error().message());
    good = false;
  }
  const Account& account = replay.account();
  const FlowTable& flows = replay.flows();
  if (!config.quiet)
    host.log_account(
        account_text(account) + " flows=" + std::to_string(flows.flows_written()) +
        (flows.forced_out() ? " forced_out=" + std::to_string(flows.forced_out()) : ""));
  if (!account.balanced() || account.metered() != flows.packets_written()) {
    host.log_error("the account does not balance: " + std::to_string(flows.packets_written()) +
                   " packets are in rows; please report this");
    good = false;
  }
  if (flows.forced_out())
    host.log_warning(std::to_string(flows.forced_out()) +
                     " flows were written early because --max-flows was reached");
  report_application(config, flows.applications(), host);
  report_speed(config, host, start, account.seen);
  if (host.stop_requested() && host.stop_is_interruption()) {
    host.log_error("stopped by a signal; the rows are of the packets up to there");
    good = false;
  }
  return good ? kOk : kRunFailed;
}

ExitCode run_compat_replay(const Config& config, CompatEngine& engine, Host& host) {
  const auto start = Clock::now();
  bool good = true;
  Progress progress(config, host);
  for (const std::string& path : config.captures) {
    auto reader = CaptureReader::open(path, &host.stop_flag());
    if (!reader) {
      host.log_error(reader.error().message());
      good = false;
      break;
    }
    reader->take_lengths_as_libpcap();
    good = read_capture(*reader, config, engine, progress, host);
    if (!good || host.stop_requested()) break;
  }
  if (Status written = engine.finish(); !written) {
    host.log_error(written.error().message());
    good = false;
  }
  if (!config.quiet) host.log_account(engine.account());
  if (!engine.balanced()) {
    host.log_error("the account does not balance; please report this");
    good = false;
  }
  for (const std::string& warning : engine.warnings()) host.log_warning(warning);
  report_speed(config, host, start, engine.seen());
  if (host.stop_requested() && host.stop_is_interruption()) {
    host.log_error("stopped by a signal; the rows are of the packets up to there");
    good = false;
  }
  return good ? kOk : kRunFailed;
}

}  // namespace flowmeter
