// SPDX-License-Identifier: BSD-3-Clause
// Runs the TLS walk on arbitrary bytes, in heap blocks of exactly their length: once on the whole,
// and once on a growing stream from which the bytes that the walk no longer needs are removed. The
// first byte chooses how much the stream grows in one step.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>

#include "application/tls.h"
#include "flowmeter/application.h"

namespace {

using namespace flowmeter;

void require(bool holds) {
  if (!holds) std::abort();
}

class Found final : public TlsReceiver {
 public:
  void on_message() override { text += 'm'; }
  void on_client_hello(Bytes body) override {
    ClientHello client;
    if (!parse_client_hello(body, &client)) return;
    require(client.suites <= ClientHello::kMaxSuites && client.extensions <= 256);
    text += "c" + std::to_string(client.suites) + "," + std::to_string(client.version);
  }
  void on_server_hello(Bytes body) override {
    ServerHello server;
    if (parse_server_hello(body, &server))
      text += "s" + std::to_string(server.suite) + "," + std::to_string(server.extensions);
  }
  std::string text;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1 || size > 1u + FM_HEAD_BYTES) return 0;
  const size_t step = 1 + data[0];
  data++;
  size--;
  const auto copy = [&](size_t from, size_t to) {
    auto exact = std::make_unique<uint8_t[]>(to - from);
    std::copy(data + from, data + to, exact.get());
    return exact;
  };
  uint32_t skip = 0;
  const auto whole = copy(0, size);
  const Verdict start = tls_start({whole.get(), size}, TlsStart::kInHead, &skip);
  if (start != Verdict::kYes) return 0;
  require(skip < size);
  Found expected, found;
  TlsWalk walk(skip);
  const bool continues = walk.advance({whole.get(), size}, 0, expected);

  TlsWalk growing(skip);
  bool on = true;
  for (size_t end = skip; on;) {
    end = std::min(end + step, size);
    const uint32_t base = growing.needs();
    require(base <= end);
    const auto part = copy(base, end);
    on = growing.advance({part.get(), end - base}, base, found);
    if (end == size) break;
  }
  require(on == continues && found.text == expected.text);
  return 0;
}
