#include "core/tensor.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/printable.h"

namespace tandem {
namespace {

// Walks over bytes that lie in several pieces.
class PieceReader {
 public:
  explicit PieceReader(absl::Span<const Bytes> pieces) : pieces_(pieces) {}

  // Copies the next `size` bytes to `to`, or skips them where `to` is null. False where fewer are
  // left.
  bool Read(std::byte* to, size_t size) {
    while (size > 0) {
      while (piece_ < pieces_.size() && offset_ == pieces_[piece_].size()) {
        ++piece_;
        offset_ = 0;
      }
      if (piece_ == pieces_.size()) return false;
      const size_t step = std::min(size, pieces_[piece_].size() - offset_);
      if (to != nullptr) {
        std::memcpy(to, pieces_[piece_].data() + offset_, step);
        to += step;
      }
      offset_ += step;
      size -= step;
    }
    return true;
  }

  bool AtEnd() {
    while (piece_ < pieces_.size() && offset_ == pieces_[piece_].size()) {
      ++piece_;
      offset_ = 0;
    }
    return piece_ == pieces_.size();
  }

 private:
  absl::Span<const Bytes> pieces_;
  size_t piece_ = 0;
  size_t offset_ = 0;
};

}  // namespace

bool IsTensorName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxTensorNameBytes && Printable(name) == name;
}

size_t Tensor::byte_size() const {
  size_t size = 0;
  for (const Bytes& piece : pieces) size += piece.size();
  return size;
}

void CopyBytes(const Tensor& tensor, std::byte* to) {
  for (const Bytes& piece : tensor.pieces) {
    if (piece.empty()) continue;
    std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  }
}

bool HasEqualBytes(const Tensor& a, const Tensor& b) {
  if (a.byte_size() != b.byte_size()) return false;
  absl::Span<const Bytes> left(a.pieces);
  absl::Span<const Bytes> right(b.pieces);
  Bytes x;
  Bytes y;
  while (true) {
    for (; x.empty() && !left.empty(); left.remove_prefix(1)) x = left.front();
    for (; y.empty() && !right.empty(); right.remove_prefix(1)) y = right.front();
    const size_t size = std::min(x.size(), y.size());
    if (size == 0) return true;
    if (std::memcmp(x.data(), y.data(), size) != 0) return false;
    x.remove_prefix(size);
    y.remove_prefix(size);
  }
}

absl::Status CheckStrings(absl::Span<const Bytes> pieces, int64_t count) {
  PieceReader reader(pieces);
  int64_t seen = 0;
  while (!reader.AtEnd()) {
    uint32_t length = 0;
    if (!reader.Read(reinterpret_cast<std::byte*>(&length), sizeof(length))) {
      return absl::InvalidArgumentError(absl::StrCat("the length of string ", seen, " is cut off"));
    }
    if (!reader.Read(nullptr, length)) {
      return absl::InvalidArgumentError(
          absl::StrCat("string ", seen, " claims ", length, " bytes, but fewer follow"));
    }
    ++seen;
  }
  if (seen != count) {
    return absl::InvalidArgumentError(absl::StrCat("expected ", count, " strings, got ", seen));
  }
  return absl::OkStatus();
}

}  // namespace tandem
