// SPDX-License-Identifier: BSD-3-Clause
// A quantity is the definition of a value that is measured per flow: its type, unit, text and
// getter (quantities.h). A column is a quantity with the name that a feature set gives it. A
// feature set is a list of columns; every output uses the same list.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "features/statistics.h"
#include "flows/flow_record.h"

namespace flowmeter {

// A time span. It is written in seconds, but kept as an integer: most times of a row then need no
// floating point at all.
struct Nanoseconds {
  uint64_t count;
};

// One value of a row. It contains its text (addresses, times), so making a row allocates nothing.
class Cell {
 public:
  enum class Kind : uint8_t { kInteger, kReal, kNanoseconds, kText };
  static constexpr size_t kMaxText = 144;   // a flow id: addresses, ports, protocol, time
  static constexpr size_t kShortText = 48;  // an address (INET6_ADDRSTRLEN is 46), a time

  template <std::unsigned_integral Integer>
  Cell(Integer value) : kind_(Kind::kInteger), integer_(static_cast<int64_t>(value)) {}
  Cell(double value) : kind_(Kind::kReal), real_(value) {}
  Cell(Nanoseconds time) : kind_(Kind::kNanoseconds), integer_(static_cast<int64_t>(time.count)) {}
  Cell(std::string_view text) : kind_(Kind::kText), size_(static_cast<uint8_t>(text.size())) {
    if (!text.empty()) std::memcpy(text_, text.data(), text.size());  // empty: data() may be null
  }
  // A text of any length, which is not copied: it has to outlive the cell.
  static Cell lasting(std::string_view text) {
    Cell cell{std::string_view()};
    cell.size_ = kLasting;
    cell.lasting_ = {text.data(), text.size()};
    return cell;
  }
  // -1: the quantity does not exist for the flow's protocol.
  static Cell not_applicable() { return Cell(~uint64_t{0}); }

  Kind kind() const { return kind_; }
  int64_t integer() const { return integer_; }
  // A time span in seconds.
  double real() const { return kind_ == Kind::kNanoseconds ? seconds(nanoseconds()) : real_; }
  uint64_t nanoseconds() const { return static_cast<uint64_t>(integer_); }
  std::string_view text() const {
    return is_lasting() ? std::string_view(lasting_.data, lasting_.size)
                        : std::string_view(text_, size_);
  }
  bool is_lasting() const { return size_ == kLasting; }

 private:
  static constexpr uint8_t kLasting = 255;
  static_assert(kMaxText < kLasting);

  Kind kind_;
  uint8_t size_ = 0;
  union {
    int64_t integer_;
    double real_;
    char text_[kMaxText];
    struct {
      const char* data;
      size_t size;
    } lasting_;
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

// The name of the unit in the documentation: "s", "packets", ….
std::string_view unit_name(Unit unit);

// The type of a column's cells. A cell without a value is an empty text, whatever the type.
enum class ColumnType : uint8_t {
  kInteger,
  kReal,
  kText,
  kCategory,  // a text with few different values in any traffic
  kTime,      // a time of day, as text; Quantity::instant has it as a number
};

constexpr bool is_number(ColumnType type) {
  return type == ColumnType::kInteger || type == ColumnType::kReal;
}

// The packets of a flow that a quantity describes.
enum class Way : uint8_t { kForward, kBackward, kBoth };

using Getter = Cell (*)(const FlowRecord&);

// A point in time: time_ns after the origin.
struct Instant {
  ClockOrigin clock;
  uint64_t time_ns;
};

// How points in time are written, if not as their feature set does: UTC.
enum class TimeFormat : uint8_t {
  kPython,             // "YYYY-MM-DD HH:MM:SS.ffffff"
  kIso,                // ISO 8601: "YYYY-MM-DDTHH:MM:SS.ffffffZ"
  kEpoch,              // seconds since 1970, with decimals
  kEpochMicroseconds,  // microseconds since 1970, an integer
};

struct Quantity {
  ColumnType type;
  Unit unit;
  Way way;
  std::string_view text;  // its definition; "{}" stands for "forward " or "backward " or nothing
  Getter get;
  std::string_view note = {};  // appended to the text
  // Whether a cell of this number column can be empty. (Cells of texts can.)
  bool may_be_empty = false;
  // Of a text.
  size_t max_text = Cell::kMaxText;
  // kTime only (features/instant.h).
  Instant (*instant)(const FlowRecord&) = nullptr;
  Getter (*getter_as)(TimeFormat) = nullptr;
};

constexpr Quantity with_note(Quantity quantity, std::string_view note) {
  quantity.note = note;
  return quantity;
}

// The type of the cells that are made from a getter's result. A getter that returns a Cell has
// written text into it.
template <typename Value>
constexpr ColumnType kTypeOf =
    std::unsigned_integral<Value>                                         ? ColumnType::kInteger
    : std::is_same_v<Value, double> || std::is_same_v<Value, Nanoseconds> ? ColumnType::kReal
                                                                          : ColumnType::kText;

// A quantity whose type is derived from the result of `Read`, a lambda without captures.
template <typename Read>
struct QuantityOf : Quantity {
  constexpr QuantityOf(Unit the_unit, std::string_view the_text, Read, Way the_way = Way::kBoth)
      : Quantity{kTypeOf<std::invoke_result_t<Read, const FlowRecord&>>, the_unit, the_way,
                 the_text, [](const FlowRecord& f) -> Cell { return Read{}(f); }} {}
};

// A text with few different values.
template <typename Read>
struct CategoryOf : QuantityOf<Read> {
  constexpr CategoryOf(Unit the_unit, std::string_view the_text, Read read)
      : QuantityOf<Read>(the_unit, the_text, read) {
    this->type = ColumnType::kCategory;
  }
};

// A quantity that exists for the forward and for the backward packets. `Read` takes a Way, too.
template <typename Read>
struct Directed {
  template <Way kWay>
  struct Towards {
    auto operator()(const FlowRecord& f) const { return Read{}(f, kWay); }
  };
  QuantityOf<Towards<Way::kForward>> forward;
  QuantityOf<Towards<Way::kBackward>> backward;

  constexpr Directed(Unit unit, std::string_view text, Read)
      : forward(unit, text, {}, Way::kForward), backward(unit, text, {}, Way::kBackward) {}
};

// The same, and also a variant for all packets of the flow.
template <typename Read>
struct EachWay : Directed<Read> {
  QuantityOf<typename Directed<Read>::template Towards<Way::kBoth>> both;

  constexpr EachWay(Unit unit, std::string_view text, Read read)
      : Directed<Read>(unit, text, read), both(unit, text, {}) {}
};

struct Column : Quantity {
  std::string_view name;

  // the_text: for a set that has to say more than the quantity's text, or refers to its own column
  // names.
  constexpr Column(std::string_view the_name, const Quantity& quantity,
                   std::string_view the_text = {})
      : Quantity(quantity), name(the_name) {
    if (!the_text.empty()) text = the_text;
  }

  std::string definition() const;
};

using FeatureSet = std::span<const Column>;

}  // namespace flowmeter
