// SPDX-License-Identifier: BSD-3-Clause
#include "output/http_transfer.h"

#include <fcntl.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"
#include "base/utf8.h"
#include "output/clickhouse_answer.h"

namespace flowmeter {
namespace {

Result<std::string> read_pem(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(1 << 20, '\0');
  const ssize_t got = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (got < 0) return Error{"cannot read --url-ca " + path, errno};
  text.resize(static_cast<size_t>(got));
  if (text.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
    return Error{"--url-ca " + path + " holds no certificate in PEM form"};
  return text;
}

// Whether the environment may come from a user who has fewer rights than the program: it has file
// capabilities, or was started as root, by sudo or su.
bool distrusts_environment() {
  return ::getauxval(AT_SECURE) != 0 || ::getauxval(AT_EUID) == 0;
}

// Of an answer's body, the start and the end, where ClickHouse has up to 16 KiB about an exception;
// of what it says about an error, the part that is shown.
constexpr size_t kStartBytes = 4096, kEndBytes = 32768, kShownBytes = 300;

// The first line with text, shortened and without what could control a terminal.
std::string first_line(std::string_view text) {
  const size_t start = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  text = text.substr(start, text.find_first_of("\r\n", start) - start);
  std::string line = printable(text.substr(0, kShownBytes), '?');
  return text.size() > kShownBytes ? line + "..." : line;
}

}  // namespace

Result<std::unique_ptr<HttpTransfer>> HttpTransfer::open(const std::string& url,
                                                         const HttpTransferOptions& options) {
  auto loaded = load_curl("-u");
  if (!loaded) return loaded.error();
  const Curl& curl = **loaded;
  auto transfer = std::unique_ptr<HttpTransfer>(new HttpTransfer(curl));
  transfer->multi_ = curl.multi_init();
  transfer->easy_ = curl.easy_init();
  if (!transfer->multi_ || !transfer->easy_) return Error{"cannot set up libcurl"};
  CURL* easy = transfer->easy_;
  transfer->authorization_ = options.authorization;
  bool good = true;
  const auto set = [&](CURLoption option, auto value) {
    good = good && curl.easy_setopt(easy, option, value) == CURLE_OK;
  };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_SSLVERSION, long{CURL_SSLVERSION_TLSv1_2});  // or newer
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_POST, 1L);
  set(CURLOPT_USERAGENT, "flowmeter-ebpf/" FLOWMETER_VERSION);
  set(CURLOPT_TIMEOUT_MS, std::max(1L, static_cast<long>(options.timeout_s * 1e3)));
  set(CURLOPT_CONNECTTIMEOUT_MS, std::max(1L, static_cast<long>(options.timeout_s * 1e3)));
  set(CURLOPT_ERRORBUFFER, transfer->reason_);
  set(CURLOPT_WRITEFUNCTION, take_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(transfer.get()));
  set(CURLOPT_HEADERFUNCTION, take_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(transfer.get()));
  if (!options.proxy.empty() || distrusts_environment()) {
    set(CURLOPT_PROXY, options.proxy.c_str());  // "": none, also if the environment names one
    set(CURLOPT_NOPROXY, "");
  }
  if (!options.ca_file.empty()) {
    auto pem = read_pem(options.ca_file);
    if (!pem) return pem.error();
    curl_blob blob{pem->data(), pem->size(), CURL_BLOB_COPY};
    set(CURLOPT_CAINFO_BLOB, &blob);
  }
  if (!good) return Error{"cannot set up libcurl"};
  return transfer;
}

HttpTransfer::~HttpTransfer() {
  if (easy_) curl_.easy_cleanup(easy_);
  if (multi_) curl_.multi_cleanup(multi_);
  curl_.slist_free_all(headers_);
}

void HttpTransfer::describe_body(const char* content_type, const char* content_encoding) {
  curl_slist* const before = std::exchange(headers_, nullptr);
  const auto header = [this](const std::string& line) {
    headers_ = curl_.slist_append(headers_, line.c_str());
  };
  header(std::string("Content-Type: ") + content_type);
  header("Expect:");  // sends a long body without waiting for "100 Continue"
  if (content_encoding[0]) header(std::string("Content-Encoding: ") + content_encoding);
  if (!authorization_.empty()) header("Authorization: " + authorization_);
  curl_.easy_setopt(easy_, CURLOPT_HTTPHEADER, headers_);
  curl_.slist_free_all(before);
}

size_t HttpTransfer::take_body(char* data, size_t size, size_t count, void* self) {
  std::string& answer = static_cast<HttpTransfer*>(self)->answer_;
  answer.append(data, size * count);
  if (answer.size() > kStartBytes + 2 * kEndBytes)
    answer.erase(kStartBytes, answer.size() - kStartBytes - kEndBytes);
  return size * count;
}

size_t HttpTransfer::take_header(char* data, size_t size, size_t count, void* self) {
  constexpr std::string_view kCode = "x-clickhouse-exception-code:";
  const std::string_view line(data, size * count);
  const auto same = [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); };
  if (line.size() > kCode.size() && std::equal(kCode.begin(), kCode.end(), line.begin(), same))
    static_cast<HttpTransfer*>(self)->exception_code_ = first_line(line.substr(kCode.size()));
  return size * count;
}

HttpTransfer::Outcome HttpTransfer::post(const std::string& body,
                                         const std::function<bool()>& meanwhile) {
  curl_.easy_setopt(easy_, CURLOPT_POSTFIELDS, body.data());
  curl_.easy_setopt(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  reason_[0] = '\0';
  answer_.clear();
  exception_code_.clear();
  curl_.multi_add_handle(multi_, easy_);
  int running = 1;
  bool ended = false;
  while (!ended && curl_.multi_perform(multi_, &running) == CURLM_OK && running > 0) {
    curl_.multi_poll(multi_, nullptr, 0, 100, nullptr);
    ended = !meanwhile();
  }
  CURLcode code = CURLE_ABORTED_BY_CALLBACK;
  int left = 0;
  while (const CURLMsg* message = curl_.multi_info_read(multi_, &left))
    if (message->msg == CURLMSG_DONE) code = message->data.result;
  Outcome outcome;
  // The status counts even if the rest of the answer did not arrive: a server that sends 2xx has
  // the rows. (Only ClickHouse may say something else in the rest.)
  curl_.easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &outcome.status);
  if (outcome.status < 200) outcome.status = 0;
  curl_off_t retry_after = 0;
  if (curl_.easy_getinfo(easy_, CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK)
    outcome.retry_after_s = static_cast<double>(retry_after);
  if (outcome.status > 0) {
    outcome.reason = "HTTP " + std::to_string(outcome.status);
    const std::string_view exception = clickhouse_words(answer_);
    const std::string words = first_line(exception.empty() ? answer_ : exception);
    if (!words.empty()) outcome.reason += ": " + words;
    outcome.clickhouse_exception = clickhouse_exception(exception_code_, answer_);
  } else if (ended) {
    outcome.reason = "no answer before the run ended";
  } else {
    outcome.reason = reason_[0] ? reason_ : curl_.easy_strerror(code);
  }
  curl_.multi_remove_handle(multi_, easy_);
  return outcome;
}

}  // namespace flowmeter
