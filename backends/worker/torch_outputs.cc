#include "backends/worker/torch_outputs.h"

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "backends/worker/torch_signature.h"
#include "backends/worker/torch_types.h"

namespace tandem::worker {
namespace {

// Deeper nesting than this is no output that anyone means.
constexpr int kMaxDepth = 16;

absl::Status AppendTensor(at::Tensor tensor, std::string key, std::vector<OutputValue>& values) {
  if (!tensor.defined()) {
    return absl::InternalError("the model returned a tensor that is not defined");
  }
  if (tensor.layout() != at::kStrided) tensor = tensor.to_dense();
  const DataType type = FromScalarType(tensor.scalar_type());
  if (type == DataType::kInvalid || tensor.is_quantized()) {
    return absl::InternalError(absl::StrCat("the model returned a tensor of the type ",
                                            c10::toString(tensor.scalar_type()),
                                            ", which the protocol does not carry"));
  }
  const at::IntArrayRef sizes = tensor.sizes();
  if (sizes.size() > kMaxRank) {
    return absl::InternalError(absl::StrCat("the model returned a tensor of ", sizes.size(),
                                            " dimensions; at most ", kMaxRank, " are carried"));
  }
  values.push_back({.key = std::move(key),
                    .type = type,
                    .shape = Shape(sizes.begin(), sizes.end()),
                    .tensor = std::move(tensor),
                    .strings = {}});
  return absl::OkStatus();
}

void AppendStrings(std::vector<std::string> strings, std::string key,
                   std::vector<OutputValue>& values) {
  const auto count = static_cast<int64_t>(strings.size());
  values.push_back({.key = std::move(key),
                    .type = DataType::kBytes,
                    .shape = {count},
                    .tensor = {},
                    .strings = std::move(strings)});
}

absl::Status Append(const c10::IValue& value, std::string key, int depth,
                    std::vector<OutputValue>& values);

absl::Status AppendEach(c10::ArrayRef<c10::IValue> elements, int depth,
                        std::vector<OutputValue>& values) {
  for (const c10::IValue& element : elements) {
    if (absl::Status status = Append(element, "", depth + 1, values); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// Lists of numbers are one tensor of one dimension.
absl::Status AppendList(const c10::IValue& value, std::string key, int depth,
                        std::vector<OutputValue>& values) {
  if (value.isIntList()) return AppendTensor(at::tensor(value.toIntVector()), key, values);
  if (value.isDoubleList()) {
    return AppendTensor(at::tensor(value.toDoubleVector(), at::kDouble), key, values);
  }
  const c10::ArrayRef<c10::IValue> elements = value.toListRef();
  if (value.isBoolList()) {
    std::vector<int64_t> bools;
    for (const c10::IValue& element : elements) bools.push_back(element.toBool() ? 1 : 0);
    return AppendTensor(at::tensor(bools).to(at::kBool), key, values);
  }
  const c10::TypePtr element_type = value.toList().elementType();
  if (element_type->kind() == c10::TypeKind::StringType) {
    std::vector<std::string> strings;
    for (const c10::IValue& element : elements) strings.push_back(element.toStringRef());
    AppendStrings(std::move(strings), std::move(key), values);
    return absl::OkStatus();
  }
  return AppendEach(elements, depth, values);
}

absl::Status Append(const c10::IValue& value, std::string key, int depth,
                    std::vector<OutputValue>& values) {
  if (depth > kMaxDepth) {
    return absl::InternalError("the model returned values that are nested too deep");
  }
  if (value.isTensor()) return AppendTensor(value.toTensor(), std::move(key), values);
  if (value.isTuple()) return AppendEach(value.toTupleRef().elements(), depth, values);
  if (value.isList()) return AppendList(value, std::move(key), depth, values);
  if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      std::string name = entry.key().isString() ? entry.key().toStringRef() : "";
      const absl::Status status = Append(entry.value(), std::move(name), depth + 1, values);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  if (value.isString()) {
    AppendStrings({value.toStringRef()}, std::move(key), values);
    return absl::OkStatus();
  }
  if (value.isBool()) {
    return AppendTensor(at::scalar_tensor(value.toBool(), at::kBool).reshape({1}), key, values);
  }
  if (value.isInt()) {
    return AppendTensor(at::scalar_tensor(value.toInt(), at::kLong).reshape({1}), key, values);
  }
  if (value.isDouble()) {
    return AppendTensor(at::scalar_tensor(value.toDouble(), at::kDouble).reshape({1}), key, values);
  }
  if (value.isNone()) {
    // Keeps the place of an optional output; it is an error only where that output is wanted.
    values.emplace_back();
    values.back().key = std::move(key);
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat("the model returned a value of the type ",
                                          value.tagKind(), ", which is no tensor"));
}

void Write(const OutputValue& value, std::byte* to) {
  if (value.type == DataType::kBytes) {
    for (const std::string& string : value.strings) {
      const auto length = static_cast<uint32_t>(string.size());
      std::memcpy(to, &length, sizeof(length));
      std::memcpy(to + sizeof(length), string.data(), string.size());
      to += sizeof(length) + string.size();
    }
    return;
  }
  const size_t bytes = value.bytes();
  if (bytes == 0) return;
  const at::Tensor& tensor = value.tensor;
  if (tensor.is_cpu() && tensor.is_contiguous() && !tensor.is_neg()) {
    std::memcpy(to, tensor.const_data_ptr(), bytes);
    return;
  }
  at::from_blob(to, tensor.sizes(), at::TensorOptions(tensor.scalar_type()))
      .copy_(tensor, /*non_blocking=*/true);
}

}  // namespace

size_t OutputValue::bytes() const {
  if (type == DataType::kBytes) {
    size_t total = 0;
    for (const std::string& string : strings) total += sizeof(uint32_t) + string.size();
    return total;
  }
  return tensor.defined() ? tensor.nbytes() : 0;
}

absl::StatusOr<OutputBinding> OutputBinding::Make(std::vector<TensorSpec> configured,
                                                  std::optional<c10::ScalarType> lowered) {
  OutputBinding binding;
  binding.lowered_ = lowered;
  std::vector<size_t> by_index, by_order;
  for (const TensorSpec& output : configured) {
    if (const auto index = ConventionalIndex(output.name)) by_index.push_back(*index);
    by_order.push_back(by_order.size());
  }
  const bool conventional = by_index.size() == configured.size();
  std::vector<size_t> sorted = by_index;
  std::sort(sorted.begin(), sorted.end());
  if (conventional && std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    return absl::InvalidArgumentError("two configured outputs name the same index");
  }
  binding.indices_ = conventional ? by_index : by_order;
  binding.configured_ = std::move(configured);
  return binding;
}

// To the type that the signature states, from the one that autocast has left.
void OutputBinding::Raise(OutputValue& value, DataType wanted) const {
  if (!lowered_ || !value.tensor.defined() || value.tensor.scalar_type() != *lowered_) return;
  c10::ScalarType type = ToScalarType(wanted).value_or(at::kFloat);
  if (!c10::isFloatingType(type)) type = at::kFloat;
  value.tensor = value.tensor.to(type);
  value.type = FromScalarType(type);
}

absl::StatusOr<std::vector<OutputTensor>> OutputBinding::Announce(
    std::vector<OutputValue>& values, std::vector<size_t>& chosen) const {
  std::vector<OutputTensor> outputs;
  const auto add = [&](size_t index, std::string name, DataType wanted) {
    OutputValue& value = values[index];
    Raise(value, wanted);
    outputs.push_back({std::move(name), value.type, value.shape, value.bytes()});
    chosen.push_back(index);
  };
  if (configured_.empty()) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i].type == DataType::kInvalid) continue;
      add(i, values[i].key.empty() ? absl::StrCat("OUTPUT__", i) : values[i].key,
          DataType::kInvalid);
    }
    return outputs;
  }
  for (size_t i = 0; i < configured_.size(); ++i) {
    const std::string& name = configured_[i].name;
    size_t index = indices_[i];
    for (size_t j = 0; j < values.size(); ++j) {
      if (values[j].key == name) index = j;
    }
    const bool keyed = !values.empty() && !values.front().key.empty();
    if (index >= values.size() || values[index].type == DataType::kInvalid ||
        (keyed && values[index].key != name && !ConventionalIndex(name))) {
      return absl::InternalError(
          absl::StrCat("the model returned nothing for the configured output \"", name,
                       "\" (it returned ", values.size(), " values)"));
    }
    add(index, name, configured_[i].type);
  }
  return outputs;
}

absl::Status OutputBinding::Deliver(const c10::IValue& result, OutputSink& sink) const {
  std::vector<OutputValue> values;
  if (absl::Status status = Append(result, "", 0, values); !status.ok()) return status;
  std::vector<size_t> chosen;
  absl::StatusOr<std::vector<OutputTensor>> outputs = Announce(values, chosen);
  if (!outputs.ok()) return outputs.status();
  const absl::StatusOr<std::vector<std::byte*>> places = sink.Allocate(*std::move(outputs));
  if (!places.ok()) return places.status();
  for (size_t i = 0; i < chosen.size(); ++i) Write(values[chosen[i]], (*places)[i]);
  return absl::OkStatus();
}

}  // namespace tandem::worker
