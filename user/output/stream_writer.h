// SPDX-License-Identifier: BSD-3-Clause
// Writes rows to a pipe, a terminal or similar, whose reader may be slow. It never blocks in
// write(2), so that a deadline can end it.
#pragma once

#include "base/unique_fd.h"
#include "output/queued_sink.h"

namespace flowmeter {

class StreamWriter final : public RowWriter {
 public:
  // "-" is standard output. format makes the header.
  static Result<std::unique_ptr<StreamWriter>> open(const std::string& path,
                                                    const RowFormat& format);

  const std::string& name() const override { return path_; }
  Status run(RowQueue& queue) override;
  bool keeps_rows() const override { return false; }

 private:
  StreamWriter(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
  Status put(std::string_view text, const RowQueue& queue, uint64_t rows);

  UniqueFd fd_;
  std::string path_;
  std::string header_;
};

}  // namespace flowmeter
