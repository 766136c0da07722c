// SPDX-License-Identifier: BSD-3-Clause
#include "output/request_body.h"

#include <gtest/gtest.h>
#include <zstd.h>

namespace flowmeter {
namespace {

constexpr std::string_view kRows = "{1}\n{2}\n{3}\n";

RequestBody made(BodyOptions options) {
  auto body = RequestBody::make(std::move(options));
  EXPECT_TRUE(body);
  return std::move(*body);
}

std::string body_of(BodyOptions options, size_t at, uint32_t most,
                    const std::optional<std::string>& except = std::nullopt) {
  RequestBody body = made(std::move(options));
  EXPECT_TRUE(body.fill(kRows, at, most, except));
  return body.bytes();
}

TEST(RequestBody, Formats) {
  using enum BodyFormat;
  const struct {
    const char* claim;
    BodyOptions options;
    uint32_t most;
    const char *body, *type;
  } rows[] = {
      {"one object", {.batch = 1}, 1, "{1}", "application/json"},
      {"an array if several are allowed", {.batch = 2}, 1, "[{1}]", "application/json"},
      {"an array of several", {.batch = 9}, 2, "[{1},{2}]", "application/json"},
      {"an array of one", {.format = kJsonArray, .batch = 1}, 1, "[{1}]", "application/json"},
      {"lines", {.format = kNdjson, .batch = 9}, 9, "{1}\n{2}\n{3}\n", "application/x-ndjson"},
      {"one line", {.format = kNdjson, .batch = 1}, 1, "{1}\n", "application/x-ndjson"},
      {"each body has the header",
       {.format = kCsv, .batch = 9, .header = "a\n"},
       2,
       "a\n{1}\n{2}\n",
       "text/csv"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(body_of(row.options, 0, row.most), row.body) << row.claim;
    EXPECT_STREQ(made(row.options).content_type(), row.type) << row.claim;
  }
}

TEST(RequestBody, SaysWhatItHas) {
  RequestBody body = made({.format = BodyFormat::kNdjson, .batch = 9});
  auto some = body.fill(kRows, 4, 1);
  ASSERT_TRUE(some);
  EXPECT_EQ(std::tuple(some->end, some->rows, some->left_out), std::tuple(size_t{8}, 1u, 0u));
  EXPECT_EQ(body.bytes(), "{2}\n");
  auto rest = body.fill(kRows, 4, 100);
  EXPECT_EQ(std::tuple(rest->end, rest->rows, rest->left_out), std::tuple(size_t{12}, 2u, 0u));
}

TEST(RequestBody, LeavesOutARow) {
  RequestBody body = made({.format = BodyFormat::kJsonArray, .batch = 9});
  auto batch = body.fill("{1}\n{2}\n{2}\n{3}\n", 0, 9, "{2}");
  ASSERT_TRUE(batch);
  EXPECT_EQ(std::tuple(batch->end, batch->rows, batch->left_out), std::tuple(size_t{16}, 4u, 1u));
  EXPECT_EQ(body.bytes(), "[{1},{2},{3}]");
  EXPECT_EQ(body_of({.format = BodyFormat::kJsonArray}, 0, 9, "{1}"), "[{2},{3}]");
  EXPECT_EQ(body_of({.format = BodyFormat::kNdjson}, 0, 9, "{"), kRows) << "only a whole row";
}

TEST(RequestBody, Compresses) {
  RequestBody body =
      made({.format = BodyFormat::kNdjson, .encoding = BodyEncoding::kZstd, .batch = 9});
  for (int again = 0; again < 2; again++) {  // each body is a whole frame
    ASSERT_TRUE(body.fill(kRows, 0, 9));
    std::string text(100, '\0');
    text.resize(
        ZSTD_decompress(text.data(), text.size(), body.bytes().data(), body.bytes().size()));
    EXPECT_EQ(text, kRows);
  }
  EXPECT_STREQ(body.content_encoding(), "zstd");
  body.compress(false);
  EXPECT_STREQ(body.content_encoding(), "");
  ASSERT_TRUE(body.fill(kRows, 0, 9));
  EXPECT_EQ(body.bytes(), kRows);
  body.compress(true);
  EXPECT_STREQ(body.content_encoding(), "zstd");
  EXPECT_STREQ(made({.encoding = BodyEncoding::kGzip}).content_encoding(), "gzip");
}

}  // namespace
}  // namespace flowmeter
