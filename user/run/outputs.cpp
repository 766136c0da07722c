// SPDX-License-Identifier: BSD-3-Clause
#include "run/outputs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "base/host.h"
#include "output/csv.h"
#include "output/file_sink.h"
#include "output/json.h"
#include "output/stream_writer.h"
#include "output/table.h"

namespace flowmeter {
namespace {

CLI::ValidationError wrong(const std::string& option, const std::string& text) {
  return CLI::ValidationError(option, text);
}

void add_number(CLI::App& app, const char* group, const std::string& name, const char* type,
                uint64_t least, uint64_t most, std::function<void(uint64_t)> set,
                const std::string& standard, const char* help) {
  app.add_option_function<std::string>(
         name,
         [=](const std::string& text) {
           uint64_t value = 0;
           const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
           if (error != std::errc() || end != text.data() + text.size() || value < least ||
               value > most)
             throw wrong(name, "\"" + text + "\" is not a whole number between " +
                                   std::to_string(least) + " and " + std::to_string(most));
           set(value);
         },
         help)
      ->type_name(type)
      ->default_str(standard)
      ->group(group);
}

void add_duration(CLI::App& app, const char* group, const std::string& name, double least,
                  double* seconds, const std::string& standard, const char* help) {
  app.add_option_function<std::string>(
         name,
         [=](const std::string& text) {
           double value = 0;
           const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
           if (error != std::errc() || end != text.data() + text.size() || !(value >= least) ||
               value > 86400)
             throw wrong(name, "\"" + text + "\" is not a number of seconds up to 86400");
           *seconds = value;
         },
         help)
      ->type_name("SECONDS")
      ->default_str(standard)
      ->group(group);
}

void add_path(CLI::App& app, const char* group, const std::string& name, const char* type,
              std::string* path, const char* help) {
  app.add_option_function<std::string>(
         name,
         [=](const std::string& text) {
           if (text.empty()) throw wrong(name, "needs a value");
           *path = text;
         },
         help)
      ->type_name(type)
      ->group(group);
}

// Whether a write waits for nobody: it ends in the page cache, or nowhere.
bool waits_for_nobody(const std::string& path) {
  struct stat status {};
  if (path == "-" ? ::fstat(STDOUT_FILENO, &status) != 0 : ::stat(path.c_str(), &status) != 0)
    return true;  // will be made, or the error comes when it is opened
  return S_ISREG(status.st_mode) || path == "/dev/null" || path == "/dev/full";
}

bool is_stdout(const std::string& path) {
  return path == "-" || path == "/dev/stdout" || path == "/dev/fd/1" || path == "/proc/self/fd/1";
}

// The value for the Authorization header, which no command line shows.
Result<std::string> read_authorization(const std::string& file, Host& host) {
  std::string value = host.take_secret(kAuthorizationVariable);
  std::string from = std::string("the environment's ") + kAuthorizationVariable;
  if (!file.empty()) {
    from = "--url-auth-file " + file;
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    value.assign(16 * 1024, '\0');
    const ssize_t got = fd ? ::read(fd.get(), value.data(), value.size()) : -1;
    struct stat status {};
    if (got < 0 || ::fstat(fd.get(), &status) != 0) return Error{"cannot read " + from, errno};
    value.resize(static_cast<size_t>(got));
    if (S_ISREG(status.st_mode) && (status.st_mode & S_IROTH))
      host.log_warning(from + " can be read by everyone (chmod 600)");
    while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
    if (value.empty()) return Error{from + " is empty: it must hold the header's value"};
  }
  const bool one_line = std::all_of(value.begin(), value.end(),
                                    [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  if (!one_line)
    return Error{from + " must be the header's value in one line, such as \"Bearer ...\""};
  return value;
}

}  // namespace

bool is_compressed(const std::string& path) {
  return path.ends_with(".gz") || path.ends_with(".zst");
}

std::vector<std::string> OutputOptions::paths() const {
  std::vector<std::string> all = csv;
  all.insert(all.end(), json.begin(), json.end());
  return all;
}

bool OutputOptions::uses_stdout() const {
  const std::vector<std::string> all = paths();
  return table || std::any_of(all.begin(), all.end(), is_stdout);
}

void add_output_options(CLI::App& app, const char* group, OutputOptions& options) {
  const auto repeated = [&app, group](const char* name, const char* type,
                                      std::vector<std::string>* values, const char* help) {
    app.add_option(name, *values, help)
        ->type_name(type)
        ->type_size(1)
        ->allow_extra_args(false)
        ->group(group);
  };
  repeated("--json", "FILE", &options.json, "Write them as NDJSON, one object a line");
  repeated("-u,--url", "URL", &options.urls,
           "Send them by HTTP POST, one JSON object each.\n"
           "-c, --json and -u may be given several times");
  app.add_flag("--table", options.table, "Show them as a table (the default on a terminal)")
      ->group(group);
  app.add_option_function<std::string>(
         "--rotate",
         [&options](const std::string& text) {
           auto rotation = Rotation::parse(text);
           if (!rotation) throw wrong("--rotate", rotation.error().message());
           options.rotation = *rotation;
         },
         "Begin a new file every so often or before a size:\n"
         "15m, 1h, 1d; 500MB, 2GB. FILE gets time and number")
      ->type_name("LIMIT")
      ->group(group);
  app.add_option_function<std::string>(
         "--on-full",
         [&options](const std::string& text) {
           if (text != "block" && text != "drop")
             throw wrong("--on-full", "\"" + text + "\" is not a policy (there are: block, drop)");
           options.on_full = text == "block" ? OnFull::kBlock : OnFull::kDrop;
         },
         "When an output is too slow: block (wait for it, the\n"
         "default of -f) or drop (count its rows, of -i)")
      ->type_name("POLICY")
      ->group(group);
  add_number(
      app, group, "--output-buffer", "N", 4, 1 << 20,
      [&](uint64_t n) { options.buffer_kib = static_cast<uint32_t>(n); },
      std::to_string(options.buffer_kib), "KiB of rows that may wait to be written to a file");
  add_number(
      app, group, "--output-queue", "N", 1, 1024,
      [&](uint64_t n) { options.queue_mib = static_cast<uint32_t>(n); },
      std::to_string(options.queue_mib),
      "MiB of rows that may wait for each pipe, URL, and\n"
      "rotated or compressed file");
  add_duration(app, group, "--drain", 0, &options.drain_s, "10",
               "At the end, how long pipes and URLs may take for\n"
               "what waits (with block: without progress)");
  add_number(
      app, group, "--url-batch", "N", 1, 100'000,
      [&](uint64_t n) { options.http.batch = static_cast<uint32_t>(n); }, "1",
      "Flows of a request; above 1, as a JSON array");
  add_duration(app, group, "--url-timeout", 0.001, &options.http.timeout_s, "10",
               "Longest time of a request");
  add_duration(app, group, "--url-retry", 0, &options.http.retry_s, "60",
               "With block, without a spool: how long a server may\n"
               "fail before rows are given up");
  add_path(app, group, "--url-ca", "FILE", &options.http.ca_file,
           "Trust these certificate authorities (PEM), no others");
  add_path(app, group, "--url-auth-file", "FILE", &options.authorization_file,
           "Value of an Authorization header, such as\n"
           "\"Bearer ...\"; else FLOWMETER_URL_AUTH's");
  add_path(app, group, "--url-spool", "DIR", &options.http.spool,
           "Keep what cannot be sent in this directory, and send\n"
           "it later: also in the next run");
  add_number(
      app, group, "--url-spool-limit", "N", 1, 1 << 20,
      [&](uint64_t n) { options.http.spool_limit_bytes = n << 20; }, "1024",
      "MiB that a URL's spool may take");
}

std::string settle_outputs(const CLI::App& app, OutputOptions& options) {
  if (options.none()) {
    if (::isatty(STDOUT_FILENO))
      options.table = true;
    else
      options.csv.push_back("-");
  }
  std::vector<std::string> paths = options.paths();
  if (std::find(paths.begin(), paths.end(), "") != paths.end())
    return "an output needs a file name (- is standard output)";
  if (std::count_if(paths.begin(), paths.end(), is_stdout) + options.table > 1)
    return "only one output can use standard output: give files to the others";
  // Also under another spelling or by a link: two writers would spoil each other's rows.
  for (std::string& path : paths) {
    std::error_code ignored;
    if (path != "-")
      path = std::filesystem::weakly_canonical(std::filesystem::absolute(path, ignored), ignored);
  }
  std::sort(paths.begin(), paths.end());
  if (const auto twice = std::adjacent_find(paths.begin(), paths.end()); twice != paths.end())
    return "output " + *twice + " is named twice";
  std::vector<std::string> urls = options.urls;
  std::sort(urls.begin(), urls.end());
  if (const auto twice = std::adjacent_find(urls.begin(), urls.end()); twice != urls.end())
    return "-u " + twice->substr(0, twice->find('?')) + " is named twice";  // a query may be secret
  for (const std::string& url : urls)
    if (Status usable = HttpWriter::check_url(url); !usable) return usable.error().message();
  if (options.rotation &&
      std::all_of(paths.begin(), paths.end(), [](const std::string& path) { return path == "-"; }))
    return "--rotate needs a file: -c FILE or --json FILE";
  for (const char* option : {"--url-batch", "--url-timeout", "--url-retry", "--url-ca",
                             "--url-auth-file", "--url-spool", "--url-spool-limit"})
    if (urls.empty() && app.count(option) > 0) return std::string(option) + " goes with -u only";
  if (app.count("--url-spool-limit") > 0 && options.http.spool.empty())
    return "--url-spool-limit goes with --url-spool only";
  return "";
}

Result<std::unique_ptr<SinkGroup>> open_outputs(const OutputOptions& options,
                                                const std::vector<Column>& columns, bool live,
                                                bool quiet, Host& host) {
  auto group = std::make_unique<SinkGroup>(host, quiet);
  const OnFull on_full = options.on_full.value_or(live ? OnFull::kDrop : OnFull::kBlock);
  const auto queue = [&](std::unique_ptr<RowFormat> format, std::unique_ptr<RowWriter> writer,
                         double drain_s) {
    const QueuedSink::Options how{size_t{options.queue_mib} << 20, on_full, drain_s};
    group->add(std::make_unique<QueuedSink>(std::move(format), std::move(writer), how));
  };
  // By what its writes wait for: nobody, or a reader that is to be waited for; disks and
  // processors, which have their own thread; a reader that is not to be waited for.
  const auto open_path = [&](const std::string& path, std::unique_ptr<RowFormat> format) -> Status {
    if (path != "-" && (options.rotation || is_compressed(path))) {
      auto files = WholeFiles::open(path, *format, options.rotation);
      if (!files) return files.error();
      queue(std::move(format), std::move(*files), -1);
    } else if (on_full == OnFull::kBlock || waits_for_nobody(path)) {
      const bool append = options.is_default_file && !options.overwrite;
      auto sink = FileSink::open(path, std::move(format), size_t{options.buffer_kib} << 10, append);
      if (!sink) return sink.error();
      group->add(std::move(*sink));
    } else {
      auto stream = StreamWriter::open(path, *format);
      if (!stream) return stream.error();
      queue(std::move(format), std::move(*stream), options.drain_s);
    }
    return Done{};
  };

  // What can be refused comes before what makes files.
  HttpOptions http = options.http;
  if (!options.urls.empty()) {
    auto authorization = read_authorization(options.authorization_file, host);
    if (!authorization) return authorization.error();
    http.authorization = std::move(*authorization);
  }
  for (const std::string& url : options.urls) {
    auto writer = HttpWriter::open(url, http, host);
    if (!writer) return writer.error();
    queue(std::make_unique<JsonFormat>(columns, options.style), std::move(*writer),
          options.drain_s);
  }
  for (const std::string& path : options.csv)
    if (Status opened = open_path(path, std::make_unique<CsvFormat>(columns, options.style));
        !opened)
      return opened.error();
  for (const std::string& path : options.json)
    if (Status opened = open_path(path, std::make_unique<JsonFormat>(columns, options.style));
        !opened)
      return opened.error();
  if (options.table)
    if (Status opened = open_path("-", std::make_unique<TableFormat>(STDOUT_FILENO)); !opened)
      return opened.error();
  return group;
}

}  // namespace flowmeter
