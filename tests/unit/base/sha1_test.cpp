// SPDX-License-Identifier: BSD-3-Clause
#include "base/sha1.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace flowmeter {
namespace {

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string hex(const Sha1::Digest& digest) {
  std::string text;
  for (const uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string sha1(std::string_view text) {
  Sha1 hash;
  hash.add(bytes_of(text));
  return hex(hash.finish());
}

// FIPS 180-1 and RFC 3174 have those of "abc", of the next one and of a million times 'a';
// coreutils' sha1sum made the others.
TEST(Sha1, KnownDigests) {
  EXPECT_EQ(sha1("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(sha1(std::string(1'000'000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  EXPECT_EQ(sha1(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  // Around the sizes at which the length no longer fits into the last block.
  EXPECT_EQ(sha1(std::string(55, 'x')), "cef734ba81a024479e09eb5a75b6ddae62e6abf1");
  EXPECT_EQ(sha1(std::string(56, 'x')), "901305367c259952f4e7af8323f480d59f81335b");
  EXPECT_EQ(sha1(std::string(63, 'x')), "0ddc4e0cccd9a12850deb5abb0853a4425559fec");
  EXPECT_EQ(sha1(std::string(64, 'x')), "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163");
  EXPECT_EQ(sha1(std::string(65, 'x')), "78c741ddc482e4cdf8c474a0876347a0905b6233");
}

TEST(Sha1, PartsGiveTheDigestOfTheWhole) {
  std::string text;
  for (int i = 0; i < 300; i++) text += static_cast<char>(i * 7);
  for (size_t size = 1; size < 130; size++) {
    Sha1 hash;
    for (size_t at = 0; at < text.size(); at += size)
      hash.add(bytes_of(std::string_view(text).substr(at, size)));
    EXPECT_EQ(hex(hash.finish()), sha1(text)) << size;
  }
}

TEST(Sha1, ACopyGoesOnFromTheSameBeginning) {
  Sha1 beginning;
  beginning.add(bytes_of("ab"));
  beginning.fill_block();
  const std::string block = "ab" + std::string(62, '\0');
  for (const std::string_view rest : {"", "c", "and more"}) {
    Sha1 hash = beginning;
    hash.add(bytes_of(rest));
    EXPECT_EQ(hex(hash.finish()), sha1(block + std::string(rest)));
  }
  beginning.fill_block();
  EXPECT_EQ(hex(Sha1(beginning).finish()), sha1(block)) << "a whole block needs no filling";
}

}  // namespace
}  // namespace flowmeter
