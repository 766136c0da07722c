// SPDX-License-Identifier: BSD-3-Clause
// The output kind "web service": -u and the --url options.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/unique_fd.h"
#include "output/csv.h"
#include "output/http_writer.h"
#include "output/json.h"
#include "output/output_mode.h"
#include "output/registry.h"

namespace flowmeter {

extern const OutputKind kHttpOutput;

namespace {

constexpr std::string_view kSchemes[] = {"http", "https"};

// The value of the Authorization header, which is never given on the command line.
Result<std::string> read_authorization(const std::string& file, Host& host) {
  std::string value = host.take_secret(kAuthorizationVariable);
  std::string from = std::string("environment variable ") + kAuthorizationVariable;
  if (!file.empty()) {
    from = "--url-auth-file " + file;
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    value.assign(16 * 1024, '\0');
    const ssize_t got = fd ? ::read(fd.get(), value.data(), value.size()) : -1;
    struct stat status {};
    if (got < 0 || ::fstat(fd.get(), &status) != 0) return Error{"cannot read " + from, errno};
    value.resize(static_cast<size_t>(got));
    if (everyone_can_read(status)) host.log_warning(from + " can be read by everyone (chmod 600)");
    while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
    if (value.empty()) return Error{from + " is empty: it must hold the value of the header"};
  }
  const bool one_line = std::all_of(value.begin(), value.end(),
                                    [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
  if (!one_line)
    return Error{from + " must hold the value of the header in one line, such as \"Bearer ...\""};
  return value;
}

OptionValue body_format(HttpOptions& http) {
  return choice<BodyFormat>(http.format, "FORMAT", "a format",
                            {{"ndjson", BodyFormat::kNdjson},
                             {"json-array", BodyFormat::kJsonArray},
                             {"csv", BodyFormat::kCsv}});
}

void add_options(OutputOptions& options, std::vector<Option>& table) {
  using enum OptionGroup;
  const OptionRules with_url{.needs = {"-u"}};
  HttpOptions& http = options.own[&kHttpOutput].emplace<HttpOptions>();
  table.insert(
      table.end(),
      {
          {"--url-batch", kOutput, count(http.batch, 1, 100'000),
           "Most flows per request; above 1, as a JSON array,\nunless --url-format says otherwise",
           with_url},
          {"--url-format", kOutput, body_format(http),
           "Body of a request: ndjson (one object per line),\n"
           "json-array, or csv with a header. Default: an object,\n"
           "above --url-batch 1 an array",
           with_url},
          {"--url-compress", kOutput,
           choice<BodyEncoding>(http.encoding, "METHOD", "a method",
                                {{"none", BodyEncoding::kNone},
                                 {"gzip", BodyEncoding::kGzip},
                                 {"zstd", BodyEncoding::kZstd}}),
           "Compress bodies (Content-Encoding): none, gzip or zstd", with_url},
          {"--url-timeout", kOutput, seconds(http.timeout_s, 0.001, kDayInSeconds),
           "Longest time for one request", with_url},
          {"--url-ca", kOutput, text(http.ca_file, "FILE", "needs a value"),
           "Trust only these certificate authorities (PEM)", with_url},
          {"--url-proxy", kOutput, text(http.proxy, "URL", "needs a value"),
           "Send through this proxy (default: that of the\nenvironment; none for root)", with_url},
          {"--url-auth-file", kOutput, text(http.authorization_file, "FILE", "needs a value"),
           "Read the Authorization header from this file, such as\n\"Bearer ...\" "
           "(default: from FLOWMETER_URL_AUTH)",
           with_url},
      });
}

Status check(std::vector<std::string> urls) {
  for (std::string& url : urls)  // spaces in a query may be written in two ways
    for (size_t at = url.find('?'); (at = url.find(' ', at)) != std::string::npos;)
      url.replace(at, 1, "%20");
  std::sort(urls.begin(), urls.end());
  if (const auto twice = std::adjacent_find(urls.begin(), urls.end()); twice != urls.end())
    return usage_error("-u " + twice->substr(0, twice->find('?')) +  // the query may be secret
                       " is named twice");
  for (const std::string& url : urls)
    if (Status usable = HttpWriter::check_url(url); !usable) return usable;
  return Done{};
}

std::unique_ptr<RowFormat> format(const OutputOptions& options,
                                  const std::vector<Column>& columns) {
  const auto& http = std::any_cast<const HttpOptions&>(options.own.at(&kHttpOutput));
  if (http.format == BodyFormat::kCsv) return format_of<CsvFormat>(options, columns);
  return format_of<JsonFormat>(options, columns);
}

Result<std::vector<std::unique_ptr<RowWriter>>> open(const std::vector<std::string>& urls,
                                                     const RowFormat& format,
                                                     const OutputOptions& options, Host& host) {
  auto http = std::any_cast<HttpOptions>(options.own.at(&kHttpOutput));
  auto authorization = read_authorization(http.authorization_file, host);
  if (!authorization) return authorization.error();
  http.authorization = std::move(*authorization);
  std::vector<std::unique_ptr<RowWriter>> writers;
  for (const std::string& url : urls) {
    auto writer = HttpWriter::open(url, http, options.delivery, format, host);
    if (!writer) return writer.error();
    writers.push_back(std::move(*writer));
  }
  return writers;
}

}  // namespace

constinit const OutputKind kHttpOutput = {
    .names = "-u,--url",
    .type = "URL",
    .help =
        "Send them by HTTP POST, one JSON object per flow.\n"
        "-c, --json and -u may be given several times",
    .schemes = kSchemes,
    .add_options = add_options,
    .check = check,
    .format = format,
    .open = open,
};

}  // namespace flowmeter
