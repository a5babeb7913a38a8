// Lines of a text file, counted, and none longer than memory should hold.
#pragma once

#include <fstream>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace tandem::client {

class LineReader {
 public:
  // INVALID_ARGUMENT, naming the file, where it cannot be opened.
  static absl::StatusOr<LineReader> Open(const std::string& path);

  // The next line that is not blank, without its end; nothing at the end of the file.
  // INVALID_ARGUMENT for a line of more than kMaxLineBytes, which is passed over.
  absl::StatusOr<std::optional<std::string>> Next();

  // Of the line that Next gave last, from 1.
  int64_t line_number() const { return line_number_; }
  double fraction_read() const;

  static constexpr size_t kMaxLineBytes = size_t{64} << 20;

 private:
  LineReader(std::ifstream stream, int64_t size) : stream_(std::move(stream)), size_(size) {}

  std::ifstream stream_;
  int64_t size_;
  int64_t read_ = 0;
  int64_t line_number_ = 0;
};

}  // namespace tandem::client
