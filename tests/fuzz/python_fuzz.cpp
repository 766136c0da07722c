// SPDX-License-Identifier: BSD-3-Clause
// Runs --compat python on a capture file of arbitrary bytes: reader, header walk, flows, rows. The
// account must balance, no matter which flows the limits force out.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "compat/python_engine.h"

namespace {

using namespace flowmeter;

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The reader takes a path, so all runs share one file in memory.
  static const int file = ::memfd_create("capture", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  if (::ftruncate(file, 0) != 0) return 0;
  if (::pwrite(file, data, size, 0) != static_cast<ssize_t>(size)) return 0;
  auto reader = CaptureReader::open(path);
  if (!reader) return 0;
  auto engine = PythonEngine::open("/dev/null", "", /*max_flows=*/3, {},
                                   nullptr);  // so few that flows are forced out
  require(static_cast<bool>(engine));
  PythonDissector dissector;
  dissector.begin(*reader);
  (*engine)->begin(*reader);
  for (CapturedFrame frame; reader->next(&frame);) {
    PythonPacket packet;
    if (dissector.dissect(frame, &packet) == PythonPacketClass::kTaken) {
      require(packet.length <= frame.captured_length);
      require(packet.payload <= packet.length);
      require(packet.time_us >= 0);
    }
    if (!(*engine)->add(frame)) break;
  }
  require(static_cast<bool>((*engine)->finish()));
  require((*engine)->balanced());
  return 0;
}
