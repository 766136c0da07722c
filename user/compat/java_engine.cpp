// SPDX-License-Identifier: BSD-3-Clause
#include "compat/java_engine.h"

#include <algorithm>

#include "compat/java_row.h"

namespace flowmeter {

Result<std::unique_ptr<CompatEngine>> JavaEngine::open(const std::string& path,
                                                       const std::string& fields,
                                                       uint32_t max_flows,
                                                       const OutputFile::Options& options,
                                                       Host* host) {
  if (!fields.empty())
    return usage_error(
        "--compat java writes all columns, as the original does: leave out --fields");
  const size_t bound = std::max(kMaxJavaRow, kJavaHeader.size() + 1);
  auto output = OutputFile::open(path, bound, options, host);
  if (!output) return output.error();
  return std::unique_ptr<CompatEngine>(new JavaEngine(max_flows, std::move(*output)));
}

void JavaEngine::begin(CaptureReader& capture) {
  capture.take_lengths_as_libpcap();
  flows_.end_capture();
  dissector_.begin(capture);
}

bool JavaEngine::add(const CapturedFrame& frame) {
  if (dissector_.ends_before(frame)) return false;
  JavaPacket packet;
  count(dissector_.dissect(frame, &packet), packet);
  return true;
}

void JavaEngine::add(const LivePacket& live) {
  JavaPacket packet;
  count(JavaDissector::dissect(live, &packet), packet);
}

void JavaEngine::count(JavaPacketClass packet_class, const JavaPacket& packet) {
  account_.count(packet_class);
  if (packet_class == JavaPacketClass::kTaken || packet_class == JavaPacketClass::kTakenAsRawIp)
    flows_.add(packet);
}

Status JavaEngine::finish() {
  flows_.end_capture();
  return flows_.output().finish();
}

bool JavaEngine::balanced() const {
  const uint64_t taken =
      account_.of(JavaPacketClass::kTaken) + account_.of(JavaPacketClass::kTakenAsRawIp);
  return account_.balanced() && taken == flows_.packets() &&
         taken == flows_.packets_in_rows() + flows_.single_packets() + flows_.repeated_fins() +
                      flows_.open_packets();
}

std::string JavaEngine::account() const {
  std::string text = account_.text({"taken", "taken_as_raw_ip", "not_ipv4", "wire_below_captured"});
  text += " one_packet_flows=" + std::to_string(flows_.single_packets()) +
          " repeated_fins=" + std::to_string(flows_.repeated_fins()) +
          " flows=" + std::to_string(flows_.rows());
  if (flows_.forced_out()) text += " forced_out=" + std::to_string(flows_.forced_out());
  return text;
}

void JavaEngine::report(Host& host) const {
  if (flows_.forced_out())
    host.log_warning(
        std::to_string(flows_.forced_out()) +
        " flows were ended early because --max-flows was reached; the Java program has "
        "no such limit");
}

}  // namespace flowmeter
