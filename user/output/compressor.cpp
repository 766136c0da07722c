// SPDX-License-Identifier: BSD-3-Clause
#include "output/compressor.h"

#include <zlib.h>
#include <zstd.h>

namespace flowmeter {
namespace {

constexpr size_t kPieceBytes = 128 * 1024;

class Zstd final : public Compressor {
 public:
  Zstd() : stream_(ZSTD_createCStream()) {}
  ~Zstd() override { ZSTD_freeCStream(stream_); }
  bool made() const {
    return stream_ != nullptr &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(stream_, ZSTD_c_checksumFlag, 1));
  }

 private:
  Status compress(std::string_view bytes, End end, std::string* out) override {
    const auto directive = end == End::kOfFile ? ZSTD_e_end : ZSTD_e_continue;
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    size_t left = 0;
    do {
      const size_t before = out->size();
      out->resize(before + kPieceBytes);
      ZSTD_outBuffer room{out->data() + before, kPieceBytes, 0};
      left = ZSTD_compressStream2(stream_, &room, &in, directive);
      out->resize(before + room.pos);
      if (ZSTD_isError(left)) return Error{std::string("zstd: ") + ZSTD_getErrorName(left)};
    } while (directive == ZSTD_e_end ? left > 0 : in.pos < in.size);
    return Done{};
  }

  ZSTD_CStream* stream_;
};

class Gzip final : public Compressor {
 public:
  Gzip()
      : made_(deflateInit2(&stream_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8,
                           Z_DEFAULT_STRATEGY) == Z_OK) {}
  ~Gzip() override {
    if (made_) deflateEnd(&stream_);
  }
  bool made() const { return made_; }

 private:
  Status compress(std::string_view bytes, End end, std::string* out) override {
    const int flush = end == End::kOfFile ? Z_FINISH : Z_NO_FLUSH;
    // zlib does not modify its input.
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    int state = Z_OK;
    do {
      const size_t before = out->size();
      out->resize(before + kPieceBytes);
      stream_.next_out = reinterpret_cast<Bytef*>(out->data() + before);
      stream_.avail_out = kPieceBytes;
      state = deflate(&stream_, flush);
      out->resize(out->size() - stream_.avail_out);
      if (state == Z_STREAM_ERROR) return Error{"zlib: the stream is damaged"};
    } while (flush == Z_FINISH ? state != Z_STREAM_END : stream_.avail_in > 0);
    if (flush == Z_FINISH) deflateReset(&stream_);
    return Done{};
  }

  z_stream stream_{};
  bool made_;
};

template <typename Kind>
Result<std::unique_ptr<Compressor>> make(const std::string& path) {
  auto compressor = std::make_unique<Kind>();
  if (!compressor->made()) return Error{"cannot compress output " + path};
  return std::unique_ptr<Compressor>(std::move(compressor));
}

// A new compression format needs one line here.
constexpr struct Compression {
  std::string_view suffix;
  Result<std::unique_ptr<Compressor>> (*make)(const std::string& path);
} kCompressions[] = {
    {".zst", make<Zstd>},
    {".gz", make<Gzip>},
};

const Compression* compression_of(std::string_view path) {
  for (const Compression& each : kCompressions)
    if (path.ends_with(each.suffix)) return &each;
  return nullptr;
}

}  // namespace

std::string_view compression_suffix(std::string_view path) {
  const Compression* kind = compression_of(path);
  return kind ? kind->suffix : std::string_view();
}

Result<std::unique_ptr<Compressor>> compressor_for(const std::string& path) {
  const Compression* kind = compression_of(path);
  return kind ? kind->make(path) : std::unique_ptr<Compressor>();
}

}  // namespace flowmeter
