// SPDX-License-Identifier: BSD-3-Clause
// Shows that there is one engine: the same packets give the same rows through replay and through
// the loaded BPF program.
//
// BPF_PROG_TEST_RUN passes each frame to the program, with its capture's time, wire length and link
// type (bpf/settings.bpf.h, test_input). The records come through the real event streams to the
// real LiveFlows. Rows must agree in every column of every feature set that the settings allow:
// integers and text exactly, real numbers to 1e-12.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "capture/capture_reader.h"
#include "flowmeter/settings.h"
#include "kernel/bpf_datapath.h"

namespace flowmeter::testing {

struct ParityReport {
  uint64_t packets = 0;  // run through both
  // Frames that BPF_PROG_TEST_RUN refuses as too short, or stamped beyond 2261.
  uint64_t left_out = 0;
  uint64_t cut = 0;  // frames whose bytes after kFrameLimit the program did not get
  uint64_t rows = 0;
  std::vector<std::string> differences;  // the first few, in words
  uint64_t difference_count = 0;
};

// BPF_PROG_TEST_RUN takes about a page less head and tail room. Headers beyond this would be
// missing.
constexpr uint32_t kFrameLimit = 3520;

// How much of the event streams reaches the daemon's side: everything, or only the kernel's final
// states of flows. In the second case rows are made from its counters alone, and only columns
// without times are compared.
enum class Records { kAll, kFinal };

// One comparison. Usually both sides get the same frames; they differ if the kernel hands over
// several frames of the wire in one buffer.
class ParityRun {
 public:
  // Fails if the programs cannot be loaded.
  static Result<std::unique_ptr<ParityRun>> begin(const fm_settings& settings,
                                                  Datapath datapath = Datapath::kEvents,
                                                  Records records = Records::kAll);
  virtual ~ParityRun() = default;

  // Runs the BPF program on the frame. segment_bytes: gso_size of the buffer. False if the kernel
  // refuses the frame.
  virtual Result<bool> run_program(const CapturedFrame& frame, uint16_t segment_bytes = 0) = 0;
  virtual void replay(const CapturedFrame& frame) = 0;
  // Closes all flows of both sides and compares.
  virtual Result<ParityReport> compare() = 0;
};

// Gives the next frame, or false at the end.
using FrameSource = std::function<bool(CapturedFrame*)>;

// Runs all frames through both. Fails if the programs cannot be loaded or run.
Result<ParityReport> run_parity(const FrameSource& next, const fm_settings& settings,
                                Datapath datapath = Datapath::kEvents,
                                Records records = Records::kAll);
Result<ParityReport> run_parity(const std::string& capture, const fm_settings& settings,
                                Datapath datapath = Datapath::kEvents);

// Why BPF programs cannot be loaded here; empty if they can.
std::string why_bpf_cannot_run();

}  // namespace flowmeter::testing
