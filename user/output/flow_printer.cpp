// SPDX-License-Identifier: BSD-3-Clause
#include "output/flow_printer.h"

#include <cstdio>

#include "features/application_quantities.h"
#include "features/quantities.h"
#include "output/number.h"

namespace flowmeter {
namespace {

std::string end_text(const FlowRecord& f, unsigned end) {
  const std::string address(address_text(f.key.address[end], f.key.ip_version).text());
  const std::string port = std::to_string(quantities::port(f, end));
  const bool brackets = f.key.ip_version == 6;
  return std::string(brackets ? "[" : "").append(address).append(brackets ? "]:" : ":") + port;
}

// A short form of the flow's application columns.
std::string application_text(const FlowRecord& f) {
  using namespace quantities;
  if (!f.application || f.application->unknown) return "";
  const auto count = [&](const Quantity& q) { return q.get(f).integer(); };
  const auto number = [&](const Quantity& q) { return std::to_string(count(q)); };
  const auto text = [&](const Quantity& q) { return std::string(q.get(f).text()); };
  std::string all;
  if (count(kHttpRequests) || count(kHttpResponses)) {
    all += ", HTTP";
    if (count(kHttpRequests)) all.append(" ").append(text(kHttpMethod));
    if (count(kHttpResponses)) all.append(" ").append(number(kHttpCode));
  }
  if (const std::string version = text(kTlsVersion); version != "NONE")
    all.append(", TLS ").append(version);
  if (count(kDnsQueries) || count(kDnsResponses)) {
    all += ", DNS";
    if (const std::string type = text(kDnsQueryType); type != "NONE") all.append(" q").append(type);
    if (count(kDnsResponses)) all.append(" r").append(number(kDnsCode));
  }
  return all;
}

}  // namespace

std::string flow_line(const FlowRecord& f) {
  // "YYYY-MM-DD HH:MM:SS.ffffff", except for years without four digits.
  const Cell time = time_text(f.clock, f.flow.counters.first_ns);
  std::string_view clock = time.text();
  if (clock.size() == 26) clock = clock.substr(11, 12);
  char duration[kMaxRealText];
  const char* duration_end = put_seconds(duration, f.duration_ns());
  const unsigned source = f.flow.counters.forward_direction;
  const auto both = [](uint64_t forward, uint64_t backward) {
    return std::to_string(forward) + "/" + std::to_string(backward);
  };
  return std::string(clock) + " " + std::string(protocol_name(f.key.protocol)) + " " +
         end_text(f, source) + " > " + end_text(f, 1 - source) + " " +
         std::string(static_cast<const char*>(duration), duration_end) + " s, " +
         both(f.forward().length.count, f.backward().length.count) + " packets, " +
         both(f.forward().length.sum, f.backward().length.sum) + " bytes" + application_text(f) +
         "\n";
}

void FlowPrinter::write(const FlowRecord& record) {
  constexpr size_t kMostWaiting = 64 * 1024;
  sink_.write(record);
  lines_ += flow_line(record);
  if (lines_.size() >= kMostWaiting) print();
}

Status FlowPrinter::flush() {
  print();
  return sink_.flush();
}

void FlowPrinter::print() {
  std::fwrite(lines_.data(), 1, lines_.size(), stderr);
  lines_.clear();
}

}  // namespace flowmeter
