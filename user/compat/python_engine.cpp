// SPDX-License-Identifier: BSD-3-Clause
#include "compat/python_engine.h"

namespace flowmeter {

Result<std::unique_ptr<CompatEngine>> PythonEngine::open(const std::string& path,
                                                         const std::string& fields,
                                                         uint32_t max_flows,
                                                         const OutputFile::Options& options,
                                                         Host* host) {
  auto row = PythonRow::make(fields);
  if (!row) return row.error();
  constexpr size_t kBound = 2 * PythonRow::kMaxText;  // the header and one row
  auto output = OutputFile::open(path, kBound, options, host);
  if (!output) return output.error();
  return std::unique_ptr<CompatEngine>(
      new PythonEngine(max_flows, std::move(*row), std::move(*output)));
}

void PythonEngine::begin(CaptureReader& capture) {
  capture.take_lengths_as_libpcap();
  capture_ = &capture;
  dissector_.begin(capture);
}

bool PythonEngine::add(const CapturedFrame& frame) {
  if (capture_ && capture_->libpcap_stops()) return false;
  PythonPacket packet;
  count(dissector_.dissect(frame, &packet), packet);
  return true;
}

void PythonEngine::add(const LivePacket& live) {
  PythonPacket packet;
  count(PythonDissector::dissect(live, &packet), packet);
}

void PythonEngine::count(PythonPacketClass packet_class, const PythonPacket& packet) {
  account_.count(packet_class);
  if (packet_class == PythonPacketClass::kTaken) flows_.add(packet);
}

bool PythonEngine::balanced() const {
  return account_.balanced() && account_.of(PythonPacketClass::kTaken) == flows_.packets_taken() &&
         flows_.packets_taken() == flows_.packets_in_rows() + flows_.packets_left_out();
}

std::string PythonEngine::account() const {
  std::string text = account_.text(
      {"taken", "link_type", "not_ipv4", "other_protocol", "later_fragment", "not_dissected"});
  text += " flows=" + std::to_string(flows_.rows());
  if (flows_.rows_left_out()) text += " left_out=" + std::to_string(flows_.rows_left_out());
  if (flows_.forced_out()) text += " forced_out=" + std::to_string(flows_.forced_out());
  return text;
}

void PythonEngine::report(Host& host) const {
  if (const uint64_t frames = account_.of(PythonPacketClass::kLinkType))
    host.log_warning(std::to_string(frames) +
                     " packets are of a link type that the Python program cannot filter; it writes "
                     "no flow of such a capture");
  if (flows_.rows_left_out())
    host.log_warning(std::to_string(flows_.rows_left_out()) +
                     " flows without a forward packet were left out (" +
                     std::to_string(flows_.packets_left_out()) +
                     " packets); the Python program ends with an exception there");
  if (flows_.forced_out())
    host.log_warning(
        std::to_string(flows_.forced_out()) +
        " flows were written early because --max-flows was reached; the Python program "
        "has no such limit");
}

}  // namespace flowmeter
