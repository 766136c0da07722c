// SPDX-License-Identifier: BSD-3-Clause
#include "run/outputs.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "ops/service_notification.h"
#include "output/compressor.h"
#include "output/file_sink.h"
#include "output/registry.h"
#include "output/stream_writer.h"

namespace flowmeter {
namespace {

// Whether a write never blocks, because it goes to the page cache or to /dev/null.
bool waits_for_nobody(const std::string& path) {
  struct stat status {};
  if (path == "-" ? ::fstat(STDOUT_FILENO, &status) != 0 : ::stat(path.c_str(), &status) != 0)
    return true;  // it will be created, or opening it will fail
  return S_ISREG(status.st_mode) || path == "/dev/null" || path == "/dev/full";
}

// Also recognises the same file under another spelling or by a link: two writers would corrupt each
// other's rows.
Status check_different(std::vector<std::string> paths) {
  for (std::string& path : paths) {
    std::error_code ignored;
    if (path != "-")
      path = std::filesystem::weakly_canonical(std::filesystem::absolute(path, ignored), ignored);
  }
  std::sort(paths.begin(), paths.end());
  const auto twice = std::adjacent_find(paths.begin(), paths.end());
  if (twice != paths.end()) return usage_error("output " + *twice + " is named twice");
  return Done{};
}

// Rows are text, and a name that promises a table of Arrow would be wrong.
Status check_are_text(const std::vector<std::string>& paths) {
  constexpr struct {
    std::string_view suffix, format, writer;
  } kTables[] = {
      {".parquet", "Parquet", "write_parquet"},
      {".feather", "Feather", "write_feather"},
      {".arrow", "Arrow", "write_feather"},
      {".ipc", "Arrow", "write_feather"},
  };
  for (const std::string& path : paths) {
    std::string_view name = path;
    name.remove_suffix(compression_suffix(name).size());
    for (const auto& [suffix, format, writer] : kTables)
      if (name.ends_with(suffix))
        return usage_error("output " + path + " would not be " + std::string(format) +
                           ": CSV goes to a .csv, NDJSON to a .json; flowmeter." +
                           std::string(writer) + "() of the Python package writes " +
                           std::string(format));
  }
  return Done{};
}

size_t queue_bytes(const OutputOptions& options) {
  return size_t{options.queue_mib} << 20;
}

RowQueue::Duration patience(const OutputOptions& options) {
  return RowQueue::seconds(options.drain_s);
}

// With `block`, the run would wait for the disk.
bool waits_for_disk(const OutputOptions& options) {
  return options.commits || *options.on_full == OnFull::kDrop;
}

// Adds the sinks to a group. Their kind depends on whether writes may block.
struct Opening {
  const OutputOptions& options;
  SinkGroup& group;
  Host& host;

  void queue(std::unique_ptr<RowFormat> format, std::unique_ptr<RowWriter> writer) {
    const bool commits = options.commits && writer->keeps_rows();
    const QueuedSink::Options how{
        queue_bytes(options), *options.on_full, patience(options), commits,
        [alive = ServiceWatchdog(host)]() mutable { alive.note_alive(); }};
    group.add(std::make_unique<QueuedSink>(std::move(format), std::move(writer), how));
  }

  Status open_path(const std::string& path, std::unique_ptr<RowFormat> format) {
    if (is_whole_file(path, options)) {
      // Compression and synchronising to the disk take time, so it gets a separate thread.
      const WholeFiles::Options how{options.rotation, waits_for_disk(options), options.commits,
                                    options.commits && !options.overwrite, options.retention};
      auto files = WholeFiles::open(path, *format, how, host);
      if (!files) return files.error();
      queue(std::move(format), std::move(*files));
    } else if (options.on_full == OnFull::kBlock || waits_for_nobody(path)) {
      const FileSink::Options how{
          file_options(options),
          (options.commits || options.is_default_file) && !options.overwrite};
      auto sink = FileSink::open(path, std::move(format), host, how);
      if (!sink) return sink.error();
      group.add(std::move(*sink));
    } else {
      // The metering must not wait for the reader.
      auto stream = StreamWriter::open(path, *format);
      if (!stream) return stream.error();
      queue(std::move(format), std::move(*stream));
    }
    return Done{};
  }

  Status open_kind(const OutputKind& kind, const std::vector<Column>& columns) {
    const std::vector<std::string> targets = options.of_kind(kind);
    if (targets.empty()) return Done{};
    if (kind.is_file()) {
      for (const std::string& path : targets)
        if (Status opened = open_path(path, kind.format(options, columns)); !opened) return opened;
      return Done{};
    }
    auto writers = kind.open(targets, *kind.format(options, columns), options, host);
    if (!writers) return writers.error();
    for (std::unique_ptr<RowWriter>& writer : *writers)
      queue(kind.format(options, columns), std::move(writer));
    return Done{};
  }
};

}  // namespace

bool is_whole_file(const std::string& path, const OutputOptions& options) {
  return path != "-" && (options.rotation || !compression_suffix(path).empty());
}

OutputFile::Options file_options(const OutputOptions& options) {
  return {.buffer_bytes = size_t{options.buffer_kib} << 10,
          .most_waiting = waits_for_disk(options) ? queue_bytes(options) : 0,
          .commits = options.commits,
          .patience = patience(options)};
}

Status check_outputs(const OutputOptions& options) {
  const std::vector<std::string> paths = options.paths();
  if (std::find(paths.begin(), paths.end(), "") != paths.end())
    return usage_error("an output needs a file name (- is standard output)");
  if (std::count_if(paths.begin(), paths.end(), is_stdout) > 1)
    return usage_error("only one output can use standard output: give files to the others");
  if (Status different = check_different(paths); !different) return different;
  if (Status text = check_are_text(paths); !text) return text;
  for (const OutputKind* kind : output_kinds()) {
    if (!kind->check) continue;
    if (Status fine = kind->check(options.of_kind(*kind)); !fine) return fine;
  }
  if (options.rotation &&
      std::all_of(paths.begin(), paths.end(), [](const std::string& path) { return path == "-"; }))
    return usage_error("--rotate needs a file: -c FILE or --json FILE");
  return Done{};
}

Result<std::unique_ptr<SinkGroup>> open_outputs(const OutputOptions& options,
                                                const std::vector<Column>& columns, Host& host) {
  auto group = std::make_unique<SinkGroup>(host);
  Opening opening{options, *group, host};
  // Checks that may fail come before files are created.
  for (const bool files : {false, true})
    for (const OutputKind* kind : output_kinds())
      if (kind->is_file() == files)
        if (Status opened = opening.open_kind(*kind, columns); !opened) return opened.error();
  return group;
}

}  // namespace flowmeter
