// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/interface_selector.h"

#include <fnmatch.h>
#include <net/if.h>

#include <algorithm>

namespace flowmeter {
namespace {

// Much longer than necessary for names of 15 characters. It limits the work of error_position.
constexpr size_t kMaxExpression = 1024;

Error wrong(const std::string& text, const std::string& why) {
  return usage_error("-i \"" + text + "\": " + why);
}

int compile(const std::string& expression, regex_t* compiled) {
  return ::regcomp(compiled, expression.c_str(), REG_EXTENDED | REG_NOSUB);
}

// The number of characters read before the error occurs, which regcomp does not report. From that
// position on, every longer prefix of the expression fails with the same code.
size_t error_position(const std::string& expression, int code) {
  size_t position = expression.size();
  while (position > 1) {
    regex_t compiled;
    const int shorter = compile(expression.substr(0, position - 1), &compiled);
    if (shorter == 0) ::regfree(&compiled);
    if (shorter != code) break;
    position--;
  }
  return position;
}

// Whether a [ has no matching ]: fnmatch would take it for a plain character.
bool has_open_bracket(const std::string& glob) {
  for (size_t i = 0; i < glob.size(); i++) {
    if (glob[i] == '\\') {
      i++;  // the next character is plain
    } else if (glob[i] == '[') {
      i++;
      if (i < glob.size() && (glob[i] == '!' || glob[i] == '^')) i++;
      i = glob.find(']', i + 1);  // ] as the first character stands for itself
      if (i == std::string::npos) return true;
    }
  }
  return false;
}

}  // namespace

Result<InterfaceSelector> InterfaceSelector::parse(const std::string& text) {
  if (text.empty()) return wrong(text, "an interface needs a name");
  if (text == "any") return InterfaceSelector(Kind::kAny, text);

  if (text[0] == '/') {
    if (text.size() < 3 || text.back() != '/')
      return wrong(text,
                   "a regular expression must be between two slashes, as in \"/^(eth|ens)/\"");
    const std::string expression = text.substr(1, text.size() - 2);
    if (expression.size() > kMaxExpression)
      return wrong(text.substr(0, 20) + "…", "a regular expression has at most " +
                                                 std::to_string(kMaxExpression) + " characters");
    regex_t compiled;
    if (const int code = compile(expression, &compiled); code != 0) {
      char why[128];
      ::regerror(code, nullptr, why, sizeof(why));
      const size_t position = error_position(expression, code);
      return wrong(text, std::string(why) + " at \"" + expression.substr(0, position) +
                             "\" (character " + std::to_string(position) +
                             " of the regular expression)");
    }
    InterfaceSelector selector(Kind::kExpression, text);
    selector.expression_ = std::shared_ptr<const regex_t>(new regex_t(compiled), [](regex_t* r) {
      ::regfree(r);
      delete r;
    });
    return selector;
  }

  // The kernel rejects these names. (A name with a colon is the label of an IPv4 address: eth0:1.)
  if (text.find('/') != std::string::npos)
    return wrong(text,
                 "a name cannot contain a slash (a regular expression starts and ends with one)");
  const bool is_glob = text.find_first_of("*?[\\") != std::string::npos;
  if (is_glob) {
    if (has_open_bracket(text)) return wrong(text, "a [ has no ] (write \\[ for the character)");
    return InterfaceSelector(Kind::kGlob, text);
  }
  if (text.size() >= IFNAMSIZ)
    return wrong(text, "a name has at most " + std::to_string(IFNAMSIZ - 1) + " characters");
  if (text == "." || text == ".." || text.find_first_of(": \t\n\v\f\r") != std::string::npos)
    return wrong(text, "no interface can have this name");
  return InterfaceSelector(Kind::kName, text);
}

bool InterfaceSelector::matches(const std::string& name) const {
  switch (kind_) {
    case Kind::kName:
      return name == text_;
    case Kind::kGlob:
      return ::fnmatch(text_.c_str(), name.c_str(), 0) == 0;
    case Kind::kExpression:
      return ::regexec(expression_.get(), name.c_str(), 0, nullptr, 0) == 0;
    case Kind::kAny:
      return true;
  }
  return false;
}

bool InterfaceSelector::matches(const Interface& interface) const {
  return matches(interface.name) ||
         (kind_ == Kind::kName && std::ranges::find(interface.alternative_names, text_) !=
                                      interface.alternative_names.end());
}

}  // namespace flowmeter
