// SPDX-License-Identifier: BSD-3-Clause
// Rotated and compressed files, which get their final names only when they are complete. Each is
// written as NAME.part, synchronised to the disk and renamed; a killed run leaves a .part file.
//
// Without rotation NAME is the given path, and replaces an older file. With rotation the UTC time
// at which the file was started and a number are inserted before the path's suffix, as in
// flows-20260131T235959Z-000001.csv.zst, and no file is replaced.
#pragma once

#include <atomic>
#include <optional>

#include "base/unique_fd.h"
#include "output/compressor.h"
#include "output/queued_sink.h"

namespace flowmeter {

// When a file ends and the next one starts, at whole rows. At least one of the two is set.
struct Rotation {
  uint64_t seconds = 0;  // at multiples of this since 1970
  uint64_t bytes = 0;    // before a file gets longer than this; a compressed one soon after

  // "90s", "15m", "1h", "1d"; "500KB", "500MB", "2GB" (decimal), "500MiB", ….
  static Result<Rotation> parse(const std::string& text);
};

class WholeFiles final : public RowWriter {
 public:
  // Starts the first file. format makes the header of each file.
  static Result<std::unique_ptr<WholeFiles>> open(const std::string& path, const RowFormat& format,
                                                  std::optional<Rotation> rotation);

  ~WholeFiles() override;

  const std::string& name() const override { return path_; }
  Status run(RowQueue& queue) override;
  std::string account() const override;

 private:
  WholeFiles(std::string path, std::optional<Rotation> rotation, std::string header)
      : path_(std::move(path)), rotation_(rotation), header_(std::move(header)) {}
  Status begin_file(unsigned tries = 16);
  Status end_file();
  Status look_at_clock();
  Status add(std::string_view rows);
  Status put(std::string_view rows);
  Status write(std::string_view bytes);
  void remove_cut_row(std::string_view written);
  void note_rows(std::string_view rows);
  Status failed(int os_error);
  std::string rotated_name() const;

  const std::string path_;
  const std::optional<Rotation> rotation_;
  const std::string header_;
  std::unique_ptr<Compressor> compressor_;
  UniqueFd fd_;  // the file being written
  std::string final_name_;
  uint64_t number_ = 1;
  uint64_t file_bytes_ = 0;
  uint64_t file_rows_ = 0;
  uint64_t ends_at_s_ = 0;  // unix; 0: never
  std::string compressed_;
  std::atomic<uint64_t> files_ = 0;
};

}  // namespace flowmeter
