// SPDX-License-Identifier: BSD-3-Clause
#include "output/stream_writer.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "output/row_text.h"

namespace flowmeter {

Result<std::unique_ptr<StreamWriter>> StreamWriter::open(const std::string& path,
                                                         const RowFormat& format) {
  const int fd = path == "-" ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                             : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return Error{"cannot write output " + path, errno};
  auto writer = std::unique_ptr<StreamWriter>(new StreamWriter(UniqueFd(fd), path));
  writer->header_ = format.header();
  return writer;
}

Status StreamWriter::put(std::string_view text, const RowQueue& queue, uint64_t rows) {
  size_t done = 0;
  Error error{"cannot write output " + path_};
  while (done < text.size() && error.os_error == 0) {
    pollfd writable{fd_.get(), POLLOUT, 0};
    const int ready = ::poll(&writable, 1, 100);
    if (ready == 0 && queue.overdue()) {
      error.doing = "output " + path_ + ": its reader accepts nothing";
      break;
    }
    if (ready <= 0) continue;
    // A writable pipe accepts this much without blocking.
    const ssize_t put =
        ::write(fd_.get(), text.data() + done, std::min<size_t>(text.size() - done, PIPE_BUF));
    if (put >= 0)
      done += static_cast<size_t>(put);
    else if (errno != EINTR && errno != EAGAIN)
      error.os_error = errno;
  }
  // Each line is a row, except the headers that a table repeats.
  const uint64_t lines = count_rows(text.substr(0, done));
  const uint64_t whole = done == text.size() ? rows : std::min(lines, rows);
  written_ += whole;
  if (done == text.size()) return Done{};
  error.doing += " (" + std::to_string(written_) + " rows are in it, others are lost)";
  return error;
}

Status StreamWriter::run(RowQueue& queue) {
  Status status = put(header_, queue, 0);
  Rows rows;
  while (status && !queue.finished())
    if (queue.take(&rows, RowQueue::Time::max())) status = put(rows.text, queue, rows.count);
  return status;
}

}  // namespace flowmeter
