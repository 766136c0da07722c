// SPDX-License-Identifier: BSD-3-Clause
#include "containers/engine_request.h"

#include <cerrno>
#include <memory>

namespace flowmeter {
namespace {

constexpr long kTimeoutMs = 5000;       // of the whole question
constexpr int kLookMs = 50;             // between two looks at stops()
constexpr size_t kMostBody = 32 << 20;  // Docker says about 1.5 KB of a container
constexpr char kHost[] = "http://localhost";

using Easy = std::unique_ptr<CURL, void (*)(CURL*)>;
using Multi = std::unique_ptr<CURLM, CURLMcode (*)(CURLM*)>;
using Headers = std::unique_ptr<curl_slist, void (*)(curl_slist*)>;

// A message of gRPC comes after a byte that says whether it is compressed, and its length.
constexpr size_t kFrameHead = 5;

Result<std::string> message_of_frame(const std::string& body) {
  if (body.size() < kFrameHead) return Error{"it answers neither as Docker nor as CRI"};
  size_t size = 0;
  for (size_t i = 1; i < kFrameHead; i++) size = size << 8 | static_cast<unsigned char>(body[i]);
  if (body[0] != 0 || size != body.size() - kFrameHead)
    return Error{"its answer is not one message of gRPC"};
  return body.substr(kFrameHead);
}

}  // namespace

size_t EngineRequest::take(char* data, size_t size, size_t count, void* answer) {
  auto& into = *static_cast<Answer*>(answer);
  if (into.body.size() + size * count > kMostBody) {
    into.is_too_long = true;
    return 0;
  }
  into.body.append(data, size * count);
  return size * count;
}

Result<std::string> EngineRequest::get(const std::string& path) {
  const Easy easy(curl_.easy_init(), curl_.easy_cleanup);
  if (!easy) return Error{"libcurl", ENOMEM};
  curl_.easy_setopt(easy.get(), CURLOPT_URL, (kHost + path).c_str());
  return perform(easy.get());
}

Result<std::string> EngineRequest::call(const std::string& method) {
  static constexpr char kEmptyMessage[kFrameHead] = {};
  const Easy easy(curl_.easy_init(), curl_.easy_cleanup);
  Headers headers(curl_.slist_append(nullptr, "Content-Type: application/grpc"),
                  curl_.slist_free_all);
  if (!easy || !headers || !curl_.slist_append(headers.get(), "TE: trailers"))
    return Error{"libcurl", ENOMEM};
  curl_.easy_setopt(easy.get(), CURLOPT_URL, (kHost + method).c_str());
  curl_.easy_setopt(easy.get(), CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE});
  curl_.easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_.easy_setopt(easy.get(), CURLOPT_POSTFIELDS, kEmptyMessage);
  curl_.easy_setopt(easy.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(kFrameHead));
  auto body = perform(easy.get());
  return body ? message_of_frame(*body) : body;
}

Result<std::string> EngineRequest::perform(CURL* easy) {
  Answer answer;
  curl_.easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, socket_path_.c_str());
  curl_.easy_setopt(easy, CURLOPT_PROXY, "");
  curl_.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_.easy_setopt(easy, CURLOPT_TIMEOUT_MS, kTimeoutMs);
  curl_.easy_setopt(easy, CURLOPT_WRITEFUNCTION, &EngineRequest::take);
  curl_.easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
  const Multi multi(curl_.multi_init(), curl_.multi_cleanup);
  if (!multi || curl_.multi_add_handle(multi.get(), easy) != CURLM_OK)
    return Error{"libcurl", ENOMEM};
  int running = 1;
  while (curl_.multi_perform(multi.get(), &running) == CURLM_OK && running && !stops_())
    curl_.multi_poll(multi.get(), nullptr, 0, kLookMs, nullptr);
  int left = 0;
  const CURLMsg* const done = curl_.multi_info_read(multi.get(), &left);
  const CURLcode code = done ? done->data.result : CURLE_ABORTED_BY_CALLBACK;
  long status = 0, os_error = 0;
  curl_.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  curl_.easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error);
  curl_.multi_remove_handle(multi.get(), easy);
  if (answer.is_too_long)
    return Error{"its answer has more than " + std::to_string(kMostBody >> 20) + " MiB"};
  if (code == CURLE_COULDNT_CONNECT)
    return Error{"connect", os_error ? static_cast<int>(os_error) : ECONNREFUSED};
  if (code == CURLE_OPERATION_TIMEDOUT) return Error{"answer", ETIMEDOUT};
  if (code != CURLE_OK) return Error{curl_.easy_strerror(code)};
  if (status != 200) return Error{"it answers with status " + std::to_string(status)};
  return std::move(answer.body);
}

}  // namespace flowmeter
