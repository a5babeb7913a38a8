// Tables for people, with colours where the output is a terminal and NO_COLOR is not set.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::client {

// Colours a word, or leaves it alone. A value.
class Style {
 public:
  // Colours if `stream` is a terminal that wants them.
  static Style For(std::FILE* stream);
  explicit Style(bool colours) : colours_(colours) {}

  std::string Heading(std::string_view text) const { return Wrap("1", text); }
  std::string Good(std::string_view text) const { return Wrap("32", text); }
  std::string Bad(std::string_view text) const { return Wrap("31", text); }
  std::string Faint(std::string_view text) const { return Wrap("2", text); }

 private:
  std::string Wrap(const char* code, std::string_view text) const;

  bool colours_;
};

// Columns as wide as their widest cell; the last is not padded.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> headings);

  void AddRow(std::vector<std::string> cells);
  std::string Render(const Style& style) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Bytes from elsewhere, safe to show: control characters become '?'.
std::string Printable(std::string_view text);

}  // namespace tandem::client
