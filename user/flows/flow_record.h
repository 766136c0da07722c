// SPDX-License-Identifier: BSD-3-Clause
// The record of a finished flow, no matter where its packets came from, and the interface of its
// consumers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "application/application_summary.h"
#include "base/output_account.h"
#include "base/result.h"
#include "flowmeter/abi.h"
#include "flows/direction_bulks.h"
#include "flows/end_owner.h"
#include "flows/meter_identity.h"

namespace flowmeter {

// The start of the packets' clock: this plus a packet's nanoseconds is the time since the epoch.
struct ClockOrigin {
  __int128 unix_s = 0;
  uint32_t unix_ns = 0;  // below 1e9
};

inline ClockOrigin clock_origin(__int128 unix_ns) {
  constexpr __int128 kSecond = 1'000'000'000;
  __int128 seconds = unix_ns / kSecond;
  if (seconds * kSecond > unix_ns) seconds--;  // rounds down, also before the epoch
  return {seconds, static_cast<uint32_t>(unix_ns - seconds * kSecond)};
}

// The sizes of flows where none are kept (fm_settings.with_sizes).
inline constexpr fm_flow_sizes kNoSizes{};

struct FlowRecord {
  const fm_flow_key& key;
  const fm_flow& flow;
  ClockOrigin clock;
  fm_end_reason end;
  // Live: packets that are in the counters but not in the timing, because their records were lost
  // or went to another daemon.
  uint64_t packets_without_timing = 0;
  // Live: how often the kernel's map dropped the flow and got a packet of it again.
  uint32_t evictions = 0;
  // Live: where its first packet was seen.
  std::string_view interface = {};
  uint8_t hook = FM_HOOK_INGRESS;
  const fm_flow_sizes* sizes = &kNoSizes;
  // With settings.with_application only, else null.
  const DirectionBulks* direction_bulks = nullptr;  // two, [end of the key that sent the packets]
  const ApplicationSummary* application = nullptr;
  // For the columns that identify the row; null: these are empty.
  const MeterIdentity* meter = nullptr;
  FlowStart start = {};
  // The start of the first of the flows that active time-outs have made of one; else start.
  FlowStart chain_start = {};
  // Live, with --attribute: the owners of both ends, [end of the key]; null: not asked for.
  const EndOwner* owners = nullptr;
  // Live, if asked for: address and port of the service (of Kubernetes, IPVS …) through which the
  // flow's destination was chosen, as conntrack has it; else empty.
  std::string_view service = {};

  const fm_direction_counters& forward() const {
    return flow.counters.direction[flow.counters.forward_direction];
  }
  const fm_direction_counters& backward() const {
    return flow.counters.direction[!flow.counters.forward_direction];
  }
  bool is_icmp() const { return key.protocol == FM_ICMP || key.protocol == FM_ICMPV6; }
  uint64_t duration_ns() const { return flow.counters.last_ns - flow.counters.first_ns; }
};

// What the earlier run of some outputs has left, and the place in them up to which its rows count
// (RecordSink::resume).
struct LastCommit {
  // Identifies that run and all that go on after it. 0: there are no others.
  uint64_t run = 0;
  // How far its files are part of its last commit.
  std::span<const fm_output_position> outputs = {};
  // It has ended in order: all of its rows are part of the commit, and others may have added
  // theirs.
  bool ended = false;
};

class RecordSink {
 public:
  virtual ~RecordSink() = default;
  // Writes one finished flow. Errors are kept until flush() reports them.
  virtual void write(const FlowRecord& record) = 0;
  // Whether writing has failed; flush() says how. Rows written after that are lost.
  virtual bool failed() const = 0;
  // Hands everything written so far to the operating system, or returns why that failed.
  virtual Status flush() = 0;
  // Completes slow work at the end, after the last flush(). Nothing is written after that.
  virtual Status finish() { return Done{}; }

  // ---- for a run that commits (--pin): a flow's records are released when its row is safe ----

  // Goes on with the rows that earlier runs have written, before the first flush(): from then on
  // rows leave only by flush(). What follows the last commit in its files is cut, because it is
  // written again. Fails, and changes nothing, if a file holds something else than rows of this
  // output.
  virtual Status resume(const LastCommit& /*last*/) { return Done{}; }
  // Whether every row of the last flush() is where the end of this process cannot lose it, or was
  // given up, which is told. Until then later rows wait: flush() must not be called.
  virtual bool safe() const { return true; }
  // Tries to write the rows of the last flush() again, and nothing else.
  virtual Status retry() { return Done{}; }
  // Whether the rows that wait for a flush() take all the room that they may take.
  virtual bool full() const { return false; }
  // Appends the ends of the files after resume() or the last flush(). Requires: safe().
  virtual void positions(std::vector<fm_output_position>& /*all*/) const {}

  // The rows of the last flush() are part of a commit.
  virtual void note_commit() {}

  // Rows that were written here and may not have left the process (Unfinished in base/host.h).
  virtual uint64_t rows_unwritten() const { return 0; }
  // The accounts of the rows, one for each output.
  virtual std::vector<OutputAccount> accounts() const { return {}; }
};

}  // namespace flowmeter
