// SPDX-License-Identifier: BSD-3-Clause
#include "output/compressor.h"

#include <zlib.h>
#include <zstd.h>

#include "output/kept_rows.h"

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
    const auto directive = end == End::kOfFrame ? ZSTD_e_end : ZSTD_e_continue;
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
    const int flush = end == End::kOfFrame ? Z_FINISH : Z_NO_FLUSH;
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

// Decompresses a file piece by piece.
class Decompressor {
 public:
  virtual ~Decompressor() = default;
  struct Step {
    size_t used, made;  // bytes
    bool ends_frame, is_damaged;
  };
  virtual Step step(std::string_view in, char* out, size_t room) = 0;
};

class ZstdReader final : public Decompressor {
 public:
  ~ZstdReader() override { ZSTD_freeDStream(stream_); }
  Step step(std::string_view in, char* out, size_t room) override {
    ZSTD_inBuffer from{in.data(), in.size(), 0};
    ZSTD_outBuffer to{out, room, 0};
    const size_t left = ZSTD_decompressStream(stream_, &to, &from);
    return {from.pos, to.pos, left == 0, ZSTD_isError(left) != 0};
  }

 private:
  ZSTD_DStream* stream_ = ZSTD_createDStream();
};

class GzipReader final : public Decompressor {
 public:
  GzipReader() { inflateInit2(&stream_, MAX_WBITS + 16); }
  ~GzipReader() override { inflateEnd(&stream_); }
  Step step(std::string_view in, char* out, size_t room) override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(room);
    const int state = inflate(&stream_, Z_NO_FLUSH);
    const Step done{in.size() - stream_.avail_in, room - stream_.avail_out, state == Z_STREAM_END,
                    state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR};
    if (done.ends_frame) inflateReset(&stream_);
    return done;
  }

 private:
  z_stream stream_{};
};

template <typename Kind>
Result<std::unique_ptr<Compressor>> make(const std::string& path) {
  auto compressor = std::make_unique<Kind>();
  if (!compressor->made()) return Error{"cannot compress output " + path};
  return std::unique_ptr<Compressor>(std::move(compressor));
}

template <typename Kind>
std::unique_ptr<Decompressor> make_reader() {
  return std::make_unique<Kind>();
}

// A new compression format needs one line here.
constexpr struct Compression {
  std::string_view suffix;
  Result<std::unique_ptr<Compressor>> (*make)(const std::string& path);
  std::unique_ptr<Decompressor> (*make_reader)();
} kCompressions[] = {
    {".zst", make<Zstd>, make_reader<ZstdReader>},
    {".gz", make<Gzip>, make_reader<GzipReader>},
};

const Compression* compression_of(std::string_view path) {
  for (const Compression& each : kCompressions)
    if (path.ends_with(each.suffix)) return &each;
  return nullptr;
}

// Passes the text of a file to take(), until that returns false or the file ends. Returns the end
// of the last whole frame. *is_damaged: what follows is no frame.
template <typename Take>
Result<off_t> decompress(const std::string& path, int fd, bool* is_damaged, Take&& take) {
  const std::unique_ptr<Decompressor> reader = compression_of(path)->make_reader();
  std::string out(kPieceBytes, '\0');
  off_t end = 0;
  *is_damaged = false;
  for (off_t at = 0;;) {
    auto piece = read_at(fd, at, kPieceBytes);
    if (!piece) return piece.error();
    if (piece->empty()) return end;
    std::string_view left = *piece;
    Decompressor::Step step{};
    do {
      step = reader->step(left, out.data(), out.size());
      *is_damaged = step.is_damaged;
      left.remove_prefix(step.used);
      at += static_cast<off_t>(step.used);
      if (step.ends_frame) end = at;
      if (step.is_damaged || !take(std::string_view(out.data(), step.made))) return end;
    } while (!left.empty() || step.made == out.size());
  }
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

Result<std::string> decompressed_start(const std::string& path, int fd, size_t bytes) {
  std::string start;
  bool is_damaged = false;
  auto end = decompress(path, fd, &is_damaged, [&](std::string_view text) {
    start.append(text);
    return start.size() < bytes;
  });
  if (!end) return end.error();
  if (is_damaged && start.empty()) return Error{"it is not compressed"};
  return start.substr(0, bytes);
}

Result<off_t> end_of_frames(const std::string& path, int fd) {
  bool is_damaged = false;
  return decompress(path, fd, &is_damaged, [](std::string_view) { return true; });
}

}  // namespace flowmeter
