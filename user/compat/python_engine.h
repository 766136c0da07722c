// SPDX-License-Identifier: BSD-3-Clause
// --compat python: the CSV of nqmn/cicflowmeter 0.4.1 for a capture, byte for byte
// (docs/compat.md).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compat/compat_engine.h"
#include "compat/python_flows.h"
#include "flows/account.h"

namespace flowmeter {

class PythonEngine final : public CompatEngine {
 public:
  // fields: comma-separated, empty for all. path "-" is standard output.
  static Result<std::unique_ptr<CompatEngine>> open(const std::string& path,
                                                    const std::string& fields, uint32_t max_flows,
                                                    const OutputFile::Options& options, Host* host);

  void begin(CaptureReader& capture) override;
  bool add(const CapturedFrame& frame) override;
  void add(const LivePacket& live) override;
  bool takes_whole_buffers() const override { return true; }
  Status finish() override { return flows_.finish(); }

  bool failed() const override { return flows_.output_failed(); }
  Status flush() override { return flows_.flush(); }
  uint64_t open_flows() const override { return flows_.flows(); }
  uint64_t rows_unwritten() const override { return flows_.rows_buffered(); }
  std::vector<OutputAccount> output_accounts() const override { return {flows_.output_account()}; }

  bool balanced() const override;
  std::string account() const override;
  void report(Host& host) const override;

 private:
  PythonEngine(uint32_t max_flows, PythonRow row, OutputFile output)
      : flows_(max_flows, std::move(row), std::move(output)) {}

  void count(PythonPacketClass packet_class, const PythonPacket& packet);

  const CaptureReader* capture_ = nullptr;
  PythonDissector dissector_;
  PythonFlows flows_;
  AccountBy<PythonPacketClass, PythonPacketClass::kCount> account_;
};

}  // namespace flowmeter
