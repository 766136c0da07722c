// SPDX-License-Identifier: BSD-3-Clause
#include "application/http.h"

#include <algorithm>
#include <cstring>

#include "flowmeter/application.h"

namespace flowmeter {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

// For these methods the start of a request line is sufficient, because its end may be beyond the
// bytes that are read.
constexpr std::string_view kMethods[] = {
    "GET",   "HEAD",   "POST",     "PUT",       "DELETE", "CONNECT",   "OPTIONS",
    "TRACE", "PATCH",  "PROPFIND", "PROPPATCH", "MKCOL",  "COPY",      "MOVE",
    "LOCK",  "UNLOCK", "REPORT",   "SEARCH",    "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE"};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

// Removes the line at the front of text, and returns it without its LF or CR LF. False if its end
// is missing.
bool take_line(std::string_view* text, std::string_view* line) {
  const size_t end = text->find('\n');
  if (end == text->npos) return false;
  *line = text->substr(0, end);
  if (line->ends_with('\r')) line->remove_suffix(1);
  text->remove_prefix(end + 1);
  return true;
}

// Whether text is "HTTP/1." digit, space, three digits, space or end of line, or a prefix of that.
Verdict response_start(std::string_view text) {
  constexpr std::string_view kPattern = "HTTP/1.d ddd$";
  const size_t n = std::min(text.size(), kPattern.size());
  for (size_t i = 0; i < n; i++) {
    const char c = text[i];
    const bool fits = kPattern[i] == 'd'   ? is_digit(c) && (i != 9 || c != '0')
                      : kPattern[i] == '$' ? c == ' ' || c == '\r' || c == '\n'
                                           : c == kPattern[i];
    if (!fits) return Verdict::kNo;
  }
  return n == kPattern.size() ? Verdict::kYes : Verdict::kMore;
}

Verdict request_start(std::string_view text, Extent extent, HttpMethod* method) {
  const Verdict unfinished = extent == Extent::kAll ? Verdict::kNo : Verdict::kMore;
  size_t length = 0;
  while (length < text.size() && fm_is_method_byte(static_cast<uint8_t>(text[length]))) length++;
  if (length > HttpMethod::kMaxLength) return Verdict::kNo;
  if (length > 0 && (text[0] < 'A' || text[0] > 'Z')) return Verdict::kNo;
  if (length == text.size()) return unfinished;
  if (length < HttpMethod::kMinLength || text[length] != ' ') return Verdict::kNo;
  if (length + 1 == text.size()) return unfinished;
  if (!fm_is_target_byte(static_cast<uint8_t>(text[length + 1]))) return Verdict::kNo;

  const std::string_view name = text.substr(0, length);
  std::string_view rest = text, line;
  if (take_line(&rest, &line)) {
    if (!line.ends_with(" HTTP/1.1") && !line.ends_with(" HTTP/1.0")) return Verdict::kNo;
  } else {
    if (extent == Extent::kSoFar) return Verdict::kMore;
    if (std::ranges::find(kMethods, name) == std::end(kMethods)) return Verdict::kNo;
  }
  *method = HttpMethod(name);
  return Verdict::kYes;
}

// Whether the line is a Content-Length, with a valid value or not.
bool content_length(std::string_view line, uint64_t* value) {
  constexpr std::string_view kName = "content-length";
  constexpr size_t kMaxDigits = 18;
  if (line.size() <= kName.size()) return false;
  for (size_t i = 0; i < kName.size(); i++) {
    const char c = line[i];
    if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != kName[i]) return false;
  }
  line.remove_prefix(kName.size());
  const auto skip_blanks = [&line] {
    while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
  };
  skip_blanks();
  if (!line.starts_with(':')) return false;
  line.remove_prefix(1);
  skip_blanks();
  while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
  if (line.empty() || line.size() > kMaxDigits || !std::ranges::all_of(line, is_digit)) return true;
  for (const char c : line) *value = *value * 10 + static_cast<uint64_t>(c - '0');
  return true;
}

}  // namespace

HttpMethod::HttpMethod(std::string_view text) : letters_{} {
  unsigned __int128 bits = 0;
  for (size_t i = text.size(); i-- > 0;) bits = bits << 5 | (kAlphabet.find(text[i]) + 1);
  for (uint16_t& word : letters_) {
    word = static_cast<uint16_t>(bits);
    bits >>= 16;
  }
}

std::string HttpMethod::text() const {
  unsigned __int128 bits = 0;
  for (size_t i = letters_.size(); i-- > 0;) bits = bits << 16 | letters_[i];
  std::string text;
  for (; bits != 0; bits >>= 5) text += kAlphabet[(static_cast<size_t>(bits) & 31) - 1];
  return text;
}

Verdict parse_http(Bytes bytes, Extent extent, HttpMessage* message) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  *message = {};
  Verdict start = response_start(text);
  if (start == Verdict::kYes) {
    message->code =
        static_cast<uint16_t>((text[9] - '0') * 100 + (text[10] - '0') * 10 + (text[11] - '0'));
  } else if (start == Verdict::kNo || extent == Extent::kAll) {
    start = request_start(text, extent, &message->method);
    message->request = true;
  }
  if (start != Verdict::kYes) return start;

  std::string_view rest = text, line;
  bool length_seen = false, empty_line = false;
  for (bool start_line = true; !empty_line && take_line(&rest, &line); start_line = false) {
    if (start_line) continue;
    empty_line = line.empty();
    if (!length_seen) length_seen = content_length(line, &message->content_length);
  }
  if (!empty_line && extent == Extent::kSoFar) return Verdict::kMore;
  message->header_bytes =
      static_cast<uint32_t>(empty_line ? text.size() - rest.size() : text.size());
  return Verdict::kYes;
}

}  // namespace flowmeter
