// SPDX-License-Identifier: BSD-3-Clause
// How a live run passes from records to rows, and from one daemon to the next.
//
// Rows go to the outputs before the kernel's records that they were made from are released: in the
// opposite order a kill would lose them. With --pin the release is part of a commit, which waits
// until the rows are safe. It says, all at once, how far the streams were read, where the files
// end, and how many packets are in rows (fm_commit). The next daemon goes on from the last commit,
// however the earlier one has ended. What the kernel does not know of the open flows is in a file
// (flows/flow_state.h), as of a commit.
//
// So the owner of a flow's row is decided here: the row is of the daemon that commits it.
#pragma once

#include <functional>
#include <memory>

#include "base/host.h"
#include "flows/live_flows.h"
#include "kernel/bpf_datapath.h"
#include "run/config.h"
#include "run/live_rows.h"

namespace flowmeter {

class RowCommits {
 public:
  RowCommits(const Config& config, LiveRows& rows, LiveFlows& flows, Host& host)
      : config_(config), rows_(rows), flows_(flows), host_(host) {}

  // With --pin, goes on from the last commit, if there is one. Requires: nothing was attached or
  // written yet.
  Status open(BpfDatapath& datapath);
  // Takes over the flows of an earlier daemon. Whether that is all about them: otherwise what
  // happened after they were copied has to be learned.
  bool restore();

  // Writes rows and releases records, as far as possible now. Reports a failed output once.
  Status commit();
  // The longest wait for an output during the run. The streams hold what comes meanwhile.
  static constexpr uint64_t kLongestWaitNs = FM_SECOND_NS / 4;
  // Waits until all rows so far are committed; returns whether they are. meanwhile: called again
  // and again.
  Result<bool> settle(
      uint64_t longest_ns, const std::function<void()>& meanwhile = [] {});
  // The same, for the time that a slow output has at the end.
  Status commit_all();
  uint64_t patience_ns() const;
  bool failed() const { return output_failed_; }
  // Whether the outputs take more rows. Until then the kernel counts on, and its records wait.
  bool have_room() const { return !kept_ || !rows_.sink().full(); }

  // Copies the open flows for the next daemon, if all rows can be committed soon. A failure of the
  // copy is told once; the next daemon then does without the times.
  Status keep_flows();
  // Leaves all to the next daemon. If the last rows cannot be written, that goes on from the last
  // commit, as after a kill.
  Status hand_over();
  // Nothing is left for a next daemon.
  void remove();

  // Packets in the rows of earlier daemons.
  uint64_t rows_before() const { return rows_before_; }

 private:
  Status flush();
  Status checked(Status written);
  std::vector<fm_output_position> output_ends() const;
  void end_commit();
  void copy_flows(LiveFlows::Copied which);

  const Config& config_;
  LiveRows& rows_;
  LiveFlows& flows_;
  Host& host_;
  BpfDatapath* datapath_ = nullptr;
  uint64_t flushed_ = 0;  // rows
  bool output_failed_ = false;

  // ---- with --pin ----
  std::unique_ptr<FlowState> kept_;
  fm_commit next_{};
  bool marked_ = false;  // the next commit waits for its rows to be safe
  bool keeping_failed_ = false;
  bool must_be_exact_ = false;  // the earlier run has ended in order, so it has kept its flows
  uint64_t rows_before_ = 0;
};

}  // namespace flowmeter
