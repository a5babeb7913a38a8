#include "core/shape.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tandem {

absl::StatusOr<int64_t> ElementCount(absl::Span<const int64_t> shape) {
  if (shape.size() > kMaxRank) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the shape has ", shape.size(), " dimensions; at most ", kMaxRank, " are taken"));
  }
  int64_t count = 1;
  bool overflow = false;
  bool empty = false;
  for (const int64_t dim : shape) {
    if (dim < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the shape ", ShapeToString(shape), " has a negative dimension"));
    }
    if (dim == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(count, dim, &count)) {
      overflow = true;
      count = 1;
    }
  }
  // A zero among huge dimensions makes the product 0, but nobody sends such a shape in good faith.
  if (overflow) {
    return absl::InvalidArgumentError(
        absl::StrCat("the shape ", ShapeToString(shape), " has more elements than can be counted"));
  }
  return empty ? 0 : count;
}

absl::StatusOr<size_t> ByteSize(DataType type, absl::Span<const int64_t> shape) {
  const absl::StatusOr<int64_t> count = ElementCount(shape);
  if (!count.ok()) return count.status();
  int64_t bytes = 0;
  if (__builtin_mul_overflow(*count, static_cast<int64_t>(ElementSize(type)), &bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the shape ", ShapeToString(shape), " has more bytes than can be counted"));
  }
  return static_cast<size_t>(bytes);
}

std::string ShapeToString(absl::Span<const int64_t> shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ","), "]");
}

}  // namespace tandem
