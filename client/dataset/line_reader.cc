#include "client/dataset/line_reader.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace tandem::client {

absl::StatusOr<LineReader> LineReader::Open(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  stream.seekg(0, std::ios::end);
  const int64_t size = stream.tellg();
  stream.seekg(0);
  if (!stream) return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read"));
  return LineReader(std::move(stream), size);
}

absl::StatusOr<std::optional<std::string>> LineReader::Next() {
  std::streambuf* buffer = stream_.rdbuf();
  constexpr int kEnd = std::char_traits<char>::eof();
  while (true) {
    std::string line;
    bool too_long = false;
    int c = buffer->sbumpc();
    if (c == kEnd) return std::nullopt;
    ++line_number_;
    for (; c != kEnd && c != '\n'; c = buffer->sbumpc()) {
      ++read_;
      too_long = too_long || line.size() == kMaxLineBytes;
      if (!too_long) line.push_back(static_cast<char>(c));
    }
    ++read_;
    if (too_long) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", line_number_, " has more than ", kMaxLineBytes, " bytes"));
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!absl::StripAsciiWhitespace(line).empty()) return line;
  }
}

double LineReader::fraction_read() const {
  return size_ == 0 ? 1 : std::min(1.0, static_cast<double>(read_) / static_cast<double>(size_));
}

}  // namespace tandem::client
