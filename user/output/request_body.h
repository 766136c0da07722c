// SPDX-License-Identifier: BSD-3-Clause
// The body of a request with rows: how several rows are joined, and how they are compressed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "output/compressor.h"

namespace flowmeter {

enum class BodyFormat : uint8_t {
  kJson,       // one object, or an array if a request may have several rows
  kNdjson,     // one object per line
  kJsonArray,  // an array, also of one row
  kCsv,        // each body starts with the header
};

enum class BodyEncoding : uint8_t { kNone, kGzip, kZstd };

struct BodyOptions {
  BodyFormat format = BodyFormat::kJson;
  BodyEncoding encoding = BodyEncoding::kNone;
  uint32_t batch = 1;       // most rows
  std::string header = {};  // of kCsv, with its line feed
};

class RequestBody {
 public:
  static Result<RequestBody> make(BodyOptions options);

  struct Batch {
    size_t end;
    uint32_t rows;
    uint32_t left_out;  // of them, not in the body
  };
  // Makes it from the rows at `at`, at most so many. One row that is equal to `except`, which has
  // no line feed, is left out.
  Result<Batch> fill(std::string_view text, size_t at, uint32_t most,
                     const std::optional<std::string>& except = std::nullopt);
  const std::string& bytes() const { return compresses_ ? packed_ : plain_; }

  const char* content_type() const;
  // The value of the header Content-Encoding; "": there is none.
  const char* content_encoding() const;
  // From the next fill() on.
  void compress(bool on) { compresses_ = on && compressor_; }

 private:
  RequestBody(BodyOptions options, std::unique_ptr<Compressor> compressor)
      : options_(std::move(options)),
        compressor_(std::move(compressor)),
        compresses_(compressor_) {}
  bool is_array() const;

  BodyOptions options_;
  std::unique_ptr<Compressor> compressor_;  // null: none
  bool compresses_;
  std::string plain_, packed_;
};

}  // namespace flowmeter
