// SPDX-License-Identifier: BSD-3-Clause
// --compat java: the CSV of the Java CICFlowMeter 4.0 for a capture, byte for byte
// (docs/compat.md). Several captures are several runs of the original: no flow continues from one
// into the next, and all their rows are under one header.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compat/compat_engine.h"
#include "compat/java_dissector.h"
#include "compat/java_flows.h"
#include "flows/account.h"

namespace flowmeter {

class JavaEngine final : public CompatEngine {
 public:
  // path "-" is standard output. Fails if columns are chosen.
  static Result<std::unique_ptr<CompatEngine>> open(const std::string& path,
                                                    const std::string& fields, uint32_t max_flows,
                                                    const OutputFile::Options& options, Host* host);

  void begin(CaptureReader& capture) override;
  bool add(const CapturedFrame& frame) override;
  void add(const LivePacket& live) override;
  bool takes_whole_buffers() const override { return false; }
  Status finish() override;

  bool failed() const override { return flows_.output().failed(); }
  Status flush() override { return flows_.output().flush(); }
  uint64_t open_flows() const override { return flows_.open_flows(); }
  uint64_t rows_unwritten() const override { return flows_.output().rows_buffered(); }
  std::vector<OutputAccount> output_accounts() const override {
    return {flows_.output().account()};
  }

  bool balanced() const override;
  std::string account() const override;
  void report(Host& host) const override;

 private:
  JavaEngine(uint32_t max_flows, OutputFile output) : flows_(max_flows, std::move(output)) {}

  void count(JavaPacketClass packet_class, const JavaPacket& packet);

  JavaDissector dissector_;
  JavaFlows flows_;
  AccountBy<JavaPacketClass, JavaPacketClass::kCount> account_;
};

}  // namespace flowmeter
