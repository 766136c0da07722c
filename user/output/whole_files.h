// SPDX-License-Identifier: BSD-3-Clause
// Rotated and compressed files, which get their final names only when they are complete. Each is
// written as NAME.part, synchronised to the disk and renamed; a killed run leaves a .part file.
// With rotation, the number of a run that commits is in that name (whole_file_names.h).
//
// Without rotation NAME is the given path, and replaces an older file. With rotation the UTC time
// at which the file was started and a number are inserted before the path's suffix, as in
// flows-20260131T235959Z-000001.csv.zst, and no file is replaced.
//
// A run that commits its rows (RecordSink::resume) goes on with the file that the killed one before
// it left, and without rotation also with a complete one. A compressed file is then a series of
// frames, one for each batch of rows, so that a commit is at the end of one. A file ends only when
// all of its rows are part of a commit: so only the last file has rows that may have to be cut.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <mutex>
#include <optional>

#include "base/unique_fd.h"
#include "output/compressor.h"
#include "output/old_files.h"
#include "output/outage.h"
#include "output/queued_sink.h"
#include "output/rotation.h"
#include "output/whole_file_names.h"

namespace flowmeter {

class WholeFiles final : public RowWriter {
 public:
  struct Options {
    std::optional<Rotation> rotation;
    // Tries again to write to a full disk, at the end until the queue is overdue. Otherwise the
    // first error is final.
    bool waits_for_disk = false;
    bool commits = false;  // QueuedSink::Options
    bool appends = false;  // to what earlier runs have left; requires `commits`
    std::optional<Retention> retention = std::nullopt;  // requires `rotation`
  };

  // Starts the first file, or finds the one to go on with, which is not changed yet; with rotation
  // and `appends`, resume() does so. format makes the header of each file. Requires: host and
  // format outlive it.
  static Result<std::unique_ptr<WholeFiles>> open(const std::string& path, const RowFormat& format,
                                                  const Options& options, Host& host);

  ~WholeFiles() override;

  const std::string& name() const override { return path_; }
  Status run(RowQueue& queue) override;
  void describe(OutputAccount& account) const override;
  Status resume(const LastCommit& last) override;
  void positions(std::vector<fm_output_position>& all) const override;
  void note_commit() override { committed_ = written(); }

 private:
  WholeFiles(std::string path, const Options& options, const RowFormat& format, Host& host)
      : path_(std::move(path)),
        options_(options),
        rotation_(options.rotation),
        format_(format),
        header_(format.header()),
        host_(host),
        outage_(path_, host),
        old_files_(path_, options.retention, host) {}
  Status find_left();
  Status find_left_of_rotation();
  Result<bool> go_on_with(const std::string& name, UniqueFd fd);
  Result<off_t> committed_bytes(const struct stat& file, const LastCommit& last);
  void cut_complete_file(const LastCommit& last);
  Status cut_left(off_t kept, off_t size);
  Status begin_file(unsigned tries = 16);
  Status end_file();
  Status next_file();
  Status look_at_clock(bool has_new_rows);
  RowQueue::Time next_look() const;
  Status add_batch(const Rows& rows);
  Status add(std::string_view rows);
  Status put(std::string_view rows);
  Status write(std::string_view bytes);
  void remove_cut_row(std::string_view written);
  void note_rows(std::string_view rows);
  Status end_frame();
  std::string part() const { return part_name(final_name_, run_); }
  bool has_rows() const { return file_rows_ > 0 || has_old_rows_; }
  void start_clock();
  void keep_whole_rows();
  bool wait_for_disk(int os_error);
  void publish_position();
  Status failed(int os_error);

  const std::string path_;
  const Options options_;
  const std::optional<Rotation> rotation_;
  const RowFormat& format_;
  const std::string header_;
  Host& host_;
  Outage outage_;
  OldFiles old_files_;
  RowQueue* queue_ = nullptr;
  std::unique_ptr<Compressor> compressor_;
  UniqueFd fd_;  // the file being written
  std::string final_name_;
  std::string left_name_;  // of a file that an earlier run has left; "": started by this run
  bool resumed_ = false;
  uint64_t run_ = 0;  // in the names of files that are not complete
  bool has_old_rows_ = false;
  uint64_t number_ = 1;
  uint64_t file_bytes_ = 0;
  uint64_t file_rows_ = 0;
  uint64_t ends_at_s_ = 0;  // unix; 0: never
  std::string compressed_;
  bool frame_open_ = false;
  uint64_t frames_bytes_ = 0;  // of the file: whole frames
  RowQueue::Time next_frame_;
  std::atomic<uint64_t> committed_ = 0;  // rows
  mutable std::mutex position_mutex_;
  fm_output_position position_{};  // after the last batch
  std::atomic<uint64_t> files_ = 0;
};

}  // namespace flowmeter
