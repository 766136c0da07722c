// SPDX-License-Identifier: BSD-3-Clause
#include "cli/configuration_file.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>

namespace flowmeter {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";  // written by some editors

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

void append_utf8(std::string& out, uint32_t c) {
  constexpr uint32_t kLead[] = {0, 0xc0, 0xe0, 0xf0};
  const unsigned following = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  out += static_cast<char>(kLead[following] | c >> 6 * following);
  for (unsigned left = following; left-- > 0;)
    out += static_cast<char>(0x80 | (c >> 6 * left & 0x3f));
}

// Functions return false once there is an error.
class Parser {
 public:
  Parser(std::string_view text, const std::string& path) : rest_(text), path_(path) {
    if (rest_.substr(0, kByteOrderMark.size()) == kByteOrderMark)
      rest_.remove_prefix(kByteOrderMark.size());
  }

  Result<std::vector<ConfigurationEntry>> parse() {
    std::vector<ConfigurationEntry> entries;
    while (skip_blank_lines()) {
      ConfigurationEntry entry;
      entry.line = line_;
      if (!read_name(entry) || !read_values(entry) || !end_of_line()) break;
      const auto same = std::find_if(entries.begin(), entries.end(),
                                     [&](const auto& other) { return other.name == entry.name; });
      if (same != entries.end()) {
        line_ = entry.line;
        fail("\"" + entry.name + "\" is already set in line " + std::to_string(same->line) +
             " (several values are an array: [\"a\", \"b\"])");
        break;
      }
      entries.push_back(std::move(entry));
    }
    if (!error_.empty()) return Error{error_};
    return entries;
  }

 private:
  bool fail(const std::string& what) {
    error_ = path_ + ":" + std::to_string(line_) + ": " + what;
    return false;
  }
  bool at(char c) const { return !rest_.empty() && rest_[0] == c; }
  bool at_line_end() const {
    return rest_.empty() || at('\n') || at('#') || rest_.substr(0, 2) == "\r\n";
  }
  void skip_blanks() {
    while (at(' ') || at('\t')) rest_.remove_prefix(1);
  }
  // Also skips comments; also used within arrays. Returns whether there is more text.
  bool skip_blank_lines() {
    for (skip_blanks(); at_line_end() && !rest_.empty(); skip_blanks()) {
      rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
      if (rest_.empty()) break;
      rest_.remove_prefix(1);
      line_++;
    }
    return !rest_.empty();
  }
  bool end_of_line() {
    skip_blanks();
    return at_line_end() || fail("unexpected text after the value");
  }

  bool read_name(ConfigurationEntry& entry) {
    if (at('[')) return fail("tables are not supported: write options without a table");
    const size_t end =
        static_cast<size_t>(std::find_if_not(rest_.begin(), rest_.end(), is_name) - rest_.begin());
    entry.name = rest_.substr(0, end);
    rest_.remove_prefix(end);
    skip_blanks();
    if (end == 0 || !at('=')) return fail("expected \"name = value\"");
    rest_.remove_prefix(1);
    skip_blanks();
    return true;
  }

  bool read_values(ConfigurationEntry& entry) {
    if (!at('[')) return read_value(entry);
    entry.is_array = true;
    rest_.remove_prefix(1);
    for (;;) {
      if (!skip_blank_lines()) break;
      if (at(']')) return rest_.remove_prefix(1), true;
      if (!read_value(entry)) return false;
      if (!skip_blank_lines()) break;
      if (at(']')) continue;
      if (!at(',')) return fail("values of an array are separated by commas");
      rest_.remove_prefix(1);
    }
    line_ = entry.line;
    return fail("the array is not closed");
  }

  bool read_value(ConfigurationEntry& entry) {
    std::string value;
    if (at('"')    ? !read_basic_string(value)
        : at('\'') ? !read_literal_string(value)
                   : !read_plain(value))
      return false;
    entry.values.push_back(std::move(value));
    return true;
  }

  // A number or a truth value. The option checks the number.
  bool read_plain(std::string& value) {
    const size_t end = std::min(rest_.find_first_of(" \t\r\n#,]"), rest_.size());
    value = rest_.substr(0, end);
    rest_.remove_prefix(end);
    if (value.empty()) return fail("the value is missing");
    if (value == "true" || value == "false") return true;
    const bool number = value.find_first_not_of("0123456789_.+-eE") == std::string::npos &&
                        value.find_first_of("0123456789") != std::string::npos;
    if (!number) return fail("text must be in quotes: \"" + value + "\"");
    std::erase(value, '_');
    if (value[0] == '+') value.erase(0, 1);
    return true;
  }

  bool read_literal_string(std::string& value) {
    const size_t end = rest_.find_first_of("'\n", 1);
    if (end == std::string_view::npos || rest_[end] != '\'') return fail("a quote is missing");
    if (end == 1 && rest_.size() > 2 && rest_[2] == '\'') return fail(kNoMultiLine);
    value = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return true;
  }

  bool read_basic_string(std::string& value) {
    if (rest_.substr(0, 3) == "\"\"\"") return fail(kNoMultiLine);
    for (size_t i = 1; i < rest_.size() && rest_[i] != '\n'; i++) {
      if (rest_[i] == '"') return rest_.remove_prefix(i + 1), true;
      if (rest_[i] != '\\') {
        value += rest_[i];
        continue;
      }
      const size_t used = read_escape(rest_.substr(i + 1), value);
      if (used == 0) return fail("unknown escape after a backslash (write \\\\ for a backslash)");
      i += used;
    }
    return fail("a quote is missing");
  }

  // The number of bytes after the backslash; 0: not an escape.
  static size_t read_escape(std::string_view text, std::string& value) {
    constexpr std::string_view kLetters = "btnfr\"\\", kMeant = "\b\t\n\f\r\"\\";
    if (text.empty()) return 0;
    if (const size_t known = kLetters.find(text[0]); known != std::string_view::npos) {
      value += kMeant[known];
      return 1;
    }
    const size_t digits = text[0] == 'u' ? 4 : text[0] == 'U' ? 8 : 0;
    if (digits == 0 || text.size() < 1 + digits) return 0;
    uint32_t c = 0;
    const char* const end = text.data() + 1 + digits;
    if (std::from_chars(text.data() + 1, end, c, 16).ptr != end || c > 0x10ffff ||
        (c >= 0xd800 && c < 0xe000))
      return 0;
    append_utf8(value, c);
    return 1 + digits;
  }

  static constexpr char kNoMultiLine[] = "multi-line strings are not supported";

  std::string_view rest_;
  const std::string& path_;
  unsigned line_ = 1;
  std::string error_;
};

}  // namespace

Result<std::vector<ConfigurationEntry>> parse_configuration(std::string_view text,
                                                            const std::string& path) {
  return Parser(text, path).parse();
}

Result<std::vector<ConfigurationEntry>> read_configuration(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             &std::fclose);
  if (!file) return Error{"cannot open configuration " + path, errno};
  std::string text;
  char buffer[4096];
  while (const size_t size = std::fread(buffer, 1, sizeof(buffer), file.get()))
    text.append(buffer, size);
  if (std::ferror(file.get())) return Error{"cannot read configuration " + path, errno};
  return parse_configuration(text, path);
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      (out += '\\') += c;
    } else if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned char>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  return out += '"';
}

}  // namespace flowmeter
