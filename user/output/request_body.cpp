// SPDX-License-Identifier: BSD-3-Clause
#include "output/request_body.h"

#include <algorithm>

namespace flowmeter {

Result<RequestBody> RequestBody::make(BodyOptions options) {
  std::unique_ptr<Compressor> compressor;
  if (options.encoding != BodyEncoding::kNone) {
    auto made = compressor_for(options.encoding == BodyEncoding::kGzip ? ".gz" : ".zst");
    if (!made) return made.error();
    compressor = std::move(*made);
  }
  return RequestBody(std::move(options), std::move(compressor));
}

bool RequestBody::is_array() const {
  return options_.format == BodyFormat::kJsonArray ||
         (options_.format == BodyFormat::kJson && options_.batch > 1);
}

const char* RequestBody::content_type() const {
  switch (options_.format) {
    case BodyFormat::kNdjson:
      return "application/x-ndjson";
    case BodyFormat::kCsv:
      return "text/csv";
    case BodyFormat::kJson:
    case BodyFormat::kJsonArray:
      break;
  }
  return "application/json";
}

const char* RequestBody::content_encoding() const {
  if (!compresses_) return "";
  return options_.encoding == BodyEncoding::kGzip ? "gzip" : "zstd";
}

Result<RequestBody::Batch> RequestBody::fill(std::string_view text, size_t at, uint32_t most,
                                             const std::optional<std::string>& except) {
  const bool lines = options_.format == BodyFormat::kNdjson || options_.format == BodyFormat::kCsv;
  const std::string_view between = is_array() ? "," : lines ? "\n" : "";
  plain_ = is_array() ? "[" : options_.format == BodyFormat::kCsv ? options_.header : "";
  Batch batch{at, 0, 0};
  for (bool first = true; batch.rows < most && batch.end < text.size(); batch.rows++) {
    const size_t line_end = std::min(text.find('\n', batch.end), text.size() - 1);
    const std::string_view row = text.substr(batch.end, line_end - batch.end);
    batch.end = line_end + 1;
    if (except && batch.left_out == 0 && row == *except) {
      batch.left_out++;
      continue;
    }
    if (!first) plain_ += between;
    plain_ += row;
    first = false;
  }
  plain_ += is_array() ? "]" : lines ? "\n" : "";
  if (!compresses_) return batch;
  packed_.clear();
  if (Status packed = compressor_->add(plain_, &packed_); !packed) return packed.error();
  if (Status packed = compressor_->end_frame(&packed_); !packed) return packed.error();
  return batch;
}

}  // namespace flowmeter
