#include "server/wire_split.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

namespace tandem::server {
namespace {

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

absl::Status Malformed() {
  return absl::InvalidArgumentError("the request is not a valid protobuf message");
}

// Walks over bytes that lie in several pieces, and remembers where a run of them began.
class Cursor {
 public:
  explicit Cursor(absl::Span<const Bytes> pieces) : pieces_(pieces) { SkipEmpty(); }

  bool AtEnd() const { return piece_ == pieces_.size(); }

  // Takes the next `size` bytes and appends them to `to`, joined to its last piece where they
  // follow it in memory.
  bool Take(uint64_t size, Pieces* to) {
    while (size > 0) {
      if (AtEnd()) return false;
      const Bytes left = pieces_[piece_].subspan(offset_);
      const Bytes taken =
          left.subspan(0, static_cast<size_t>(std::min<uint64_t>(size, left.size())));
      if (!to->empty() && to->back().data() + to->back().size() == taken.data()) {
        to->back() = Bytes(to->back().data(), to->back().size() + taken.size());
      } else {
        to->push_back(taken);
      }
      Advance(taken.size());
      size -= taken.size();
    }
    return true;
  }

  // Reads a varint and appends its bytes to `to`.
  bool TakeVarint(uint64_t* value, Pieces* to) {
    *value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (AtEnd()) return false;
      const auto byte = static_cast<uint8_t>(pieces_[piece_][offset_]);
      if (shift == 63 && byte > 1) return false;
      *value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (!Take(1, to)) return false;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }

 private:
  void Advance(size_t size) {
    offset_ += size;
    if (offset_ == pieces_[piece_].size()) {
      ++piece_;
      offset_ = 0;
      SkipEmpty();
    }
  }

  void SkipEmpty() {
    while (piece_ < pieces_.size() && pieces_[piece_].empty()) ++piece_;
  }

  absl::Span<const Bytes> pieces_;
  size_t piece_ = 0;
  size_t offset_ = 0;
};

// Appends `from` to `to`.
void Append(const Pieces& from, Pieces* to) {
  for (const Bytes& piece : from) {
    if (!to->empty() && to->back().data() + to->back().size() == piece.data()) {
      to->back() = Bytes(to->back().data(), to->back().size() + piece.size());
    } else {
      to->push_back(piece);
    }
  }
}

// Takes the value of a field of that wire type.
bool TakeValue(Cursor& cursor, uint64_t wire_type, Pieces* to) {
  uint64_t number = 0;
  switch (wire_type) {
    case kVarint:
      return cursor.TakeVarint(&number, to);
    case kFixed64:
      return cursor.Take(8, to);
    case kFixed32:
      return cursor.Take(4, to);
    case kLengthDelimited:
      return cursor.TakeVarint(&number, to) && cursor.Take(number, to);
    default:
      // Groups: no message of ours has any.
      return false;
  }
}

}  // namespace

absl::StatusOr<SplitMessage> SplitRawContents(absl::Span<const Bytes> message, uint32_t raw_field) {
  SplitMessage split;
  Cursor cursor(message);
  const uint64_t raw_tag = (uint64_t{raw_field} << 3) | kLengthDelimited;
  size_t fields = 0;
  size_t rest_bytes = 0;
  while (!cursor.AtEnd()) {
    uint64_t tag = 0;
    Pieces head;
    if (!cursor.TakeVarint(&tag, &head) || (tag >> 3) == 0 ||
        tag > std::numeric_limits<uint32_t>::max()) {
      return Malformed();
    }
    if (tag != raw_tag) {
      if (++fields > kMaxTopFields) {
        return absl::InvalidArgumentError(
            absl::StrCat("the request has more than ", kMaxTopFields, " fields"));
      }
      if (!TakeValue(cursor, tag & 7, &head)) return Malformed();
      for (const Bytes& piece : head) rest_bytes += piece.size();
      Append(head, &split.rest);
      if (rest_bytes > kMaxRestBytes) {
        return absl::InvalidArgumentError(
            absl::StrCat("the request has more than ", kMaxRestBytes,
                         " bytes besides raw_input_contents; send large tensors in those"));
      }
      continue;
    }
    if (split.raw.size() == kMaxRawContents) {
      return absl::InvalidArgumentError(
          absl::StrCat("the request has more than ", kMaxRawContents, " raw_input_contents"));
    }
    uint64_t size = 0;
    head.clear();
    if (!cursor.TakeVarint(&size, &head) || !cursor.Take(size, &split.raw.emplace_back())) {
      return Malformed();
    }
  }
  return split;
}

}  // namespace tandem::server
