#include "client/array.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "client/element.h"
#include "core/tensor.h"

namespace tandem::client {
namespace {

template <typename T>
constexpr bool kIsFloat =
    std::is_floating_point_v<T> || std::is_same_v<T, Fp16> || std::is_same_v<T, Bf16>;

// The integer that `value` is, if it is one that fits.
template <typename To>
bool DoubleToInteger(double value, To& out) {
  if (std::trunc(value) != value) return false;
  // 2^digits is exact as a double; max() itself may not be.
  const double limit = std::ldexp(1.0, std::numeric_limits<To>::digits);
  if (value >= limit || value < (std::is_signed_v<To> ? -limit : 0.0)) return false;
  out = static_cast<To>(value);
  return true;
}

template <typename From, typename To>
bool IntegerToFloat(From value, To& out) {
  out = To(static_cast<double>(value));
  From back;
  return DoubleToInteger(static_cast<double>(out), back) && back == value;
}

// False where the value cannot be held.
template <typename From, typename To>
bool ConvertElement(From from, To& out) {
  if constexpr (kIsFloat<From> && kIsFloat<To>) {
    const double value = static_cast<double>(from);
    out = To(value);
    return std::isfinite(static_cast<double>(out)) || !std::isfinite(value);
  } else if constexpr (kIsFloat<From>) {
    return DoubleToInteger<To>(static_cast<double>(from), out);
  } else if constexpr (kIsFloat<To>) {
    return IntegerToFloat(from, out);
  } else {
    out = static_cast<To>(from);
    return static_cast<From>(out) == from && (out < To{}) == (from < From{});
  }
}

template <typename From>
std::string ElementText(From value) {
  if constexpr (kIsFloat<From>) {
    return absl::StrCat(static_cast<double>(value));
  } else {
    return absl::StrCat(+value);
  }
}

std::string Called(const Array& array) {
  return array.name.empty() ? "the input" : absl::StrCat("the input \"", array.name, "\"");
}

}  // namespace

int64_t CountOf(const Array& array) { return ElementCount(array.shape).value_or(0); }

absl::Status CheckSize(const Array& array) {
  const absl::StatusOr<int64_t> count = ElementCount(array.shape);
  if (!count.ok()) return count.status();
  if (array.type == DataType::kBytes) {
    const Bytes piece(reinterpret_cast<const std::byte*>(array.bytes.data()), array.bytes.size());
    return CheckStrings({&piece, 1}, *count);
  }
  const absl::StatusOr<size_t> expected = ByteSize(array.type, array.shape);
  if (!expected.ok()) return expected.status();
  if (*expected != array.bytes.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor \"", array.name, "\" of ", TypeText(array.type), ShapeToString(array.shape),
        " has ", array.bytes.size(), " bytes where its shape asks for ", *expected));
  }
  return absl::OkStatus();
}

absl::StatusOr<Array> Convert(Array array, DataType to) {
  if (array.type == to) return array;
  if (ElementSize(array.type) == 0 || ElementSize(to) == 0) {
    return absl::InvalidArgumentError(absl::StrCat(Called(array), " is ", TypeText(array.type),
                                                   ", which cannot become ", TypeText(to)));
  }
  return VisitElementType(array.type, [&](auto from) -> absl::StatusOr<Array> {
    using From = decltype(from);
    return VisitElementType(to, [&](auto target) -> absl::StatusOr<Array> {
      using To = decltype(target);
      const size_t count = array.bytes.size() / sizeof(From);
      std::string bytes;
      bytes.reserve(count * sizeof(To));
      for (size_t i = 0; i < count; ++i) {
        const From value = ElementAt<From>(array.bytes, i);
        To converted{};
        if (!ConvertElement(value, converted)) {
          return absl::InvalidArgumentError(absl::StrCat(Called(array), " holds ",
                                                         ElementText(value), " at element ", i,
                                                         ", which ", TypeText(to), " cannot hold"));
        }
        AppendElement(bytes, converted);
      }
      array.bytes = std::move(bytes);
      array.type = to;
      return std::move(array);
    });
  });
}

}  // namespace tandem::client
