#include "core/printable.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tandem {
namespace {

// Bytes of the UTF-8 character at the start of `text`, if it is a whole and printable one;
// otherwise 0.
size_t PrintableLength(std::string_view text) {
  const auto byte = [&text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  uint32_t character = first & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    character = character << 6 | (byte(i) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0xa0, 0x800, 0x10000};
  const bool is_surrogate = character >= 0xd800 && character <= 0xdfff;
  return character >= kLeast[length] && !is_surrogate && character <= 0x10ffff ? length : 0;
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const size_t length = PrintableLength(text);
    if (length > 0) {
      result.append(text.substr(0, length));
    } else {
      result.push_back(static_cast<uint8_t>(text.front()) < 0x80 ? ' ' : '?');
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return result;
}

std::string Excerpt(std::string_view text) {
  constexpr size_t kMost = 80;
  if (text.size() <= kMost) return Printable(text);
  size_t end = kMost;
  // Not within a character, which has three bytes after the first at most.
  while (end > kMost - 3 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  return Printable(text.substr(0, end)) + "…";
}

}  // namespace tandem
