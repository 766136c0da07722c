// SPDX-License-Identifier: BSD-3-Clause
// Hash of a 40-byte map key (flow or fragment) under a secret of this process.
//
// NH (Black, Halevi, Krawczyk, Krovetz, Rogaway, "UMAC", CRYPTO 1999): sums of secret and key words
// are multiplied in pairs and added. This is universal: without knowing the secret, nobody can
// choose keys that collide more often than by chance, so chosen 5-tuples cannot make the table
// slow. The 128-bit sum is folded by a second multiplication with the secret. Five words take four
// multiplications.
#pragma once

#include <sys/random.h>

#include <array>
#include <cstdint>

#include "flowmeter/base.h"

namespace flowmeter {

class KeyHash {
 public:
  KeyHash() {
    if (::getrandom(secret_.data(), sizeof(secret_), 0) != sizeof(secret_))
      secret_.fill(0x9e3779b97f4a7c15);  // cannot happen on Linux 5.6 and newer
  }

  template <typename Key>
  uint32_t operator()(const Key& key) const {
    static_assert(sizeof(Key) == 5 * sizeof(uint64_t));
    const auto* w = reinterpret_cast<const fm_word*>(&key);
    using Wide = unsigned __int128;
    const auto& s = secret_;
    const Wide nh = static_cast<Wide>(w[0] + s[0]) * (w[1] + s[1]) +
                    static_cast<Wide>(w[2] + s[2]) * (w[3] + s[3]) +
                    static_cast<Wide>(w[4] + s[4]) * s[5];
    const uint64_t low = static_cast<uint64_t>(nh), high = static_cast<uint64_t>(nh >> 64);
    const Wide folded = static_cast<Wide>(low ^ s[6]) * (high ^ s[7]);
    const uint64_t mixed = static_cast<uint64_t>(folded) ^ static_cast<uint64_t>(folded >> 64);
    return static_cast<uint32_t>(mixed >> 32);
  }

 private:
  std::array<uint64_t, 8> secret_;
};

}  // namespace flowmeter
