#include "backends/worker/torch_values.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backends/worker/torch_types.h"

namespace tandem::worker {
namespace {

absl::Status Refuse(absl::string_view name, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("input \"", name, "\" ", reason));
}

absl::StatusOr<std::vector<std::string>> Strings(const InputTensor& input, absl::string_view name) {
  if (input.type != DataType::kBytes) {
    return Refuse(name,
                  absl::StrCat("must be BYTES, but is ", std::string(DataTypeName(input.type))));
  }
  std::vector<std::string> strings;
  const auto* next = reinterpret_cast<const char*>(input.data);
  size_t left = input.bytes;
  while (left > 0) {
    uint32_t length = 0;
    if (left < sizeof(length)) return Refuse(name, "holds a string whose length is cut off");
    std::memcpy(&length, next, sizeof(length));
    next += sizeof(length);
    left -= sizeof(length);
    if (length > left) return Refuse(name, "holds a string that is cut off");
    strings.emplace_back(next, length);
    next += length;
    left -= length;
  }
  return strings;
}

absl::StatusOr<std::vector<double>> Floats(const InputTensor& input, absl::string_view name) {
  const absl::StatusOr<at::Tensor> tensor = TensorOverInput(input, name, c10::kCPU);
  if (!tensor.ok()) return tensor.status();
  const at::Tensor doubles = tensor->to(at::kDouble).contiguous();
  const double* first = doubles.const_data_ptr<double>();
  return std::vector<double>(first, first + doubles.numel());
}

absl::StatusOr<std::vector<int64_t>> Ints(const InputTensor& input, absl::string_view name) {
  const absl::StatusOr<at::Tensor> tensor = TensorOverInput(input, name, c10::kCPU);
  if (!tensor.ok()) return tensor.status();
  if (tensor->is_floating_point()) {
    const absl::StatusOr<std::vector<double>> floats = Floats(input, name);
    if (!floats.ok()) return floats.status();
    for (const double value : *floats) {
      // 2^63 is exact as a double, the largest int64 is not.
      if (value != std::trunc(value) || std::abs(value) >= 9223372036854775808.0) {
        return Refuse(name, "must hold integers");
      }
    }
  }
  const at::Tensor longs = tensor->to(at::kLong).contiguous();
  const int64_t* first = longs.const_data_ptr<int64_t>();
  std::vector<int64_t> values(first, first + longs.numel());
  if (input.type == DataType::kUint64) {
    for (const int64_t value : values) {
      if (value < 0) return Refuse(name, "holds a number above the largest int64");
    }
  }
  return values;
}

// The one value of a scalar argument.
template <typename T>
absl::StatusOr<T> Single(const absl::StatusOr<std::vector<T>>& values, absl::string_view name) {
  if (!values.ok()) return values.status();
  if (values->empty()) return Refuse(name, "must have one element, but is empty");
  for (const T& value : *values) {
    // A NaN equals nothing, but one NaN alone is fine.
    if (&value != &values->front() && !(value == values->front())) {
      return Refuse(name, "is a scalar argument of the model: its elements must all be equal");
    }
  }
  return values->front();
}

template <typename T>
absl::StatusOr<c10::IValue> AsValue(absl::StatusOr<T> value) {
  if (!value.ok()) return value.status();
  return c10::IValue(*std::move(value));
}

absl::StatusOr<std::vector<bool>> Bools(const InputTensor& input, absl::string_view name) {
  const absl::StatusOr<std::vector<double>> floats = Floats(input, name);
  if (!floats.ok()) return floats.status();
  std::vector<bool> bools;
  for (const double value : *floats) bools.push_back(value != 0.0);
  return bools;
}

absl::StatusOr<c10::IValue> BoolList(const InputTensor& input, absl::string_view name) {
  const absl::StatusOr<std::vector<bool>> bools = Bools(input, name);
  if (!bools.ok()) return bools.status();
  c10::List<bool> list;
  for (const bool value : *bools) list.push_back(value);
  return c10::IValue(list);
}

absl::StatusOr<c10::IValue> SingleBool(const InputTensor& input, absl::string_view name) {
  const absl::StatusOr<double> number = Single(Floats(input, name), name);
  if (!number.ok()) return number.status();
  return c10::IValue(*number != 0.0);
}

}  // namespace

absl::StatusOr<at::Tensor> TensorOverInput(const InputTensor& input, absl::string_view name,
                                           c10::Device device) {
  const std::optional<c10::ScalarType> type = ToScalarType(input.type);
  if (!type) {
    return Refuse(name,
                  absl::StrCat("must be numbers, but is ", std::string(DataTypeName(input.type))));
  }
  const absl::StatusOr<size_t> bytes = ByteSize(input.type, input.shape);
  if (!bytes.ok()) return Refuse(name, bytes.status().message());
  if (*bytes != input.bytes) {
    return Refuse(name, absl::StrCat("has ", input.bytes, " bytes, but its shape ",
                                     ShapeToString(input.shape), " of ",
                                     std::string(DataTypeName(input.type)), " needs ", *bytes));
  }
  const at::IntArrayRef sizes(input.shape.data(), input.shape.size());
  if (*bytes == 0) return at::empty(sizes, at::TensorOptions(*type).device(device));
  const at::Tensor tensor = at::from_blob(input.data, sizes, at::TensorOptions(*type));
  if (device.is_cpu()) return tensor;
  return tensor.to(device, /*non_blocking=*/true);
}

absl::StatusOr<c10::IValue> ValueOfInput(const InputTensor& input, absl::string_view name,
                                         ParameterKind kind, c10::Device device) {
  switch (kind) {
    case ParameterKind::kTensor:
    case ParameterKind::kTensorList:
    case ParameterKind::kTensorDict:
      return AsValue(TensorOverInput(input, name, device));
    case ParameterKind::kInt:
      return AsValue(Single(Ints(input, name), name));
    case ParameterKind::kFloat:
      return AsValue(Single(Floats(input, name), name));
    case ParameterKind::kBool:
      return SingleBool(input, name);
    case ParameterKind::kNumber: {
      const bool is_float = input.type == DataType::kFp16 || input.type == DataType::kBf16 ||
                            input.type == DataType::kFp32 || input.type == DataType::kFp64;
      return is_float ? AsValue(Single(Floats(input, name), name))
                      : AsValue(Single(Ints(input, name), name));
    }
    case ParameterKind::kString:
      return AsValue(Single(Strings(input, name), name));
    case ParameterKind::kIntList:
      return AsValue(Ints(input, name));
    case ParameterKind::kFloatList:
      return AsValue(Floats(input, name));
    case ParameterKind::kBoolList:
      return BoolList(input, name);
    case ParameterKind::kStringList: {
      absl::StatusOr<std::vector<std::string>> strings = Strings(input, name);
      if (!strings.ok()) return strings.status();
      return c10::IValue(c10::List<std::string>(at::ArrayRef<std::string>(*strings)));
    }
    case ParameterKind::kUnsupported:
      break;
  }
  return Refuse(name, "cannot be passed to the model");
}

}  // namespace tandem::worker
