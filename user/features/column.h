// SPDX-License-Identifier: BSD-3-Clause
// A feature set is a table of columns: name, unit, definition, getter. Every output walks the same
// table, so a quantity has one definition.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "features/statistics.h"
#include "flows/flow_record.h"

namespace flowmeter {

// One value of a row. Text is held inside (addresses, times), so making a row allocates nothing.
class Cell {
 public:
  enum class Kind : uint8_t { kInteger, kReal, kNanoseconds, kText };
  static constexpr size_t kMaxText = 144;   // a flow's id: addresses, ports, protocol, time
  static constexpr size_t kShortText = 48;  // an address (INET6_ADDRSTRLEN is 46), a time

  Cell(unsigned long long value) : Cell(static_cast<uint64_t>(value)) {}
  Cell(uint64_t value) : kind_(Kind::kInteger), integer_(static_cast<int64_t>(value)) {}
  Cell(double value) : kind_(Kind::kReal), real_(value) {}
  Cell(std::string_view text) : kind_(Kind::kText), size_(static_cast<uint8_t>(text.size())) {
    if (!text.empty()) std::memcpy(text_, text.data(), text.size());  // empty: data() may be null
  }
  // A time that is printed in seconds. Kept whole: most times of a row are, and need no floating
  // point at all.
  static Cell nanoseconds(uint64_t ns) {
    Cell cell(ns);
    cell.kind_ = Kind::kNanoseconds;
    return cell;
  }
  // -1: the column does not apply to this flow's protocol.
  static Cell not_applicable() { return Cell(~uint64_t{0}); }

  Kind kind() const { return kind_; }
  int64_t integer() const { return integer_; }
  // Of nanoseconds: the seconds.
  double real() const { return kind_ == Kind::kNanoseconds ? seconds(nanoseconds()) : real_; }
  uint64_t nanoseconds() const { return static_cast<uint64_t>(integer_); }
  std::string_view text() const { return {text_, size_}; }

 private:
  Kind kind_;
  uint8_t size_ = 0;
  union {
    int64_t integer_;
    double real_;
    char text_[kMaxText];
  };
};

enum class Unit : uint8_t {
  kNone,
  kText,
  kTime,
  kSeconds,
  kMicroseconds,
  kPackets,
  kBytes,
  kBytesSquared,
  kBytesPerSecond,
  kPerSecond
};

// As printed by documentation: "s", "packets", ….
std::string_view unit_name(Unit unit);

using Getter = Cell (*)(const FlowRecord&);

struct Column {
  std::string_view name;
  Unit unit;
  Getter get;
  std::string_view definition;
};

using FeatureSet = std::span<const Column>;

// The getter of a column that another set has under this name: one definition for both. Null if
// there is none (the sets' tests would see it).
Getter getter_of(FeatureSet set, std::string_view name);

}  // namespace flowmeter
